"""Which agents there are, which of them are there, and which are left alone for now. No I/O, no clock.

``now`` is the caller's, in seconds of whichever clock it uses throughout. Only agents that the configuration names are
known here: of others nothing is kept but that somebody goes by their names.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.contract.agents import ABSENT_SECONDS, AgentPresence
from gateway.pipeline.agents.answer_cache import AnswerCaches, CacheFigures
from gateway.pipeline.agents.breaker import Breaker, BreakerState
from gateway.pipeline.agents.copies import AgentCopies, AgentCopy
from gateway.pipeline.agents.track_record import AgentFigures, TrackRecord
from gateway.settings.orchestrator import AgentSettings

MOST_STRANGERS = 32
STRANGER_SECONDS = 60.0
"""Names that no agent has in the configuration: so many, for so long after somebody last went by them."""
REASON_CHARACTERS = 500
"""Of why a record cannot be read, more is cut off."""


class Absence(enum.StrEnum):
    """Why an agent is not asked."""

    ABSENT = "not there"
    BREAKER_OPEN = "failed too often"


@dataclass(frozen=True, slots=True)
class AgentStanding:
    """How it is with one agent. ``seen_at``: when it was last known to be there; None: never."""

    name: str
    is_present: bool
    is_known: bool
    """Whether it has been seen, or has had the time to show itself."""
    copies: tuple[AgentCopy, ...]
    breaker: BreakerState
    figures: AgentFigures
    seen_at: float | None
    unreadable: str
    """Why what it said of itself last cannot be read; empty: it can, or it said nothing."""
    cache: CacheFigures | None = None
    """None: none of its answers is given again."""


class _Known:
    """What is known of one agent."""

    def __init__(self, settings: AgentSettings) -> None:
        self.copies = AgentCopies()
        self.record = TrackRecord()
        self.breaker = Breaker(
            settings.breaker,
            settings.timeout_seconds * (1 + settings.retries) + settings.breaker.open_seconds,
        )
        self.answered_at: float | None = None
        self.unreadable = ""


class AgentRoster:
    """All that the configuration names. Whatever is said of anybody else changes nothing."""

    def __init__(self, agents: Mapping[str, AgentSettings], now: float) -> None:
        self._agents = {name: _Known(settings) for name, settings in agents.items()}
        self.answers = AnswerCaches(agents)
        """What they have answered, where that is given again."""
        self._patient_until = now + ABSENT_SECONDS
        self._strangers: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._agents)

    def be_patient(self, now: float) -> None:
        """Nobody could be heard of until now: whoever is there has the time again to say so."""
        self._patient_until = now + ABSENT_SECONDS

    # -- who is there

    def seen(self, presence: AgentPresence, now: float) -> None:
        """A copy of an agent says that it is there, or that it leaves."""
        known = self._agents.get(presence.agent)
        if known is None:
            self._note_stranger(presence.agent, now)
            return
        was_there = self.is_present(presence.agent, now)
        known.copies.seen(presence, now)
        known.unreadable = ""
        if not was_there:
            known.breaker.renewed(now)

    def misread(self, agent: str, reason: str, now: float) -> None:
        """What it says of itself cannot be read: it is not there for that, but somebody will want to know why."""
        known = self._agents.get(agent)
        if known is None:
            self._note_stranger(agent, now)
        else:
            known.unreadable = reason[:REASON_CHARACTERS]

    def is_present(self, agent: str, now: float) -> bool:
        """Whether it is there, or may be: when it had no time to show itself yet, and when it answered just now."""
        known = self._agents.get(agent)
        if known is None:  # a gateway before this one, which knew it, may have asked it
            return now < self._patient_until
        if known.copies.here(now):
            return True
        answered = known.answered_at is not None and now - known.answered_at < ABSENT_SECONDS
        return not known.copies.have_left and (answered or now < self._patient_until)

    def clock(self, agent: str, now: float) -> float:
        """What time it has there (Unix); 0 where that is not known."""
        known = self._agents.get(agent)
        return 0.0 if known is None else known.copies.clock(now)

    def strangers(self, now: float) -> tuple[str, ...]:
        """Who says to be there under a name that the configuration does not know."""
        return tuple(sorted(name for name, at in self._strangers.items() if now - at < STRANGER_SECONDS))

    # -- who is asked, and what comes of it

    def why_not(self, agent: str, now: float) -> Absence | None:
        """Why it is not to be asked now; None: it may be."""
        known = self._agents.get(agent)
        if not self.is_present(agent, now):
            return Absence.ABSENT
        return None if known is None or known.breaker.allows(now) else Absence.BREAKER_OPEN

    def asked(self, agent: str, now: float) -> None:
        """It is asked, perhaps to see whether it answers again."""
        known = self._agents.get(agent)
        if known is not None:
            known.record.asked()
            known.breaker.asked(now)

    def answered(self, agent: str, seconds: float, now: float) -> None:
        """It has answered, after so long."""
        known = self._agents.get(agent)
        if known is not None:
            known.record.answered(seconds)
            known.breaker.succeeded(now, now - seconds)
            known.answered_at = now

    def failed(
        self,
        agent: str,
        reason: str,
        *,
        timed_out: bool,
        now: float,
        seconds: float | None = None,
        about: object = None,
    ) -> None:
        """It has not; ``seconds`` after it was asked, where that is known. ``about``: what it was asked for."""
        known = self._agents.get(agent)
        if known is not None:
            known.record.failed(reason, timed_out=timed_out, about=about)
            known.breaker.failed(now, None if seconds is None else now - seconds)

    def given_up(self, agent: str) -> None:
        """Nobody waits for its answer any more: it has neither answered nor failed."""
        known = self._agents.get(agent)
        if known is not None:
            known.breaker.abandoned()

    def forget(self, is_gone: Callable[[Any], bool]) -> None:
        """What agents said over these is told to nobody any more."""
        for known in self._agents.values():
            known.record.forget(is_gone)
        self.answers.forget(is_gone)

    # -- what people are told

    def standing(self, agent: str, now: float) -> AgentStanding | None:
        """How it is with one; None: the configuration does not know it."""
        known = self._agents.get(agent)
        if known is None:
            return None
        cache = self.answers.of(agent)
        times = [at for at in (known.copies.seen_at, known.answered_at) if at is not None]
        return AgentStanding(
            name=agent,
            is_present=self.is_present(agent, now),
            is_known=bool(times) or now >= self._patient_until,
            copies=known.copies.here(now),
            breaker=known.breaker.state(now),
            figures=known.record.figures(),
            seen_at=max(times, default=None),
            unreadable=known.unreadable,
            cache=None if cache is None else cache.figures(),
        )

    def standings(self, now: float) -> list[AgentStanding]:
        """How it is with all of them, in the configuration's order."""
        return [one for one in (self.standing(name, now) for name in self._agents) if one is not None]

    def _note_stranger(self, name: str, now: float) -> None:
        self._strangers.pop(name, None)
        self._strangers[name] = now
        if len(self._strangers) > MOST_STRANGERS:
            self._strangers.popitem(last=False)
