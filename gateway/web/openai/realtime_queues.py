"""What waits for a realtime client, and what waits of it: both bounded, and nothing of either lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

OUTBOX_CHARACTERS: Final = 1024 * 1024
"""What may wait for a client that does not read; then it is cut off."""
INBOX_CHARACTERS: Final = 2 * 1024 * 1024
"""What a client may be ahead by, half a minute of PCM: its pings are answered meanwhile. Then it is read no further."""


class NotRead(Exception):
    """The client does not read what it is told."""


class ClientOutbox:
    """Messages to a client, in order."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._changed = asyncio.Event()
        self._full = asyncio.Event()

    def put(self, text: str) -> None:
        """One more; too many are the end (``overrun``)."""
        if self._characters + len(text) > OUTBOX_CHARACTERS:
            self._full.set()
            return
        self._waiting.append(text)
        self._characters += len(text)
        self._changed.set()

    async def send_all(self) -> None:
        """Until cancelled. Raises what sending raises."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.flush()

    async def flush(self) -> None:
        """What waits now. Raises what sending raises."""
        while self._waiting:
            text = self._waiting.popleft()
            await self._send(text)
            self._characters -= len(text)

    async def overrun(self) -> None:
        """Until there was no room for a message. Raises NotRead."""
        await self._full.wait()
        raise NotRead("the client does not read what it is told")


class ClientInbox:
    """Messages of a client, in order, until somebody gets to them."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._room = asyncio.Event()
        self._some = asyncio.Event()

    async def put(self, text: str) -> None:
        """One more, once there is room."""
        while self._characters >= INBOX_CHARACTERS:
            self._room.clear()
            await self._room.wait()
        self._waiting.append(text)
        self._characters += len(text)
        self._some.set()

    async def take(self) -> str:
        """The next one; it waits no more."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        text = self._waiting.popleft()
        self._characters -= len(text)
        self._room.set()
        return text
