"""What the recognizer does for somebody: an utterance, until its text is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from transcription.errors import EngineFailed, TranscriptionError
from transcription.names_in_log import names_of
from transcription.priority import Priority
from transcription.recognizing import Recognized
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """An utterance that waits for the engine, or that it is at. ``ahead``: it may not be the whole of it.

    ``alone``: the engine died of a batch that it was in. ``behind``: everything else is done before.
    """

    owner: str
    utterance: Utterance
    answer: asyncio.Future[Recognized]
    queued_at: float
    hints: Hints = NO_HINTS
    ahead: bool = False
    patience: float | None = None
    expiry: asyncio.TimerHandle | None = None
    deaths: int = 0
    alone: bool = False
    behind: bool = False
    priority: Priority = Priority.NORMAL
    names: dict[str, str] = field(default_factory=lambda: names_of(structlog.contextvars.get_contextvars()))
    """By which the log knows it: as whoever asks for it is known there."""

    def await_turn(self, on_expiry: Callable[[Job], None]) -> None:
        """Its patience counts from now."""
        if self.expiry is not None:
            self.expiry.cancel()
        if self.patience is not None:
            loop = asyncio.get_running_loop()
            self.expiry = loop.call_later(self.patience, on_expiry, self)

    def fail(self, error: Exception) -> None:
        """It could not be done; a foreign error is translated here. Nothing when nobody waits any more."""
        log.warning("utterance failed", error=str(error), **self.names)
        if self.answer.done():
            return
        if not isinstance(error, TranscriptionError):
            error = EngineFailed(f"{type(error).__name__}: {error}")
        self.answer.set_exception(error)


class Guess:
    """An utterance that is recognized before it has ended, in case nothing more is said.

    Made by :meth:`Recognizer.guess`; to be handed to :meth:`Recognizer.transcribe` with the utterance
    that came of it, or dropped. Its work gives way to that of finished utterances.
    """

    def __init__(self, job: Job, drop: Callable[[Guess], None]) -> None:
        self.job = job
        self._drop = drop

    def fits(self, utterance: Utterance, hints: Hints = NO_HINTS) -> bool:
        """Whether nothing was said after it, and the same was known then."""
        guessed = self.job.utterance
        same_speech = (guessed.start, guessed.speech_end) == (utterance.start, utterance.speech_end)
        return same_speech and self.job.hints == hints

    def tell(self, on_text: Callable[[Transcript], None]) -> None:
        """Call this with the text when it is there, unless the guess is dropped or fails before."""

        def done(answer: asyncio.Future[Recognized]) -> None:
            if not answer.cancelled() and answer.exception() is None:
                on_text(answer.result().transcript)

        self.job.answer.add_done_callback(done)

    def drop(self) -> None:
        """Nobody wants it any more. Idempotent."""
        self._drop(self)
