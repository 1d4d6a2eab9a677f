"""Two bounded ways between the event loop and one thread: bytes to it, and what it makes of them back."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inflow:
    """Bytes for a thread that reads them. The event loop waits while so much is unread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: BaseException | None = None

    async def put(self, piece: bytes) -> None:
        """Hand on a piece, once there is room for it."""
        while self._size >= self._max_bytes and self._error is None:
            self._room.clear()
            await self._room.wait()
        if not piece:  # to a reader that would be the end
            return
        with self._changed:
            self._pieces.append(piece)
            self._size += len(piece)
            self._changed.notify()

    def finish(self) -> None:
        """There is no more."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def abort(self, error: BaseException) -> None:
        """The reader gets this; whoever puts need not wait any more. The first error counts."""
        with self._changed:
            self._error = self._error or error
            self._pieces.clear()
            self._changed.notify()
        self._room.set()

    def check(self) -> None:
        """In the thread: raises what ``abort`` said."""
        with self._changed:
            if self._error is not None:
                raise self._error

    def read(self, size: int) -> bytes:
        """In the thread: at most so many bytes, when there are some; none: the end. Raises what ``abort`` said."""
        with self._changed:
            while not (self._pieces or self._ended or self._error):
                self._changed.wait()
            if self._error is not None:
                raise self._error
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            self._size -= len(piece)
        self._loop.call_soon_threadsafe(self._room.set)
        return piece


class Outflow(Generic[Item]):
    """What a thread makes, for the event loop (``async for``). The thread waits while so many are not taken."""

    def __init__(self, max_items: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(max_items)
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()
        self._aborted = False

    def put(self, item: Item) -> bool:
        """In the thread: hand on an item, once there is room for it. False: nobody takes any more."""
        self._room.acquire()
        if not self._aborted:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        return not self._aborted

    def finish(self) -> None:
        """In the thread: there is no more."""
        self._loop.call_soon_threadsafe(self._items.put_nowait, None)

    def abort(self) -> None:
        """Take nothing any more."""
        self._aborted = True
        self._room.release()

    def __aiter__(self) -> Outflow[Item]:
        return self

    async def __anext__(self) -> Item:
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        self._room.release()
        return item
