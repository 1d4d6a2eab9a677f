"""The page's history: found, listened to, erased; and what it says where there is none."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from playwright.async_api import Page, expect

from gateway.journal import effects as e
from gateway.journal.records import HistoryReply
from gateway.pipeline.content.port import KEPT_BACK
from tests.gateway.journal.rows import remembered, utterance
from tests.gateway.web.chromium import IN_CHROMIUM
from tests.gateway.web.site import Site, open_site
from tests.gateway.works import loud

pytestmark = IN_CHROMIUM

STARTS = itertools.count(0, 16_000)
MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(journal=tmp_path / "journal.db", journal_settings={"keep_audio": True}) as opened:
        yield opened


async def remember(site: Site, name: str, text: str, *, with_audio: bool = True, **facts: Any) -> None:
    """One utterance of the past; ``facts`` are a HistoryRow's."""
    row = structs.replace(remembered(name, text), **facts)
    journal = site.parts.journal
    if with_audio:
        await journal.commit(e.Heard(utterance(name, start=next(STARTS), audio=loud(0.5))))
        await journal.commit(e.Transcribed(name), e.Remembered(row))
    else:
        await journal.commit(e.Remembered(row))


async def open_history(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}#history")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def test_what_was_said_stands_there_newest_first(page: Page, site: Site) -> None:
    await remember(site, "u_1", "turn on the light")
    await site.parts.journal.commit(
        e.Answered("c_u_1", HistoryReply(text="It is on.", agent="home", text_to_reply_ms=30.0)),
        e.HandedOver("c_u_1", 470.0),
    )
    await remember(site, "u_2", "", with_audio=False, success=False, error="out of memory")
    await open_history(page, site)
    await expect(page.locator("#past .heard")).to_have_text(
        ["Not understood: out of memory", "turn on the light"]
    )
    await expect(page.locator("#past .reply-text")).to_have_text("It is on.")
    await expect(page.locator("#past .mark")).to_have_text("home · ✓ delivered")
    await expect(page.locator("#past .turn").last.locator(".speed")).to_contain_text("470 ms to reply")
    await expect(page.locator("#history-count")).to_have_text("2 utterances")


async def test_what_the_content_filter_has_found_is_marked(page: Page, site: Site) -> None:
    await remember(site, "u_1", "my card is [card number]", with_audio=False, flags=("personal_data",))
    await site.parts.journal.commit(
        e.Answered("c_u_1", HistoryReply(text="***", agent="home", flags=("forbidden_words", "own")))
    )
    await remember(site, "u_2", "", with_audio=False, success=False, error=KEPT_BACK)
    await open_history(page, site)
    await expect(page.locator("#past .heard").first).to_have_text("Kept back by the content filter.")
    await expect(page.locator("#past .flags")).to_have_text("⚑ personal data")
    await expect(page.locator("#past .mark")).to_have_text("home · ⚑ forbidden words, own")


async def test_markup_is_only_text(page: Page, site: Site) -> None:
    await remember(site, "u_1", MARKUP)
    await open_history(page, site)
    await expect(page.locator("#past .heard")).to_have_text(MARKUP)
    assert await page.locator("#past img, #past b").count() == 0


async def test_it_is_searched_while_one_types(page: Page, site: Site) -> None:
    for number, text in enumerate(("turn on the light", "close the window", "set a timer")):
        await remember(site, f"u_{number}", text, with_audio=False)
    await open_history(page, site)
    await expect(page.locator("#past .turn")).to_have_count(3)
    await page.keyboard.press("/")
    await expect(page.locator("#query")).to_be_focused()
    await page.keyboard.type("WIND")
    await expect(page.locator("#past .heard")).to_have_text(["close the window"])
    await page.keyboard.type("mill")
    await expect(page.locator("#past .turn")).to_have_count(0)
    await expect(page.locator("#history-note")).to_have_text("Nothing was found.")
    await page.locator("#query").fill("")
    await expect(page.locator("#past .turn")).to_have_count(3)


async def test_it_is_narrowed_to_the_device_that_is_chosen(page: Page, site: Site) -> None:
    await remember(site, "u_1", "in the kitchen", with_audio=False, device_id="kitchen")
    await remember(site, "u_2", "in the hall", with_audio=False, device_id="web-hall")
    async with site.board("web-hall"):
        await open_history(page, site)
        await expect(page.locator("#past .turn")).to_have_count(2)
        await page.locator(".device", has_text="web-hall").click()
        await expect(page.locator("#past .heard")).to_have_text(["in the hall"])
        await page.keyboard.press("Escape")
        await expect(page.locator("#past .turn")).to_have_count(2)


async def test_older_ones_come_page_by_page(page: Page, site: Site) -> None:
    for number in range(70):
        await remember(site, f"u_{number}", f"sentence {number}", with_audio=False)
    await open_history(page, site)
    await expect(page.locator("#past .turn")).to_have_count(30)
    await expect(page.locator("#history-count")).to_have_text("30 utterances, and older ones")
    older = page.get_by_role("button", name="Older")
    await older.click()
    await expect(page.locator("#past .turn")).to_have_count(60)
    await older.click()
    await expect(page.locator("#past .heard").last).to_have_text("sentence 0")
    await expect(page.locator("#past .turn")).to_have_count(70)
    await expect(older).to_be_hidden()


async def test_it_is_played(page: Page, site: Site) -> None:
    await remember(site, "u_1", "turn on the light")
    await remember(site, "u_2", "no audio is kept", with_audio=False)
    await open_history(page, site)
    play = page.get_by_role("button", name="Play what kitchen heard")
    await expect(play).to_have_count(1)
    await play.focus()
    await page.keyboard.press("Enter")
    audio = page.locator("audio")
    await expect(audio).to_be_focused()
    await page.wait_for_function("() => document.querySelector('audio').duration")
    assert await audio.evaluate("(audio) => audio.duration") == pytest.approx(0.5, abs=0.01)
    await expect(play).to_have_count(0)


async def test_audio_that_is_gone_is_said_to_be(page: Page, site: Site) -> None:
    await remember(site, "u_1", "turn on the light")
    await open_history(page, site)
    await expect(page.locator("#past .turn")).to_have_count(1)
    await site.parts.journal.commit(e.Erased("u_1"))
    await page.get_by_role("button", name="Play what").click()
    await expect(page.locator("#past .said .mark")).to_have_text("Its audio is not kept any more.")


async def test_it_is_erased_only_when_that_is_confirmed(page: Page, site: Site) -> None:
    await remember(site, "u_1", "turn on the light")
    await remember(site, "u_2", "a secret")
    await open_history(page, site)
    secret = page.locator("#past .turn", has_text="a secret")
    erase, dialog = (
        secret.get_by_role("button", name="Erase what"),
        page.get_by_role("dialog", name="Erase this?"),
    )
    await erase.click()
    await expect(dialog).to_contain_text("a secret")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await erase.click()
    await dialog.get_by_role("button", name="Keep it").click()
    await expect(page.locator("#past .turn")).to_have_count(2)
    await erase.click()
    await dialog.get_by_role("button", name="Erase it").click()
    await expect(page.locator("#past .heard")).to_have_text(["turn on the light"])
    await expect(page.locator("#history-note")).to_have_text("It was erased.")
    await page.reload()
    await expect(page.locator("#past .heard")).to_have_text(["turn on the light"])


async def test_what_somebody_else_erased_is_told(page: Page, site: Site) -> None:
    await remember(site, "u_1", "turn on the light")
    await open_history(page, site)
    await expect(page.locator("#past .turn")).to_have_count(1)
    await site.parts.journal.commit(e.Erased("u_1"))
    await page.get_by_role("button", name="Erase what").click()
    await page.get_by_role("button", name="Erase it").click()
    await expect(page.locator("#history-note")).not_to_be_empty()
    await expect(page.locator("#history-note")).not_to_have_text("It was erased.")


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        ({"history": {"enabled": False}}, "history is switched off"),
        ({"journal": None}, "no history without a journal"),
    ],
)
async def test_where_there_is_none_it_says_why(
    page: Page, tmp_path: Path, parts: dict[str, Any], note: str
) -> None:
    async with open_site(**{"journal": tmp_path / "journal.db", **parts}) as site:
        await open_history(page, site)
        await expect(page.locator("#history-note")).to_contain_text(note)
        await expect(page.locator("#past .turn")).to_have_count(0)


async def test_the_latency_view_knows_the_past_too(page: Page, site: Site) -> None:
    await remember(site, "u_1", "turn on the light", with_audio=False)
    await remember(site, "u_2", "close the window", with_audio=False)
    await page.goto(f"{site.url}#latency/u_1")
    await expect(page.locator(".water-said")).to_contain_text("turn on the light")
    await expect(page.locator(".strip-row")).to_have_count(2)
