"""Who has the engine at work: several at the same time, or one who must have it alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class EngineUse:
    """Who wants it alone waits until all that was begun has ended, and lets nothing begin meanwhile."""

    def __init__(self) -> None:
        self.door = asyncio.Lock()
        """Held by who begins something, while it looks what; so nothing changes between the look and ``begin``."""
        self._inside = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    def begin(self) -> None:
        """Something is being done with it; whoever says so is within ``door`` or ``alone``."""
        self._inside += 1
        self._nobody.clear()

    def end(self) -> None:
        """That has ended."""
        self._inside -= 1
        if not self._inside:
            self._nobody.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nobody else has it."""
        async with self.door:
            await self._nobody.wait()
            yield
