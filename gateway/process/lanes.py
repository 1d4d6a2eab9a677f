"""Work that comes in lanes: in order within a lane, side by side between lanes, and only so much of it at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

from transcription.priority import Priority, UrgentFirst

Work: TypeAlias = Callable[[], Coroutine[None, None, None]]
_Turn: TypeAlias = "asyncio.Future[None]"


class Lanes:
    """``async with``; it ends when all work has. Work that raises ends all of it, as in a TaskGroup."""

    def __init__(self, at_once: int, *, waiting: int = 0) -> None:
        """``at_once``: lanes at work. So many pieces are taken, and ``waiting`` more, for which there may be no place.

        Of lanes that wait for a place an urgent one is next, and each class has its turns.
        """
        self._free = at_once
        self._room = asyncio.Semaphore(at_once + waiting)
        self._lanes: dict[str, deque[tuple[Priority, _Turn]]] = {}  # none is empty; the first may have begun
        self._ready: UrgentFirst[str] = UrgentFirst()  # lanes whose first has not begun
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        await self._room.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.__aexit__(kind, error, trace)

    async def put(self, lane: str, work: Work, priority: Priority = Priority.NORMAL) -> None:
        """Do it after what was put into the lane before; returns when there is room for the next."""
        turn: _Turn = asyncio.get_running_loop().create_future()
        if lane in self._lanes:
            self._lanes[lane].append((priority, turn))
        else:
            self._lanes[lane] = deque([(priority, turn)])
            self._ready.put(lane, priority)
        task = self._tasks.create_task(_in_turn(turn, work), name=lane)
        task.add_done_callback(partial(self._leave, lane, turn))
        self._begin()
        await self._room.acquire()

    def _begin(self) -> None:
        while self._free and self._ready:
            self._free -= 1
            _, turn = self._lanes[self._ready.get()][0]
            if not turn.done():  # else it was cancelled, and leaves
                turn.set_result(None)

    def _leave(self, lane: str, turn: _Turn, _task: asyncio.Task[None]) -> None:
        """The next of its lane may begin, or the lane is at rest."""
        self._room.release()
        if turn.cancelled() or not turn.done():
            return  # it had no turn: all work ends
        self._free += 1
        rest = self._lanes[lane]
        rest.popleft()
        if rest:
            self._ready.put(lane, rest[0][0])
        else:
            del self._lanes[lane]
        self._begin()


async def _in_turn(turn: _Turn, work: Work) -> None:
    await turn
    await work()
