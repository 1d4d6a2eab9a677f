"""The page asks for nothing that is refused, and the browser's console stays empty, whatever the gateway has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Response, expect

from gateway.access.principals import Role
from gateway.journal import effects as e
from tests.gateway.access.keyring import Keyring
from tests.gateway.journal.rows import remembered
from tests.gateway.web.chromium import IN_CHROMIUM, clean_page
from tests.gateway.web.site import open_site

pytestmark = IN_CHROMIUM

VIEWS = ("live", "history", "latency", "latency/u_1", "latency/%20&limit=x", "health", "nowhere")
SEARCHED = ("light", '"', "&limit=0", "\U0001f980" * 100)


async def refused(page: Page, url: str) -> list[str]:
    """Go to every view, begin with one of them, and search; the questions that were refused meanwhile."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - it marks what it is given
    for view in VIEWS:
        await page.goto(f"{url}#{view}")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await page.goto(f"{url}#history")
    await page.reload()
    for words in SEARCHED:
        async with page.expect_response("**/api/v1/utterances?*q=*"):
            await page.locator("#query").fill(words)
    return [f"{one.status} {one.url.removeprefix(url)}" for one in answers if one.status >= 400]


async def test_without_tokens(browser: Browser, tmp_path: Path) -> None:
    async with (
        open_site(journal=tmp_path / "journal.db") as site,
        site.board("web-hall"),
        clean_page(browser) as page,
    ):
        await site.parts.journal.commit(e.Remembered(remembered("u_1", "turn on the light")))
        assert await refused(page, site.url) == []


@pytest.mark.parametrize("parts", [{"history": {"enabled": False}}, {"journal": None}])
async def test_without_a_history_only_that_is_refused(
    browser: Browser, tmp_path: Path, parts: dict[str, Any]
) -> None:
    async with (
        open_site(**{"journal": tmp_path / "journal.db", **parts}) as site,
        clean_page(browser, "status of 503") as page,
    ):
        assert {one.partition("?")[0] for one in await refused(page, site.url)} == {"503 api/v1/utterances"}


@pytest.mark.parametrize("role", [Role.LISTENER, Role.OPERATOR])
async def test_signed_in(browser: Browser, tmp_path: Path, keyring: Keyring, role: Role) -> None:
    async with (
        open_site(
            journal=tmp_path / "journal.db", folder=keyring.folder, web={"require_token": True}
        ) as site,
        clean_page(browser, "status of 401") as page,  # the form for signing in
    ):
        await page.goto(site.url)
        await page.get_by_label("Your token").fill(keyring.token("ann", role))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        assert await refused(page, site.url) == []
