"""One utterance that is looked at while it goes on, by the pool or by the gateway's own engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gateway.contract.recognition import Urgency
from gateway.recognizers.pool.sides import Sides
from gateway.recognizers.pool.standing import Stand
from transcription.priority import Priority
from transcription.recognizing import Following, Recognized
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

PATIENCE_SECONDS = 2.0
"""A look that is not begun by then is worth nothing."""


class PoolFollowing:
    """``Following``; made by :meth:`PooledRecognizer.follow`. Whoever has the first look has them all, in order."""

    def __init__(
        self,
        sides: Sides,
        owner: str,
        on_text: Callable[[Transcript], None],
        priority: Priority,
    ) -> None:
        self._sides = sides
        self._owner = owner
        self._on_text = on_text
        self._priority = priority
        self._own: Following | None = None
        self._look: asyncio.Task[Recognized] | None = None
        self._next: tuple[Utterance, Hints] | None = None
        self._by_pool = False
        self._over = False

    def ask(self, so_far: Utterance, hints: Hints = NO_HINTS) -> None:
        """Have a look at this when there is time; it takes the place of what still waits."""
        if self._over:
            return
        hints = replace(hints, draft=True, word_timestamps=False)
        if not self._by_pool and self._own is None:
            need = self._sides.need(hints)
            self._by_pool = self._sides.first(so_far, need, self._priority) is not Stand.OWN
        if not self._by_pool:
            self._ask_own(so_far, hints)
        elif self._look is not None:
            self._next = so_far, hints
        else:
            self._ask_pool(so_far, hints)

    def _ask_own(self, so_far: Utterance, hints: Hints) -> None:
        if self._own is None:
            self._own = self._sides.own.follow(
                owner=self._owner, on_text=self._on_text, priority=self._priority
            )
        self._own.ask(so_far, hints)

    def _ask_pool(self, so_far: Utterance, hints: Hints) -> None:
        """Unless a final text would have to wait for it, or looks have their share already."""
        sides = self._sides
        need = sides.need(hints)
        if not sides.may_look(so_far, need):
            return
        order = sides.order(
            so_far, need, hints=hints, owner=self._owner, priority=self._priority, urgency=Urgency.PARTIAL
        )
        order.patience, order.may_wait = PATIENCE_SECONDS, False
        sides.looks += 1
        self._look = asyncio.create_task(sides.pool.ask(order), name="recognizer pool: a look")
        self._look.add_done_callback(self._looked)

    def _looked(self, look: asyncio.Task[Recognized]) -> None:
        self._sides.looks -= 1
        self._look = None
        if look.cancelled() or look.exception() is not None or self._over:
            return
        transcript = look.result().transcript
        if not transcript.doubtful:
            self._on_text(transcript)
        if self._next is not None:
            (so_far, hints), self._next = self._next, None
            self._ask_pool(so_far, hints)

    def drop(self) -> None:
        """The utterance is over: nothing more is told about it. Idempotent."""
        self._over = True
        self._next = None
        if self._own is not None:
            self._own.drop()
        if self._look is not None:
            self._look.cancel()
