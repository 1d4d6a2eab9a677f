"""The port behind which agents are asked by name, where the configuration names any (`gateway/pipeline/by_name/`).

Whoever is on the way of a text knows this only: where no agent is named, nothing of teams is loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.contract.messages import OrchestratorReply
from gateway.journal.effects import Effect
from gateway.journal.records import AgentRow, LetterRow
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import PendingRequest

if TYPE_CHECKING:
    from gateway.pipeline.teams.outcome import TeamOutcome
    from gateway.pipeline.teams.steps import ShowInterim, ShowPiece


class NotAsked(Exception):
    """The reply is of nobody who was asked."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be committed, then sent and shown, because something happened to a request."""

    effects: tuple[Effect, ...] = ()
    letters: tuple[LetterRow, ...] = ()
    shown: tuple[ShowPiece | ShowInterim, ...] = ()
    outcome: TeamOutcome | None = None
    kept: str = ""
    """Of the piece that it was."""

    @property
    def is_quiet(self) -> bool:
        """Whether nobody is told or shown anything."""
        return not self.letters and not self.shown and self.outcome is None


NO_MOVES = Moves()


class ByName(Protocol):
    """Who is asked by name, and what comes of it."""

    @property
    def named(self) -> bool:
        """Whether agents are."""

    def leads(self, correlation_id: str) -> bool:
        """Whether some were asked about it, however long ago that is remembered."""

    def ask(self, correlation_id: str) -> Moves | None:
        """Put it to its team; what is to be committed with it, and then sent. None: it is for nobody."""

    async def take(self, reply: OrchestratorReply, *effects: Effect) -> str:
        """A reply of an agent that was asked, whose request may be over; what is kept of a piece.

        Raises NotAsked, and has done nothing then.
        """

    def awaited(self, correlation_id: str, request_id: str) -> str:
        """The agent that was asked under that id and may still answer; empty: none."""

    def is_late_answer(self, reply: OrchestratorReply) -> bool:
        """Whether that, which was taken, is a good answer that came when nobody waited for it any more."""

    def missed_answer(self, reply: OrchestratorReply) -> str:
        """All of it, where it is to a request that has no answer; empty: it is none."""

    def could_not_ask(self, letter: LetterRow, reason: str, *, refused: bool) -> None:
        """Nobody has that message; ``refused``: nor will, it is a dead letter."""

    async def expire(self, request: PendingRequest) -> None:
        """Its own deadline has come."""

    async def follow(self, correlation_id: str, moves: Moves, *effects: Effect) -> bool:
        """Commit, send, show; and end the request, where that is its outcome. Whether it is committed."""

    async def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Know nothing of these any more; who has waited for one of them is asked about now."""

    def take_up(self, correlation_id: str, rows: Iterable[AgentRow], shown: str) -> None:
        """What a gateway before this one had asked agents, and is still awaited; ``shown``: a first answer."""

    def remember(self, name: UtteranceName, rows: Iterable[AgentRow], *, answered: bool) -> None:
        """What it had asked agents for a request that is over."""

    async def run(self) -> None:
        """Do what is due until cancelled."""


class NobodyByName:
    """No agent is named: whoever reads the transcripts may answer.

    What a gateway before this one asked agents by name comes to its end all the same: ``former`` leads it, and is made
    when there is such.
    """

    named = False

    def __init__(self, former: Callable[[], ByName]) -> None:
        self._make = former
        self._former: ByName | None = None
        self._some = asyncio.Event()

    def leads(self, correlation_id: str) -> bool:
        """Whether agents were asked about it, by a gateway before this one."""
        return self._former is not None and self._former.leads(correlation_id)

    def ask(self, _correlation_id: str) -> Moves | None:
        """Nobody is."""
        return None

    async def take(self, reply: OrchestratorReply, *effects: Effect) -> str:
        """Of somebody who was asked then. Raises NotAsked."""
        if self._former is None:
            raise NotAsked(f"{reply.agent} was not asked")
        return await self._former.take(reply, *effects)

    def awaited(self, correlation_id: str, request_id: str) -> str:
        """Of those that were asked then."""
        return "" if self._former is None else self._former.awaited(correlation_id, request_id)

    def is_late_answer(self, reply: OrchestratorReply) -> bool:
        """As of a team's."""
        return self._former is not None and self._former.is_late_answer(reply)

    def missed_answer(self, reply: OrchestratorReply) -> str:
        """As of a team's."""
        return "" if self._former is None else self._former.missed_answer(reply)

    def could_not_ask(self, letter: LetterRow, reason: str, *, refused: bool) -> None:
        """What was still to be asked."""
        if self._former is not None:
            self._former.could_not_ask(letter, reason, refused=refused)

    async def expire(self, request: PendingRequest) -> None:
        """Of those that were asked then."""
        if self._former is not None:
            await self._former.expire(request)

    async def follow(self, correlation_id: str, moves: Moves, *effects: Effect) -> bool:
        """Of those that were asked then."""
        return self._former is not None and await self._former.follow(correlation_id, moves, *effects)

    async def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Know nothing of these any more."""
        if self._former is not None:
            await self._former.forget(is_gone)

    def take_up(self, correlation_id: str, rows: Iterable[AgentRow], shown: str) -> None:
        """Whoever they were: what they say, and have said, is the answer."""
        self._known().take_up(correlation_id, rows, shown)

    def remember(self, name: UtteranceName, rows: Iterable[AgentRow], *, answered: bool) -> None:
        """It is over; but perhaps somebody is undoing what was done for it."""
        self._known().remember(name, rows, answered=answered)

    async def run(self) -> None:
        """Do what is due, once there is anything."""
        await self._some.wait()
        await self._known().run()

    def _known(self) -> ByName:
        if self._former is None:
            self._former = self._make()
            self._some.set()
        return self._former
