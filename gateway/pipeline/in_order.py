"""What one owner began first is over first, though others' work, and their own, goes on beside it. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

Earlier: TypeAlias = Callable[[], Awaitable[None]]
"""Wait until all that its owner began before is over."""


class InOrder:
    """Work of many owners; nothing is kept of who has none under way."""

    def __init__(self) -> None:
        self._last: dict[Hashable, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        """Owners who have something under way."""
        return len(self._last)

    @contextmanager
    def begun(self, owner: Hashable) -> Iterator[Earlier]:
        """Something of that owner, which is over when this ends."""
        before, mine = self._last.get(owner), asyncio.get_running_loop().create_future()
        self._last[owner] = mine
        mine.add_done_callback(partial(self._forget, owner))
        try:
            yield partial(_until, before)
        finally:
            if before is None or before.done():
                mine.set_result(None)
            else:  # it was given up, and nobody overtakes by that
                before.add_done_callback(lambda _before: mine.set_result(None))

    def _forget(self, owner: Hashable, over: asyncio.Future[None]) -> None:
        if self._last.get(owner) is over:
            del self._last[owner]


async def _until(before: asyncio.Future[None] | None) -> None:
    if before is not None:
        await asyncio.wait({before})
