"""The page as long as the gateway runs: tried again while its place is taken, and opened anew when its settings change.

Listeners and devices that are connected come back by themselves and have missed nothing: what they are told hangs on
the hub and the bridge, not on the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog

from gateway.observing.health import Health, HealthState
from gateway.settings.web import WebSettings
from gateway.web.entrance.listening import CannotListen
from gateway.web.parts import Parts
from gateway.web.server import WebServer

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5.0
ANSWER_SECONDS = 0.5
"""Whoever changes the page's settings over the page has the answer before it closes."""


class KeptOpen:
    """``async with`` it opens the page, if it can be; ``run`` does what comes later. ``url``: "" while it is closed."""

    def __init__(
        self,
        settings: WebSettings,
        parts: Callable[[WebSettings], Parts],
        health: Health,
        on_open: Callable[[str], None],
    ) -> None:
        """``on_open`` is given the address each time, and "" when it is closed."""
        self.settings = settings
        """By which it is open, or is to be."""
        self._parts = parts
        self._health = health
        self._on_open = on_open
        self._server = AsyncExitStack()
        self._is_open = False
        self._wanted: WebSettings | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._try()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.aclose()

    def change(self, settings: WebSettings) -> None:
        """Have it open by these settings soon; where that cannot be, by those of before."""
        if settings != (self._wanted or self.settings):
            self._wanted = settings
            self._news.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(
                    None if self._is_open or not self.settings.enabled else RETRY_SECONDS
                ):
                    await self._news.wait()
            except TimeoutError:
                await self._try()
                continue
            await asyncio.sleep(ANSWER_SECONDS)
            self._news.clear()
            wanted, self._wanted = self._wanted, None
            if wanted is not None and wanted != self.settings:
                await self._reopen(wanted)

    async def _reopen(self, wanted: WebSettings) -> None:
        before, self.settings = self.settings, wanted
        await self._close()
        try:
            await self._open()
        except CannotListen as error:
            log.warning("the page's new settings cannot be", address=error.address, reason=error.reason)
            self.settings = before
            await self._try()
            if self._is_open:
                told = f"the new settings cannot be, those of before go on: {error.address}: {error.reason}"
                self._health.set("page", HealthState.DEGRADED, told, error.remedy)

    async def _try(self) -> None:
        try:
            await self._open()
        except CannotListen as error:
            reason = f"{error.address}: {error.reason}"
            self._health.set("page", HealthState.DEGRADED, reason, error.remedy, works=False)

    async def _open(self) -> None:
        if not self.settings.enabled:
            return
        server = await self._server.enter_async_context(WebServer(self._parts(self.settings)))
        self._is_open = True
        self._health.set("page", HealthState.HEALTHY)
        self._on_open(server.url)

    async def _close(self) -> None:
        self._is_open = False
        await self._server.aclose()
        self._server = AsyncExitStack()
        self._on_open("")
