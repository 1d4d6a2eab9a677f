"""The conversation agent as a part of the Wyoming server: each connection's questions, one after the other."""

from __future__ import annotations

import asyncio

from gateway.adapters.wyoming.conversation import ConversationAgent, programs
from gateway.adapters.wyoming.events import ErrorReport, Recognize, TranscriptResult, WyomingEvent
from gateway.adapters.wyoming.info import Info
from gateway.adapters.wyoming.way_back import WayBack
from gateway.process.mishaps import Mishaps

MOST_WAITING = 8
"""Questions of one connection that are not answered yet; further ones are refused."""


class ConversationService:
    """Offers whoever answers here to programs that have texts."""

    def __init__(self, agent: ConversationAgent, mishaps: Mishaps, *, version: str) -> None:
        self._agent = agent
        self._mishaps = mishaps
        handle, intent = programs(version)
        self._info = Info(handle=(handle,), intent=(intent,))

    async def info(self) -> Info:
        """What it says of itself."""
        return self._info

    def begin(self, line: WayBack) -> ConnectionQuestions:
        """Its part of a connection."""
        return ConnectionQuestions(self._agent, line, self._mishaps)


class ConnectionQuestions:
    """Those of one connection."""

    def __init__(self, agent: ConversationAgent, line: WayBack, mishaps: Mishaps) -> None:
        self._agent = agent
        self._line = line
        self._mishaps = mishaps
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._tasks)

    def takes(self, event: WyomingEvent) -> bool:
        """Texts, which only a conversation agent is sent."""
        return isinstance(event, TranscriptResult | Recognize)

    async def take(self, event: WyomingEvent) -> None:
        """A question; its answer comes behind those before it."""
        assert isinstance(event, TranscriptResult | Recognize)
        if len(self._tasks) >= MOST_WAITING:
            self._line.put(ErrorReport(f"{MOST_WAITING} questions wait for their answers already", "busy"))
            return
        task = asyncio.create_task(self._answer(event), name="an answer to a program")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, said: TranscriptResult | Recognize) -> None:
        async with self._turn:
            try:
                await self._agent.answer(said, self._line.name, self._line.send)
            except ConnectionError:  # it is gone, which whoever reads its connection finds out
                pass
            except Exception as error:  # noqa: BLE001 - the boundary: between this question and the others
                self._mishaps.note("an answer to a program", error)
                self._line.put(ErrorReport("something went wrong inside the gateway", "failed"))

    def close(self) -> None:
        """Nobody wants to know any more."""
        for task in list(self._tasks):
            task.cancel()
