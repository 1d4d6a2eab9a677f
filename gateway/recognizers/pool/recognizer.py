"""The pool, and the gateway's own engine where there is one, as one recognizer: whoever is sooner is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeAlias

from gateway.contract.recognition import Urgency
from gateway.process.mishaps import Mishaps
from gateway.recognizers.pool.following import PoolFollowing
from gateway.recognizers.pool.guess import PoolGuess
from gateway.recognizers.pool.pool import Pool
from gateway.recognizers.pool.race import Race
from gateway.recognizers.pool.sides import OwnRecognizer, Sides
from gateway.recognizers.pool.standing import Stand
from gateway.recognizers.pool.workers import Need
from transcription.errors import QueueFull, RecognizerClosed
from transcription.priority import Priority
from transcription.recognizing import Following, Guessing, Phase, Recognized, RecognizerState
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

OnPool: TypeAlias = Callable[[str, str, str], None]
"""Who is there, and when none of them has the model: why, and what helps."""


class PooledRecognizer:
    """``Recognizing``: ``async with`` begins and ends it, the own recognizer included, which ``open_own`` makes.

    ``model``: what the pool's are to have; empty: that of the settings. ``on_state`` is told each new state,
    ``on_pool`` who is there.
    """

    def __init__(
        self,
        open_own: Callable[[Callable[[RecognizerState], None]], OwnRecognizer],
        pool: Pool,
        settings: TranscriptionSettings,
        *,
        model: str,
        mishaps: Mishaps,
        on_state: Callable[[RecognizerState], None] = lambda _: None,
        on_pool: OnPool = lambda _there, _reason, _remedy: None,
    ) -> None:
        self.own = open_own(self.own_changed)
        self.pool = pool
        self.sides = Sides(self.own, pool, settings, model)
        self._mishaps = mishaps
        self._on_state = on_state
        self._on_pool = on_pool
        pool.on_change = self._pool_changed
        self._told: RecognizerState | None = None
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._closing = False

    # -- how it is

    @property
    def has_own(self) -> bool:
        """Whether there is an engine here, or may be."""
        return self.sides.has_own

    def need(self, hints: Hints) -> Need:
        """What a worker must have for an utterance."""
        return self.sides.need(hints)

    @property
    def state(self) -> RecognizerState:
        """The own engine's, unless it is the pool's that counts."""
        own = self.own.state
        if own.phase not in {Phase.OFF, Phase.LOADING, Phase.UNAVAILABLE, Phase.DEGRADED}:
            return own
        need = self.need(NO_HINTS)
        if self.pool.hands(need).capacity:
            languages = self.pool.workers.languages(need.model, self._loop.time())
            return RecognizerState(Phase.READY, "", need.model, languages=languages)
        if own.phase is not Phase.OFF:
            return own
        return self._nobody(need)

    def _nobody(self, need: Need) -> RecognizerState:
        """With the reason, once those that are there had time to say so."""
        if not self.pool.looked:
            return RecognizerState(Phase.LOADING, "", need.model, "recognizers are being looked for")
        return RecognizerState(Phase.UNAVAILABLE, "", need.model, *self.pool.why_none(need))

    @property
    def waiting(self) -> int:
        """Utterances that wait, here or there."""
        return self.own.waiting + self.pool.waiting

    def load(self, priority: Priority = Priority.NORMAL) -> float:
        """Of whoever has more room."""
        pool = self.pool.load(priority)
        return min(pool, self.own.load(priority)) if self.has_own else pool

    @property
    def verdict(self) -> bool | None:
        """The own engine's; without one, whether anybody is there who has the model."""
        if self.has_own:
            return self.own.verdict
        there = self.pool.hands(self.need(NO_HINTS)).capacity > 0
        return there if there or self.pool.looked else None

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of jobs and results, and how often the own engine and the pool had to help each other."""
        return {**self.pool.counts, **self.sides.counts}

    def change(self, settings: TranscriptionSettings) -> None:
        """See :class:`Recognizing`."""
        self.sides.settings = settings
        self.pool.change(settings)
        if self.has_own:
            self.own.change(settings)
        self._changed()

    def wake(self) -> None:
        """An own engine that is asleep is loaded meanwhile."""
        self.own.wake()

    # -- its life

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        await self.own.__aenter__()
        self._changed()
        work = {
            "recognizer pool: results": self.pool.read_results,
            "recognizer pool: presence": self.pool.hear_workers,
            "recognizer pool: watch": self.pool.watch,
        }
        self._tasks = [
            self._group.create_task(self._mishaps.keep_up(name, one), name=name) for name, one in work.items()
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close(5.0 if error is None else 0.0)
            await self.own.__aexit__(kind, error, trace)
        finally:
            for task in self._tasks:
                task.cancel()
            await self._group.__aexit__(None, None, None)

    async def close(self, drain_seconds: float = 5.0) -> None:
        """Take nothing more, finish what waits within so long, fail the rest. Idempotent."""
        if self._closing:
            return
        self._closing = True
        await asyncio.gather(self.pool.close(drain_seconds), self.own.close(drain_seconds))

    def _pool_changed(self) -> None:
        """Who is there has changed."""
        need = self.need(NO_HINTS)
        having = Counter(one.model for one in self.pool.present)
        there = ", ".join(f"{count} with {model}" for model, count in sorted(having.items()))
        if self.pool.hands(need).capacity:
            self._on_pool(there, "", "")
        elif self.pool.looked:
            self._on_pool(there, *self.pool.why_none(need))
        self._changed()

    def own_changed(self, _state: RecognizerState) -> None:
        """The own engine is another way than before."""
        self._changed()

    def _changed(self) -> None:
        state = self.state
        if state != self._told:
            self._told = state
            self._on_state(state)

    # -- the work

    def guess(
        self,
        utterance: Utterance,
        *,
        owner: str,
        hints: Hints = NO_HINTS,
        priority: Priority = Priority.NORMAL,
    ) -> Guessing | None:
        """See :class:`Recognizing`."""
        if self._closing:
            return None
        need = self.need(hints)
        if self.sides.first(utterance, need, priority) is Stand.OWN:
            self.wake()
            own = self.own.guess(utterance, owner=owner, hints=hints, priority=priority)
            if own is not None:
                return own
        if self.pool.free(need) < 1:
            return None
        order = self.sides.order(
            utterance, need, hints=hints, owner=owner, priority=priority, urgency=Urgency.GUESS
        )
        try:
            self.pool.begin(order)
        except QueueFull:
            return None
        return PoolGuess(order, self.pool.leave)

    def follow(
        self, *, owner: str, on_text: Callable[[Transcript], None], priority: Priority = Priority.NORMAL
    ) -> Following:
        """See :class:`Recognizing`."""
        return PoolFollowing(self.sides, owner, on_text, priority)

    async def transcribe(
        self,
        utterance: Utterance,
        *,
        owner: str,
        hints: Hints = NO_HINTS,
        deadline: float | None = None,
        guess: Guessing | None = None,
        kept: bool = False,
        behind: bool = False,
        priority: Priority = Priority.NORMAL,
    ) -> Recognized:
        """See :class:`Recognizing`."""
        if self._closing:
            raise RecognizerClosed("the recognizer is closed")
        need = self.need(hints)
        if isinstance(guess, PoolGuess) and guess.fits(utterance, hints):
            self.pool.make_final(guess.order, deadline)
            first = Stand.POOL if self.has_own else Stand.POOL_LAST
            return await Race(self.sides, guess.order, first, begun=True).run()
        urgency = Urgency.FILE if behind else Urgency.FINAL
        order = self.sides.order(
            utterance, need, hints=hints, owner=owner, priority=priority, urgency=urgency
        )
        order.patience, order.kept = deadline, kept
        first = self.sides.first(utterance, need, priority, behind=behind)
        if guess is not None and guess.fits(utterance, hints) and not isinstance(guess, PoolGuess):
            first = Stand.OWN
        elif guess is not None:
            guess.drop()
            guess = None
        return await Race(self.sides, order, first, guess=guess).run()
