"""The pool, and the gateway's own engine where there is one: which of them is to be asked, and for what."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Protocol, Self

from gateway.contract.recognition import Urgency
from gateway.recognizers.pool.jobs import need_of
from gateway.recognizers.pool.order import Order
from gateway.recognizers.pool.own_queue import OwnQueue
from gateway.recognizers.pool.pool import Pool
from gateway.recognizers.pool.standing import Happening, Stand
from gateway.recognizers.pool.workers import Need
from transcription.priority import Priority
from transcription.recognizing import Phase, Recognizing
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints
from transcription.utterance.segmenter import Utterance


class OwnRecognizer(Recognizing, Protocol):
    """The gateway's own, which is begun and ended here."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def close(self, drain_seconds: float = 5.0) -> None:
        """Take nothing more, finish what waits within so long, fail the rest. Idempotent."""


class Sides:
    """Both of them. ``model``: what the pool's are to have; empty: that of the settings."""

    def __init__(self, own: OwnRecognizer, pool: Pool, settings: TranscriptionSettings, model: str) -> None:
        self.own = own
        self.pool = pool
        self.settings = settings
        self.own_queue = OwnQueue()
        self.looks = 0
        """How many looks at speech that goes on the pool is at."""
        self.counts: Counter[str] = Counter()
        """How often one had to help the other, and why."""
        self._model = model
        self._loop = asyncio.get_running_loop()

    @property
    def has_own(self) -> bool:
        """Whether there is an engine here, or may be."""
        return self.own.state.phase is not Phase.OFF

    def need(self, hints: Hints) -> Need:
        """What a worker must have for an utterance."""
        return need_of(self._model or self.settings.model, hints, self.settings)

    def first(self, utterance: Utterance, need: Need, priority: Priority, *, behind: bool = False) -> Stand:
        """Who is to be asked first: whoever would have the text sooner."""
        if not self.has_own:
            return Stand.POOL_LAST
        now, audio = self._loop.time(), utterance.seconds
        pool = self.pool.expect(audio, need, prior=self.own_queue.estimate.work(audio, now))
        if pool is None:
            return Stand.OWN
        if self.own.state.phase is not Phase.READY:
            return Stand.POOL
        own = self.own_queue.expect(audio, priority, now, behind=behind)
        return Stand.POOL if pool < own else Stand.OWN

    def may_look(self, so_far: Utterance, need: Need) -> bool:
        """Whether the pool has time for a look at speech that goes on, and no final text has to wait for it."""
        settings = self.settings.partials
        hands, free = self.pool.hands(need), self.pool.free(need)
        if not free or self.looks >= max(1, int(settings.share * hands.capacity)):
            return False
        work = self.pool.estimate.work(so_far.seconds, hands, self._loop.time())
        return free > 1 or 1000 * work <= settings.longest_ms

    def order(
        self,
        utterance: Utterance,
        need: Need,
        *,
        hints: Hints,
        owner: str,
        priority: Priority,
        urgency: Urgency,
    ) -> Order:
        """What the pool is to be asked for."""
        return Order(
            utterance, hints, need, owner, self._loop.create_future(), self._loop.time(), urgency, priority,
            patience=self.settings.wait_seconds, may_wait=not self.has_own,
            ahead=urgency in {Urgency.GUESS, Urgency.PARTIAL},
            expected=self.pool.expect(utterance.seconds, need) or 0.0,
        )  # fmt: skip

    def note(self, asked: Stand, why: Happening) -> None:
        """Who was asked first did not do, and the other is asked."""
        self.counts[f"{asked.name.lower()}: {why.name.lower()}"] += 1
