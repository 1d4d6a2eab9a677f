"""What a recognizer is to those who have speech, whatever works behind it, and wherever that is."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from transcription.priority import Priority
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, ON_CPU, Hints, Transcript, Where
from transcription.utterance.segmenter import Utterance

BUSY = 0.75
"""From this share of the room for utterances on, devices had better wait."""


class Phase(enum.StrEnum):
    """How the recognizer is.

    OFF stays; LOADING is the first; UNAVAILABLE (no engine) and DEGRADED (only the fallback, or the one
    before) are tried again until READY. An engine whose process ends is LOADING again, with the reason.
    ASLEEP was not needed for long and has freed its memory; WAKING is loading again because somebody speaks.
    """

    OFF = "off"
    LOADING = "loading"
    READY = "ready"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    ASLEEP = "asleep"
    WAKING = "waking"


@dataclass(frozen=True, slots=True)
class RecognizerState:
    """How the recognizer is, which engine it has, and when it is not well: why, and what to do."""

    phase: Phase
    engine: str = ""
    model: str = ""
    reason: str = ""
    remedy: str = ""
    progress: float | None = None
    """Of a model that takes long to come: how much is done, in [0, 1]; ``reason`` says of what."""
    languages: tuple[str, ...] = ()
    """Codes of those that the engine knows; empty: nobody knows."""
    where: Where = ON_CPU
    """What the engine computes on, which may be less than was hoped for."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """A transcript, how long it waited for its turn, and how long the recognizer took."""

    transcript: Transcript
    queue_seconds: float
    recognize_seconds: float
    ahead: bool = False
    """Whether the work was begun before the utterance had ended."""
    worker: str = ""
    """Which recognizer on another machine did it; empty: this gateway's own."""


class Guessing(Protocol):
    """An utterance that is recognized before it has ended, in case nothing more is said.

    To be handed to ``transcribe`` of who made it, with the utterance that came of it, or dropped. Its work gives way
    to that of finished utterances.
    """

    def fits(self, utterance: Utterance, hints: Hints = NO_HINTS) -> bool:
        """Whether nothing was said after it, and the same was known then."""

    def tell(self, on_text: Callable[[Transcript], None]) -> None:
        """Call this with the text when it is there, unless the guess is dropped or fails before."""

    def drop(self) -> None:
        """Nobody wants it any more. Idempotent."""


class Following(Protocol):
    """One utterance that is followed while it goes on."""

    def ask(self, so_far: Utterance, hints: Hints = NO_HINTS) -> None:
        """Have a look at this when there is time; it takes the place of what still waits."""

    def drop(self) -> None:
        """The utterance is over: nothing more is told about it. Idempotent."""


class Recognizing(Protocol):
    """All that is asked of a recognizer. Called on the event loop; only ``transcribe`` takes time."""

    @property
    def state(self) -> RecognizerState:
        """How it is now."""

    @property
    def waiting(self) -> int:
        """Utterances that wait: of each class ``settings.queue_utterances``, and those that devices keep."""

    def load(self, priority: Priority = Priority.NORMAL) -> float:
        """How much of the room for utterances of a class is taken: from ``BUSY`` on devices had better wait."""

    @property
    def verdict(self) -> bool | None:
        """Whether it has the engine that its settings mean; None: that is not known yet."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of what recognizers on other machines were asked for, by its name; empty: none is asked."""

    def change(self, settings: TranscriptionSettings) -> None:
        """From now on these settings, as far as they are the engine's; utterances wait for none of it.

        ``queue_utterances`` and ``partials`` stay as they were, and so does whether it is switched off.
        """

    def wake(self) -> None:
        """Somebody has begun to speak: an engine that is asleep is loaded meanwhile."""

    def guess(
        self,
        utterance: Utterance,
        *,
        owner: str,
        hints: Hints = NO_HINTS,
        priority: Priority = Priority.NORMAL,
    ) -> Guessing | None:
        """Begin with an utterance that may be over; None when there is no engine or too much to do."""

    def follow(
        self, *, owner: str, on_text: Callable[[Transcript], None], priority: Priority = Priority.NORMAL
    ) -> Following:
        """Follow an utterance that goes on: ``on_text`` gets what is made of each ``ask`` that was in time.

        Of those that wait only the newest is looked at, when there is nothing else to do and no more often
        than ``settings.partials`` allows.
        """

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
        """The utterance's text; a more urgent one is next, but for the others' tenth, and owners (devices) take turns.

        A ``guess`` that fits is taken for the utterance, so that its text may be there already.
        ``deadline``: seconds from now by which the recognizer must have begun with it; None waits
        for as long as it takes. ``kept``: its device keeps it until it hears, and is bounded by what it may have
        under way; such an utterance is never refused for want of room. ``behind``: it is done when there is nothing
        else to do. Raises QueueFull at once; EngineFailed, and
        GivenUp when the engine died of it too often; after the deadline ModelUnavailable when there is
        no engine and WaitedTooLong when there is; ModelUnavailable at once when switched off; RecognizerClosed.
        """
