"""No journal: nothing outlives the process, and everything goes on as if it did."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Self

from gateway.journal.effects import Effect
from gateway.journal.jobs import JournalState
from gateway.journal.records import (
    AgentRow,
    DeadLetterRow,
    Errand,
    LetterRow,
    RequestRow,
    StreamRow,
    TurnRow,
    UtteranceRow,
)
from transcription.priority import Priority


class NoJournal:
    """What stands where a journal would, when it is switched off."""

    keeps = False
    history = None
    state = JournalState(
        durable=False,
        reason="journal.enabled is false: what is on its way when the gateway dies is lost, except what devices "
        "still hold",
    )

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is left to be done."""

    def next_number(self) -> int:
        """The number of the next message."""
        return next(self._numbers)

    def commit(self, *_effects: Effect) -> asyncio.Future[bool]:
        """Everything is new, and nothing is kept."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(True)
        return future

    async def streams(self) -> AsyncIterator[StreamRow]:
        """None."""
        nothing: tuple[StreamRow, ...] = ()
        for row in nothing:
            yield row

    async def utterances(self) -> AsyncIterator[UtteranceRow]:
        """None."""
        nothing: tuple[UtteranceRow, ...] = ()
        for row in nothing:
            yield row

    async def requests(self) -> AsyncIterator[RequestRow]:
        """None."""
        nothing: tuple[RequestRow, ...] = ()
        for row in nothing:
            yield row

    async def agents(self) -> AsyncIterator[AgentRow]:
        """None."""
        nothing: tuple[AgentRow, ...] = ()
        for row in nothing:
            yield row

    async def turns(self) -> AsyncIterator[TurnRow]:
        """None."""
        nothing: tuple[TurnRow, ...] = ()
        for row in nothing:
            yield row

    async def of_device(self, _device_id: str, _boot: int) -> tuple[list[StreamRow], list[TurnRow]]:
        """None."""
        return [], []

    async def utterance(self, _utterance_id: str) -> UtteranceRow | None:
        """There is none."""
        return None

    async def letters(self, _after: int, _limit: int, _priority: Priority | None = None) -> list[LetterRow]:
        """None."""
        return []

    async def knows(self, _source: str, _message_id: str) -> bool:
        """Nothing is known."""
        return False

    async def dead_letter(self, _number: int) -> DeadLetterRow | None:
        """There is none."""
        return None

    async def scrub(self) -> bool:
        """Nothing is in any file."""
        return True

    async def errands(self) -> list[Errand]:
        """None."""
        return []
