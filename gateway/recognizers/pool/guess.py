"""A guess that the pool is at: it becomes the utterance's text if nothing more is said, without a second job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.recognizers.pool.order import Order
from transcription.recognizing import Recognized
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance


class PoolGuess:
    """``Guessing``; made by :meth:`PooledRecognizer.guess`."""

    def __init__(self, order: Order, leave: Callable[[Order], None]) -> None:
        """``leave``: nobody wants it any more."""
        self.order = order
        self._leave = leave

    def fits(self, utterance: Utterance, hints: Hints = NO_HINTS) -> bool:
        """Whether nothing was said after it, the same was known then, and it may still come to something."""
        guessed, answer = self.order.utterance, self.order.answer
        same_speech = (guessed.start, guessed.speech_end) == (utterance.start, utterance.speech_end)
        failed = answer.done() and (answer.cancelled() or answer.exception() is not None)
        return same_speech and self.order.hints == hints and not failed

    def tell(self, on_text: Callable[[Transcript], None]) -> None:
        """Call this with the text when it is there, unless the guess is dropped or fails before."""

        def done(answer: asyncio.Future[Recognized]) -> None:
            if not answer.cancelled() and answer.exception() is None:
                on_text(answer.result().transcript)

        self.order.answer.add_done_callback(done)

    def drop(self) -> None:
        """Nobody wants it any more. Idempotent."""
        self._leave(self.order)
