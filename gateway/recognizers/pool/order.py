"""What somebody in this gateway wants of the pool: one utterance, from its being asked for to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.contract.recognition import Urgency
from gateway.recognizers.pool.jobs import PackedAudio
from gateway.recognizers.pool.workers import Need
from transcription.names_in_log import names_of
from transcription.priority import Priority
from transcription.recognizing import Recognized
from transcription.transcriber import Hints
from transcription.utterance.segmenter import Utterance

TRIES = 3
"""Where nobody else could do it, a job is sent so often that a recognizer lacked something for."""


@dataclass(slots=True, eq=False)
class Order:
    """``patience``: seconds in which a recognizer must have begun; None: as long as it takes.

    ``may_wait``: nobody else could do it, so that it waits while no recognizer is there, and is sent again. ``kept``:
    never refused for want of room. ``ahead``: it was begun before the utterance had ended.
    """

    utterance: Utterance
    hints: Hints
    need: Need
    owner: str
    answer: asyncio.Future[Recognized]
    asked_at: float
    urgency: Urgency = Urgency.FINAL
    priority: Priority = Priority.NORMAL
    patience: float | None = None
    may_wait: bool = False
    ahead: bool = False
    kept: bool = False
    tries: int = 0
    bypassed: bool = False
    """It was asked for again, for who was there for it is gone."""
    expected: float = 0.0
    """Seconds from ``asked_at`` to its text, as it was thought then."""
    jobs: set[str] = field(default_factory=set)
    """Under which it was sent."""
    packed: PackedAudio | None = None
    expiry: asyncio.TimerHandle | None = None
    names: dict[str, str] = field(default_factory=lambda: names_of(structlog.contextvars.get_contextvars()))
    """By which the log knows it: as whoever asks for it is known there."""

    @property
    def behind(self) -> bool:
        """Nobody waits next to it."""
        return self.urgency is Urgency.FILE

    @property
    def done(self) -> bool:
        """It has its answer, or nobody wants one any more."""
        return self.answer.done()

    def fail(self, error: Exception) -> None:
        """It comes to nothing. Nothing when nobody waits any more."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def end(self) -> None:
        """Nobody waits any more. Idempotent."""
        self.stop_waiting()
        if not self.answer.done():
            self.answer.cancel()
        elif not self.answer.cancelled():
            self.answer.exception()  # nobody may have wanted to know

    def wait(self, seconds: float, then: Callable[[Order], None]) -> None:
        """Call ``then`` with it after so long, instead of what was to be called."""
        self.stop_waiting()
        self.expiry = asyncio.get_running_loop().call_later(seconds, then, self)

    def stop_waiting(self) -> None:
        """Nothing is called any more."""
        if self.expiry is not None:
            self.expiry.cancel()
            self.expiry = None


@dataclass(slots=True, eq=False)
class Sent:
    """One job of an order that is with the broker, or with a recognizer.

    ``was_free``: somebody could begin at once, so that what it takes beyond the work is the way. ``among``: who was
    there for it then. ``orphaned``: all of them are gone.
    """

    order: Order
    sent_at: float
    expected: float
    urgency: Urgency
    was_free: bool
    among: frozenset[str] = frozenset()
    orphaned: bool = False
    published: bool = False
    published_at: float = 0.0
    """When the broker had it, which may be away for long."""
