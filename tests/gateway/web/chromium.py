"""A real Chromium, and a page in it on which every complaint of the browser fails the test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.gateway.web.house import House
from tests.servers.process import ServerProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
GROUP = "chromium"
IN_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.xdist_group(GROUP),
]
"""The marks of a module that needs it."""
WHOLE = "line => line.scrollWidth <= line.clientWidth && line.scrollHeight <= line.clientHeight + 1"
"""Nothing of a line's text is outside of it."""

# What a browser reports and nobody can prevent: a connection that was lost, and an answer that is no success.
_FORGIVEN = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")


class Chromium(ServerProcess):
    """A browser that many tests share, each with a context of its own: starting one takes seconds."""

    READY: ClassVar[bytes] = b"DevTools listening on "

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.profile = folder / "profile"

    def command(self) -> list[str]:
        assert CHROMIUM
        return [
            CHROMIUM,
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={self.profile}",
            # Each page has an address bar that nobody sees; its popup is a page, too, and took most of the time.
            "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
            *FLAGS,
            "about:blank",
        ]

    @property
    def address(self) -> str:
        """Where it is driven from."""
        lines = self.log.read_bytes().splitlines()
        (line,) = (line for line in lines if line.startswith(self.READY))
        return line.removeprefix(self.READY).decode()


def in_chromium(item: pytest.Item) -> bool:
    """Whether a test has those marks."""
    return any(GROUP in mark.args for mark in item.iter_markers("xdist_group"))


class Driver:
    """Playwright's program, half a second to start, and the event loop on which all tests of a worker talk with it."""

    def __enter__(self) -> Self:
        self.runner = asyncio.Runner()
        self.playwright = self.runner.run(async_playwright().start())
        self._own = asyncio.all_tasks(self.runner.get_loop())
        return self

    def __exit__(self, *exc: object) -> None:
        self.runner.run(self.playwright.stop())
        self.runner.close()

    def end_all_others(self) -> None:
        """As the end of a loop of its own does for a test's tasks."""
        self.runner.run(self._end(asyncio.all_tasks(self.runner.get_loop()) - self._own))

    async def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """A browser of one's own, with further ``flags``."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def clean_page(browser: Browser, *forgiven: str, **options: Any) -> AsyncIterator[Page]:
    """A page that must not complain, nor ask anybody but the gateway; complaints with ``forgiven`` in them may be."""
    complaints: list[str] = []
    page = await browser.new_page(**options)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda request: complaints.append(request.url) if "127.0.0.1" not in request.url else None
    )
    try:
        yield page
    finally:
        await page.close()
    left = [text for text in complaints if not any(part in text for part in (*_FORGIVEN, *forgiven))]
    assert left == []


async def open_page(page: Page, house: House, view: str = "") -> None:
    """Open the page, or one of its views, and wait until it is connected."""
    await page.goto(f"{house.url}#{view}" if view else house.url)
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
