"""The way back to a program: events in order; who does not read them is cut off."""

from __future__ import annotations

import asyncio

from gateway.adapters.wyoming import wire
from gateway.adapters.wyoming.events import WyomingEvent

MOST_UNREAD_BYTES = 1_048_576
"""That may wait for a program beside what its machine has taken; who has more to read is cut off."""
READ_SECONDS = 30.0
"""A program that waits for its answer reads it within this time."""


class WayBack:
    """Of one connection."""

    def __init__(self, writer: asyncio.StreamWriter, name: str, owner: str) -> None:
        """``name``: as people know the program. ``owner``: whose part of all that is shared it takes."""
        self.name = name
        self.owner = owner
        self._writer = writer

    def put(self, *events: WyomingEvent) -> None:
        """Send, or cut the connection off. Never raises, and does nothing once the connection is gone."""
        if self._writer.is_closing():
            return
        self._writer.write(b"".join(map(wire.encode, events)))
        if self._writer.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self.cut()

    async def send(self, event: WyomingEvent) -> None:
        """Send, and wait until most of what was sent is taken. Raises ConnectionError."""
        self.put(event)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            self.cut()
            raise ConnectionAbortedError("it does not read") from None

    def cut(self) -> None:
        """End it at once."""
        self._writer.transport.abort()

    async def close(self, seconds: float) -> None:
        """End it when all is read that was sent, after so long at the latest."""
        self._writer.close()
        try:
            async with asyncio.timeout(seconds):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.cut()
