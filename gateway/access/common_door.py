"""What this gateway's door and limits have in common with those of others: where whoever shares them finds them.

A gateway that is alone has one of these, and nobody looks into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.access.door import Door
from gateway.access.limits import Buckets

PATIENCE_SECONDS = 0.5
"""Nobody waits longer for the others to be told."""


class CommonDoor:
    """``door`` and ``limits`` are there once the page is served; a page that is served again has others."""

    def __init__(self) -> None:
        self.door: Door | None = None
        self.limits: Mapping[str, Buckets] = {}
        self.is_shared = False
        """Whether there is anybody to tell."""
        self.news = asyncio.Event()
        """Something was changed here that others are to know at once."""
        self._told: set[asyncio.Future[None]] = set()

    def serve(self, door: Door, limits: Mapping[str, Buckets]) -> None:
        """They are at work from now on; ``limits`` by names that mean the same at every gateway."""
        self.door, self.limits = door, limits
        self.news.set()

    async def tell(self) -> None:
        """Return when the others could know what was changed here, or they have been waited for long enough."""
        if not self.is_shared:
            return
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told.add(told)
        self.news.set()
        await asyncio.wait([told], timeout=PATIENCE_SECONDS)
        self._told.discard(told)

    def begin(self) -> set[asyncio.Future[None]]:
        """Whoever tells the others what there is tells those who wait now (:func:`done`)."""
        waiting, self._told = self._told, set()
        return waiting


def done(waiting: set[asyncio.Future[None]]) -> None:
    """The others were told."""
    for told in waiting:
        if not told.done():
            told.set_result(None)
