"""One utterance between the pool and the gateway's own engine, until somebody has its text."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import structlog

from gateway.recognizers.pool.order import Order
from gateway.recognizers.pool.sides import Sides
from gateway.recognizers.pool.standing import Contest, Happening, NextStep, Stand
from transcription.errors import GivenUp, TranscriptionError
from transcription.recognizing import Guessing, Recognized

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 0.25
"""When the own engine is late and the pool has no room."""


class Race:
    """``run`` once. ``guess``: the own engine's, or somebody's; ``begun``: the pool is at it already."""

    def __init__(
        self,
        sides: Sides,
        order: Order,
        first: Stand,
        *,
        guess: Guessing | None = None,
        begun: bool = False,
    ) -> None:
        self._sides = sides
        self._order = order
        self._contest = Contest(first)
        self._guess = guess
        self._began_at = asyncio.get_running_loop().time()
        self._own: asyncio.Task[Recognized] | None = None
        self._pool: asyncio.Task[Recognized] | None = None
        self._begun = begun
        self._late_at = math.inf
        self._error: TranscriptionError | None = None

    async def run(self) -> Recognized:
        """The text. Raises as ``Recognizing.transcribe`` does."""
        try:
            self._begin()
            while True:
                await asyncio.wait(self._running, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
                for what, outcome in self._happened():
                    if (recognized := self._deal_with(what, outcome)) is not None:
                        return recognized
        finally:
            await self._stop()

    # -- who is at it

    def _begin(self) -> None:
        if self._contest.stand in {Stand.OWN, Stand.OWN_LAST}:
            self._ask_own()
        else:
            self._ask_pool()

    def _ask_own(self) -> None:
        self._own = asyncio.create_task(self._by_own(), name="recognizer: by the own engine")
        self._await_from(self._own_expected())

    def _ask_pool(self) -> None:
        pool = self._sides.pool
        answer = pool.answer(self._order) if self._begun else pool.ask(self._order)
        self._pool = asyncio.create_task(answer, name="recognizer: by the pool")
        expected = max(self._order.expected - (self._began_at - self._order.asked_at), 0.0)
        spread = self._sides.pool.estimate.forecast.spread(self._order.expected, self._now)
        self._await_from(expected + spread)

    def _await_from(self, seconds: float) -> None:
        """Whoever was asked last is late after so long; nobody is with what nobody waits for."""
        self._late_at = math.inf if self._order.behind else self._now + seconds

    def _own_expected(self) -> float:
        queue, order = self._sides.own_queue, self._order
        expected = queue.expect(order.utterance.seconds, order.priority, self._now)
        return expected + queue.estimate.forecast.spread(expected, self._now)

    async def _by_own(self) -> Recognized:
        order, queue, began = self._order, self._sides.own_queue, self._now
        work = queue.begin(order.utterance.seconds, order.priority, began, behind=order.behind)
        recognized: Recognized | None = None
        try:
            recognized = await self._sides.own.transcribe(
                order.utterance,
                owner=order.owner,
                hints=order.hints,
                deadline=self._left,
                guess=self._guess,
                kept=order.kept,
                behind=order.behind,
                priority=order.priority,
            )
        finally:
            queue.end(work, recognized, self._now)
        return replace(recognized, queue_seconds=recognized.queue_seconds + began - self._began_at)

    # -- what happens

    @property
    def _running(self) -> list[asyncio.Task[Recognized]]:
        return [one for one in (self._own, self._pool) if one is not None]

    @property
    def _patience(self) -> float | None:
        """Until somebody is late; None: nobody can be."""
        if self._contest.stand not in {Stand.POOL, Stand.OWN} or math.isinf(self._late_at):
            return None
        return max(0.0, self._late_at - self._now)

    def _happened(self) -> list[tuple[Happening, Recognized | TranscriptionError | None]]:
        """A text before all."""
        found: list[tuple[Happening, Recognized | TranscriptionError | None]] = []
        if self._pool is not None and self._pool.done():
            found.append(_outcome(self._pool, Happening.POOL_FAILED))
            self._pool = None
        if self._own is not None and self._own.done():
            found.append(_outcome(self._own, Happening.OWN_FAILED))
            self._own = None
        if not found and self._now >= self._late_at:
            found.append((Happening.LATE, None))
        return sorted(found, key=lambda one: one[0] is not Happening.TEXT)

    def _deal_with(
        self, what: Happening, outcome: Recognized | TranscriptionError | None
    ) -> Recognized | None:
        """The text, once there is one. Raises what nobody could do anything about."""
        if what is Happening.LATE and self._contest.stand is Stand.OWN and not self._pool_may_help:
            self._late_at = self._now + LOOK_AGAIN_SECONDS
            return None
        if isinstance(outcome, TranscriptionError) and (
            self._error is None or what is not Happening.POOL_FAILED
        ):
            self._error = outcome  # why the own engine could not is what people can do something about
        stand = self._contest.stand
        match self._contest.happens(what):
            case NextStep.TAKE:
                assert isinstance(outcome, Recognized)
                return outcome
            case NextStep.ASK_OWN:
                log.info("the own engine helps", why=what.value, seconds=round(self._now - self._began_at, 3))
                self._sides.note(stand, what)
                self._ask_own()
            case NextStep.ASK_POOL:
                log.info("the pool helps", why=what.value, seconds=round(self._now - self._began_at, 3))
                self._sides.note(stand, what)
                self._order.asked_at, self._order.patience = self._now, self._left
                self._ask_pool()
            case NextStep.FAIL:
                assert self._error is not None
                raise self._error
            case NextStep.NOTHING:
                pass
        return None

    @property
    def _pool_may_help(self) -> bool:
        return self._sides.pool.free(self._order.need) > 0

    @property
    def _left(self) -> float | None:
        """Of the patience with which it was asked for."""
        patience = self._order.patience
        return None if patience is None else max(0.0, patience - (self._now - self._began_at))

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _stop(self) -> None:
        """Whoever is still at it need not be. What comes of it all the same is nobody's."""
        if running := self._running:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.exception()


def _outcome(
    task: asyncio.Task[Recognized], failed: Happening
) -> tuple[Happening, Recognized | TranscriptionError]:
    if task.cancelled():
        return failed, TranscriptionError("it was given up")
    error = task.exception()
    if error is None:
        return Happening.TEXT, task.result()
    if isinstance(error, GivenUp):
        return Happening.POISON, error
    if isinstance(error, TranscriptionError):
        return failed, error
    raise error
