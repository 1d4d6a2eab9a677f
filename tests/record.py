"""A record of what came, to wait on: no test sleeps until something has probably happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE = 40.0
"""Seconds until a test gives up. It waits for events, never for time: so this may be long, for slow machines."""


async def passes(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for what announces itself by no event."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Record:
    """What came, in order; waits for what a test needs."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, item: Any) -> None:
        self.items.append(item)
        self._news.set()

    def of(self, kind: type, **facts: Any) -> list[Any]:
        """The items of a kind so far, with these attributes."""
        return [
            item
            for item in self.items
            if isinstance(item, kind) and all(getattr(item, name) == value for name, value in facts.items())
        ]

    async def until(self, ready: Callable[[], object], patience: float = PATIENCE) -> None:
        """Wait until ``ready()``, looked at after each item."""
        async with asyncio.timeout(patience):
            while not ready():
                self._news.clear()
                await self._news.wait()

    async def first(self, kind: type, *, count: int = 1, **facts: Any) -> Any:
        """The first (or ``count``-th) item of a kind with these attributes."""
        await self.until(lambda: len(self.of(kind, **facts)) >= count)
        return self.of(kind, **facts)[count - 1]
