"""What is to be done about a team's work, one step at a time; whoever owns it does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gateway.contract.agents import AgentAnswer
from gateway.pipeline.teams.members import Member
from gateway.pipeline.teams.outcome import TeamOutcome


@dataclass(frozen=True, slots=True)
class Ask:
    """Put it to this member."""

    member: Member
    answers: tuple[AgentAnswer, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Its answer is not needed any more."""

    member: Member


@dataclass(frozen=True, slots=True)
class Undo:
    """It is to undo what it did."""

    member: Member
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How this member did, for its breaker and its figures. ``failure`` empty: it answered, or was ``stopped``."""

    member: Member
    seconds: float
    failure: str = ""
    timed_out: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class ShowPiece:
    """Of the reply, to be appended."""

    text: str
    agent: str


@dataclass(frozen=True, slots=True)
class ShowInterim:
    """A whole first answer; a better one follows."""

    text: str
    agent: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The request's one end."""

    outcome: TeamOutcome


Step: TypeAlias = Ask | Stop | Undo | Verdict | ShowPiece | ShowInterim | Finish
