"""Announcements on the page: a row of their own for each, live and in the history; and one time for one utterance."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs
from playwright.async_api import Page, expect

from gateway.contract.messages import new_id
from tests.gateway.events import delivery, reply, transcription
from tests.gateway.web.chromium import IN_CHROMIUM, open_page
from tests.gateway.web.house import House
from tests.gateway.web.site import Site, open_site

pytestmark = IN_CHROMIUM

YESTERDAY = time.time() - 86_400 - 5


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(journal=tmp_path / "journal.db") as opened:
        yield opened


def announced(device: str, text: str, name: str) -> object:
    return structs.replace(
        reply(text),
        session_id="",
        utterance_id="",
        device_id=device,
        correlation_id=name,
        text_to_reply_ms=0.0,
    )


async def test_each_has_a_row_at_its_device(page: Page, house: House) -> None:
    await open_page(page, house)
    names = [new_id("a"), new_id("a")]
    house.publish(announced("kitchen", "Dinner.", names[0]), announced("attic", "Bed time.", names[1]))  # type: ignore[arg-type]
    taken = structs.replace(
        delivery(), session_id="", utterance_id="", device_id="kitchen", correlation_id=names[0]
    )
    house.publish(taken)
    await expect(page.locator("#feed .who-device")).to_have_text(["kitchen", "attic"])
    await expect(page.locator("#feed .heard")).to_have_text(["Announcement", "Announcement"])
    await expect(page.locator("#feed .reply-text")).to_have_text(["Dinner.", "Bed time."])
    marks = page.locator("#feed .mark")
    await expect(marks.first).to_contain_text("✓ delivered")
    await expect(marks.last).to_contain_text("waits for the device")
    await expect(page.locator('#feed .heard[data-kind="partial"]')).to_have_count(0)
    await expect(page.locator("#figure-reply")).not_to_contain_text("ms")


async def test_they_are_in_the_history(page: Page, site: Site) -> None:
    await site.parts.pipeline.announcements.announce("kitchen", "ann", "Dinner.", "cook", 60.0)
    await page.goto(f"{site.url}#history")
    await expect(page.locator("#past .heard")).to_have_text("Announcement")
    await expect(page.locator("#past .reply-text")).to_have_text("Dinner.")
    await expect(page.locator("#past .mark")).to_have_text("cook")
    await page.locator("#query").fill("dinner")
    await expect(page.locator("#past .reply-text")).to_have_text("Dinner.")
    await page.goto(f"{site.url}#latency")
    await expect(page.locator("#latency-empty")).to_be_visible()


async def test_an_utterance_is_dated_by_its_beginning_and_with_its_day(page: Page, house: House) -> None:
    spoken = [time.time() - 7, YESTERDAY]
    house.publish(*(structs.replace(transcription("on", n), spoken_at=at) for n, at in enumerate(spoken)))
    await open_page(page, house)
    times = page.locator("#feed time")
    await expect(times.first).to_contain_text(time.strftime("%H:%M:%S", time.localtime(spoken[0])))
    await expect(times.last).to_contain_text(time.strftime(", %H:%M:%S", time.localtime(YESTERDAY)))
