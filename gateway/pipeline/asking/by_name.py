"""The port behind which agents are asked by name, where the configuration names any (`team_answers.py`).

Whoever is on the way of a text knows this only: where no agent is named, nothing of teams is loaded.
"""

from __future__ import annotations

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

    def is_late_answer(self, reply: OrchestratorReply) -> bool:
        """Whether that, which was taken, is a good answer that came when nobody waited for it any more."""

    def missed_answer(self, reply: OrchestratorReply) -> str:
        """All of it, where it is to a request that has no answer; empty: it is none."""

    def could_not_ask(self, letter: LetterRow, reason: str) -> None:
        """Nobody has that message, or will."""

    async def expire(self, request: PendingRequest) -> None:
        """Its own deadline has come."""

    async def follow(self, correlation_id: str, moves: Moves, *effects: Effect) -> None:
        """Commit, send, show; and end the request, where that is its outcome."""

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Know nothing of these any more."""

    def take_up(self, correlation_id: str, rows: Iterable[AgentRow], shown: str) -> None:
        """What a gateway before this one had asked agents, and is still awaited; ``shown``: a first answer."""

    def remember(self, name: UtteranceName, rows: Iterable[AgentRow], *, answered: bool) -> None:
        """What it had asked agents for a request that is over."""

    async def run(self) -> None:
        """Do what is due until cancelled."""


class NobodyByName:
    """No agent is named: whoever reads the transcripts may answer."""

    named = False

    def leads(self, _correlation_id: str) -> bool:
        """Nobody does."""
        return False

    def ask(self, _correlation_id: str) -> Moves | None:
        """Nobody is."""
        return None

    async def take(self, reply: OrchestratorReply, *_effects: Effect) -> str:
        """From nobody."""
        raise NotAsked(f"{reply.agent} was not asked")

    def is_late_answer(self, _reply: OrchestratorReply) -> bool:
        """Of nobody."""
        return False

    def missed_answer(self, _reply: OrchestratorReply) -> str:
        """Nobody's is."""
        return ""

    def could_not_ask(self, letter: LetterRow, reason: str) -> None:
        """That is another gateway's, or was."""

    async def expire(self, request: PendingRequest) -> None:
        """Of nobody."""

    async def follow(self, correlation_id: str, moves: Moves, *effects: Effect) -> None:
        """There are none."""

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Nothing is known."""

    def take_up(self, correlation_id: str, rows: Iterable[AgentRow], shown: str) -> None:
        """Whoever they were, none of them is named any more: the request waits for its deadline."""

    def remember(self, name: UtteranceName, rows: Iterable[AgentRow], *, answered: bool) -> None:
        """It is over."""

    async def run(self) -> None:
        """Nothing ever is."""
