"""What stands in front of the segmenter where a wake word is wanted: without one, nothing that is said is an utterance.

Asleep, it keeps the last seconds only, and listens for the wake word. Awake, it hands on what follows that, from the
first word on, until there was one utterance; or until nobody has said anything for too long. It counts audio time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.utterance.segmenter import (
    WINDOW,
    EndReason,
    SegmenterEvent,
    SpeechStarted,
    Utterance,
    UtteranceSegmenter,
)
from transcription.wake.ear import Spotted
from transcription.wake.word_end import word_end

PIECE = 960
"""Samples that are listened to at a time: 60 ms."""
KEPT = 2 * SAMPLE_RATE
"""Samples kept while asleep: the longest wake word, and the room before it."""
BEFORE = 3 * SAMPLE_RATE // 2
"""Samples before a wake word was certain in which it lies."""
AGAIN = 3 * SAMPLE_RATE // 2
"""Speech that began so many samples before a wake word was certain is that wake word."""
TAIL = 6 * WINDOW
"""Speech that ends so soon after the end of a wake word is a rest of it: no word is so short."""
LOOK_AHEAD = SAMPLE_RATE * 240 // 1000
"""Samples behind the place where it was certain that tell whether there is a pause; the word is told at once."""
NAMED_LAG = SAMPLE_RATE // 5
"""A device that hears a wake word itself says so about so many samples behind it."""
_BYTES = 2  # of a PCM16 sample


class HearsWords(Protocol):
    """Listens for wake words in one stream; positions count samples since its first."""

    @property
    def heard(self) -> int:
        """Samples that were listened to."""

    def feed(self, samples: Samples, /) -> Spotted | None:
        """The next audio, and what was said in it."""


@dataclass(frozen=True, slots=True)
class Woken:
    """A wake word was said: what follows it is heard. ``certainty`` in [0, 1]; None: somebody else has heard it."""

    phrase: str
    certainty: float | None = None


@dataclass(frozen=True, slots=True)
class FellAsleep:
    """It was the wake word alone (``in_vain``), or there was the utterance. Nothing more is heard."""

    in_vain: bool


@dataclass(frozen=True, slots=True)
class NothingSaid:
    """What had begun as an utterance was the wake word itself: none follows."""


GateEvent: TypeAlias = SegmenterEvent | Woken | FellAsleep | NothingSaid


class WakeGate:
    """A segmenter that is asleep until its wake word; to be fed as one."""

    def __init__(
        self,
        listen: Callable[[], HearsWords | None],
        segmenter: Callable[[], UtteranceSegmenter],
        seconds: float,
    ) -> None:
        """``listen`` makes the ear, as soon as it can; ``segmenter`` one for what follows a wake word.

        ``seconds``: how long that may take.
        """
        self._listen = listen
        self._new_segmenter = segmenter
        self._patience = int(seconds * SAMPLE_RATE)
        self._ear: HearsWords | None = None
        self._shift = 0  # a stream position less the ear's
        self._spotted: Spotted | None = None
        self._awake: UtteranceSegmenter | None = None
        self._woken_at = -AGAIN
        self._heard_from = self._given_to = 0
        self._speech_from: int | None = None
        self._kept = bytearray()
        self._received = 0
        self._begun = False
        self._needed_from = 0

    @property
    def is_asleep(self) -> bool:
        """Whether what is said now is no utterance."""
        return self._awake is None and self._spotted is None

    @property
    def in_utterance(self) -> bool:
        """Whether an utterance is in progress, or awaited: there was a wake word."""
        return not self.is_asleep

    @property
    def needed_from(self) -> int:
        """Audio before this position is not needed any more. What is not complete is needed with its wake word."""
        return self._kept_from if self._awake is None else self._needed_from

    def feed(self, chunk: AudioChunk) -> list[GateEvent]:
        """Take the next chunk; return what came of it, in order. Raises ValueError as a segmenter does."""
        since = chunk.position - chunk.lost_samples
        if chunk.lost_samples < 0 or since < 0 or (self._begun and since != self._received):
            raise ValueError(f"expected audio from position {self._received}, got it from {since}")
        pieces = [chunk.samples[at : at + PIECE] for at in range(0, len(chunk.samples), PIECE)] or [
            chunk.samples
        ]
        events = self._feed(AudioChunk(chunk.position, pieces[0], chunk.lost_samples))
        for piece in pieces[1:]:
            events += self._feed(AudioChunk(self._received, piece))
        return events

    def _feed(self, chunk: AudioChunk) -> list[GateEvent]:
        events: list[GateEvent] = []
        spotted = self._hear(chunk)
        if self._awake is not None:
            events += self._hand_on(chunk)
        if spotted is not None and not self._is_within(spotted):
            self._spotted = self._spotted or spotted
            events.append(Woken(spotted.word.phrase, spotted.certainty))
        if self._spotted is not None and self._received >= self._certain_at(self._spotted) + LOOK_AHEAD:
            events += self._begin(self._spotted)
        elif self._awake is not None and not self._awake.in_utterance:
            events += self._sleep_if_due()
        return events

    def wake(self, phrase: str) -> list[GateEvent]:
        """Somebody else has just heard the wake word: what follows is an utterance, unless it is known already."""
        if self._spotted is not None or self._is_spoken_to or self._received < self._woken_at + AGAIN:
            return []
        kept = self._samples(0, self._received)
        end = word_end(kept, max(0, len(kept) - NAMED_LAG)) if self._begun else 0
        return [Woken(phrase), *self._begin_at(self._kept_from + end, self._received)]

    def finish(self, reason: EndReason) -> list[GateEvent]:
        """End the stream. Idempotent."""
        events = [] if self._spotted is None else self._begin(self._spotted)
        if self._awake is not None:
            events += self._sift(self._awake.finish(reason))
        self._awake = None
        self._kept.clear()
        return events

    @property
    def _kept_from(self) -> int:
        return self._received - len(self._kept) // _BYTES

    def _samples(self, start: int, end: int) -> Samples:
        """What is kept between these positions."""
        first, last = (_BYTES * max(0, position - self._kept_from) for position in (start, end))
        return np.frombuffer(bytes(self._kept[first:last]), np.int16)

    def _hear(self, chunk: AudioChunk) -> Spotted | None:
        """Keep it, and listen for the wake word in it."""
        hole = chunk.lost_samples
        if self._ear is None:
            self._ear = self._listen()
            self._shift = chunk.position - hole
        self._begun = True
        self._received = chunk.position + len(chunk.samples)
        silence: Samples = np.zeros(min(hole, KEPT), np.int16)
        heard = np.concatenate((silence, chunk.samples)) if hole else chunk.samples
        self._kept += heard.tobytes()
        del self._kept[: -_BYTES * KEPT]
        self._shift += hole - len(silence)
        return None if self._ear is None else self._ear.feed(heard)

    def _certain_at(self, spotted: Spotted) -> int:
        return spotted.certain_at + self._shift

    @property
    def _is_spoken_to(self) -> bool:
        return self._awake is not None and self._awake.in_utterance

    def _is_within(self, spotted: Spotted) -> bool:
        """Whether it is a part of what is being said."""
        return self._is_spoken_to and (self._speech_from or 0) < self._certain_at(spotted) - AGAIN

    def _begin(self, spotted: Spotted) -> list[GateEvent]:
        """It is known where the wake word ends."""
        self._spotted = None
        certain_at = self._certain_at(spotted)
        since = max(self._kept_from, certain_at - BEFORE)
        samples = self._samples(since, certain_at + LOOK_AHEAD)
        end = word_end(samples, max(0, spotted.likely_at + self._shift - since), spotted.word.lag)
        return self._begin_at(since + end, certain_at)

    def _begin_at(self, position: int, woken_at: int) -> list[GateEvent]:
        position = max(position, self._given_to)
        events: list[GateEvent] = [NothingSaid()] if self._is_spoken_to else []
        if self._awake is None:
            self._needed_from = self._kept_from
        self._awake = self._new_segmenter()
        self._woken_at, self._heard_from, self._speech_from = woken_at, position, None
        if position < self._received:
            events += self._hand_on(AudioChunk(position, self._samples(position, self._received)))
        return events

    def _hand_on(self, chunk: AudioChunk) -> list[GateEvent]:
        assert self._awake is not None
        return self._sift(self._awake.feed(chunk))

    def _sift(self, events: list[SegmenterEvent]) -> list[GateEvent]:
        """What the segmenter tells; the wake word's own end is nothing, and one utterance is all."""
        told: list[GateEvent] = []
        for event in events:
            if isinstance(event, SpeechStarted) and self._speech_from is None:
                self._speech_from = event.position
            if not isinstance(event, Utterance):
                told.append(event)
            elif event.has_speech and event.speech_end <= self._heard_from + TAIL:
                self._speech_from = None
                told.append(NothingSaid())
            else:
                told.append(event)
                self._given_to = event.end
                if event.end_reason not in {EndReason.PAUSE, EndReason.MAX_LENGTH}:
                    return [*told, self._sleep(in_vain=False)]
        return told

    def _sleep_if_due(self) -> list[GateEvent]:
        is_due = self._received - self._woken_at >= self._patience
        return [self._sleep(in_vain=True)] if is_due else []

    def _sleep(self, *, in_vain: bool) -> FellAsleep:
        self._awake = None
        return FellAsleep(in_vain)
