"""Work that comes in lanes: in order within a lane, side by side between lanes, and only so much of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self, TypeAlias

Work: TypeAlias = Callable[[], Coroutine[None, None, None]]


class Lanes:
    """``async with``; it ends when all work has. Work that raises ends all of it, as in a TaskGroup."""

    def __init__(self, at_once: int) -> None:
        """``at_once``: pieces of work that are begun or wait for their lane."""
        self._places = asyncio.Semaphore(at_once)
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        await self._places.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.__aexit__(kind, error, trace)

    async def put(self, lane: str, work: Work) -> None:
        """Do it after what was put into the lane before; returns when there is a place for the next."""
        task = self._tasks.create_task(_after(self._latest.get(lane), work), name=lane)
        self._latest[lane] = task
        task.add_done_callback(self._leave)
        await self._places.acquire()

    def _leave(self, task: asyncio.Task[None]) -> None:
        """The lane whose name it has is at rest, unless other work has come meanwhile."""
        if self._latest.get(task.get_name()) is task:
            del self._latest[task.get_name()]
        self._places.release()


async def _after(before: asyncio.Task[None] | None, work: Work) -> None:
    if before is not None:
        await asyncio.wait([before])
    await work()
