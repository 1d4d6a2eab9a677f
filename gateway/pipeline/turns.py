"""Turns at work: a task and a boundary for each, so that what goes wrong in one leaves the others.

A turn that fails has no answer: its question is withdrawn, its device is told so, and need not keep what was said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Self

import structlog

from firmware_bridge.link.events import DeviceStatus
from gateway.journal import AnyJournal
from gateway.journal.effects import Erased, Transcribed
from gateway.pipeline.asking.publishing import Publishing
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.hearing.settling import Settling
from gateway.pipeline.sessions.session import Session, SessionState, Turn, TurnEvent
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.ending import until_done
from gateway.process.mishaps import Mishaps

A_TURN = "a turn"
"""The kind of work, as mishaps are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class OnItsWay:
    """A turn that is being worked on; ``spoken``: what it is about, where that is known."""

    session: Session
    turn: Turn
    spoken: Spoken | None = None

    @property
    def correlation_id(self) -> str:
        """What its answer would go by."""
        return self.spoken.name.correlation_id if self.spoken is not None else ""

    @property
    def names(self) -> dict[str, str]:
        """As the log has them."""
        if self.spoken is not None:
            return self.spoken.name.in_log()
        return {
            "utterance_id": self.turn.utterance_id,
            "session_id": self.session.session_id,
            "device_id": self.session.device_id,
        }


class Turns:
    """Those that are transcribed and published. ``async with``, which waits for them; iterated over: their tasks."""

    def __init__(
        self,
        settling: Settling,
        questions: Questions,
        publishing: Publishing,
        *,
        announcer: Announcer,
        journal: AnyJournal,
        mishaps: Mishaps,
    ) -> None:
        self._settling = settling
        self._publishing = publishing
        self._questions = questions
        self._announce = announcer
        self._journal = journal
        self._mishaps = mishaps
        self._at_work: dict[asyncio.Task[bool], OnItsWay] = {}

    def __len__(self) -> int:
        return len(self._at_work)

    def __iter__(self) -> Iterator[asyncio.Task[bool]]:
        return iter(self._at_work)

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._tasks.__aexit__(None, None, None)

    def start(self, one: OnItsWay, work: Callable[[], Awaitable[None]]) -> asyncio.Task[bool]:
        """The task of ``work``: whether it came to its end."""
        task = self._tasks.create_task(self._within_bounds(work, one), name=f"turn {one.turn.utterance_id}")
        self._at_work[task] = one
        task.add_done_callback(lambda done: self._at_work.pop(done, None))
        return task

    async def erase(self, is_gone: Callable[[str, str], bool]) -> int:
        """What has no text yet, or is just getting it, never has one; whoever spoke is told that much.

        ``is_gone`` is asked about a user and an utterance. Returns of how many it was so.
        """
        gone = {
            task: one
            for task, one in self._at_work.items()
            if is_gone(one.session.user_id, one.turn.utterance_id)
        }
        await until_done(gone)
        for one in gone.values():
            self._journal.commit(Transcribed(one.turn.utterance_id), Erased(one.turn.utterance_id))
            self._end(one)
        return len(gone)

    def fail(self, one: OnItsWay, error: Exception) -> None:
        """The gateway stumbled over it."""
        self._mishaps.note(A_TURN, error, **one.names)
        self._end(one)

    async def _within_bounds(self, work: Callable[[], Awaitable[None]], one: OnItsWay) -> bool:
        """The boundary between turns: what goes wrong in one is given up, its device is told, and the others go on.

        Whatever is logged meanwhile says what it is about.
        """
        with structlog.contextvars.bound_contextvars(**one.names):
            try:
                await work()
            except Exception as error:  # noqa: BLE001
                spoken = one.spoken
                if (
                    spoken is not None
                    and spoken.utterance.end > spoken.utterance.start
                    and not one.turn.ended
                ):
                    with self._mishaps.contained(A_TURN, utterance_id=one.turn.utterance_id):
                        await self._publishing.put_away(spoken, _stumbled(error))
                self.fail(one, error)
                return False
            return True

    def _end(self, one: OnItsWay) -> None:
        """It has no answer, and its device is told so and need not keep it."""
        session, turn, correlation_id = one.session, one.turn, one.correlation_id
        if correlation_id:
            with self._mishaps.contained(A_TURN, **one.names):
                self._questions.withdraw(correlation_id)
        if not turn.ended:
            with self._mishaps.contained(A_TURN, **one.names):
                self._announce.failure(session, correlation_id, Apology.NOT_TRANSCRIBED)
            session.advance(turn, TurnEvent.FAIL)
            with self._mishaps.contained(A_TURN, **one.names):
                idle = session.state is SessionState.CLOSED
                self._announce.status(session, DeviceStatus.IDLE) if idle else self._announce.attention(
                    session
                )
        if correlation_id:
            with self._mishaps.contained(A_TURN, **one.names):
                self._settling.release(correlation_id)


def _stumbled(error: Exception) -> str:
    return f"the gateway failed on it ({type(error).__name__})"
