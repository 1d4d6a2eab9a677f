"""What a recognizer is given: clips cut from speech as the gateway cuts them, rooms, noises, sounds without speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.settings import PartialsSettings, SegmenterSettings
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import (
    EndReason,
    SpeechGoesOn,
    SpeechPaused,
    Utterance,
    UtteranceSegmenter,
)
from transcription.utterance.vad import SileroModel

ROOM = 10.0
"""Root mean square of the room behind hands-free speech, in steps of PCM16."""


@dataclass(frozen=True)
class Clip:
    """Audio as it was cut out of its stream, and what is said in it.

    ``guesses`` are the utterances as they were in the pause before their end, one for each.
    """

    text: str
    utterances: list[Utterance]
    guesses: list[Utterance]
    looks: list[list[Utterance]] = field(default_factory=list)
    """For each utterance, what partials see of it."""


class Cutter:
    """Filter and segmenter as the gateway uses them, one of each for a clip."""

    def __init__(self) -> None:
        self._vad = SileroModel()

    def held(self, text: str, samples: Samples) -> Clip:
        """As from a board whose button is held while somebody speaks."""
        return self._cut(text, samples, end_on_silence=False)

    def free(self, text: str, samples: Samples) -> Clip:
        """As from a board that streams, where the gateway finds the end."""
        return self._cut(text, samples, end_on_silence=True)

    def _cut(self, text: str, samples: Samples, *, end_on_silence: bool) -> Clip:
        every = PartialsSettings().every_ms
        segmenter = UtteranceSegmenter(
            self._vad.stream(), SegmenterSettings(), end_on_silence=end_on_silence, partial_ms=every
        )
        events = segmenter.feed(OffsetFilter()(AudioChunk(0, samples))) + segmenter.finish(EndReason.STOP)
        utterances = [event for event in events if isinstance(event, Utterance)]
        paused = {
            (event.so_far.start, event.so_far.speech_end): event.so_far
            for event in events
            if isinstance(event, SpeechPaused)
        }
        looks = [event.so_far for event in events if isinstance(event, SpeechGoesOn | SpeechPaused)]
        return Clip(
            text,
            utterances,
            [paused.get((one.start, one.speech_end), one) for one in utterances],
            [[look for look in looks if look.start == one.start] for one in utterances],
        )


def in_room(samples: Samples, rng: np.random.Generator) -> Samples:
    """With a room's quiet before, behind and after it."""
    quiet = rng.normal(0, ROOM, len(samples) + 2 * SAMPLE_RATE)
    quiet[SAMPLE_RATE // 2 :][: len(samples)] += samples
    return pcm16(quiet)


def in_noise(samples: Samples, decibels: float, rng: np.random.Generator) -> Samples:
    """With white noise so many decibels below its own mean level."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 10 ** (-decibels / 20)
    return pcm16(samples + rng.normal(0, level, len(samples)))


def pcm16(samples: np.ndarray) -> Samples:
    """What is too loud is cut off."""
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def as_speech(utterance: Utterance) -> Utterance:
    """The same, as from a segmenter that was sure of it."""
    return Utterance(
        samples=utterance.samples, start=utterance.start, end=utterance.end, speech_end=utterance.end,
        has_speech=True, end_reason=EndReason.STOP, peak_probability=1.0,
    )  # fmt: skip


def noises() -> Iterator[Samples]:
    """Silence, noise of three colours, hum, clicks and puffs: each short and long, faint and loud."""
    rng = np.random.default_rng(2)
    for seconds in (0.3, 1.0, 3.0, 10.0):
        length = int(seconds * SAMPLE_RATE)
        time_ = np.arange(length) / SAMPLE_RATE
        white = rng.normal(0, 1, length)
        kinds = {
            "silence": np.zeros(length),
            "white": white,
            "pink": coloured(white, 0.5),
            "brown": coloured(white, 1.0),
            "hum": sum(np.sin(2 * np.pi * 50 * n * time_) / n for n in (1, 2, 3, 5)),
            "clicks": (rng.random(length) < 3 / SAMPLE_RATE) * rng.choice([-8, 8], length),
            "puff": coloured(white, 1.0) * np.exp(-4 * time_),
        }
        for kind in kinds.values():
            loudest = np.abs(kind).max()
            for level in (30, 1_000, 15_000):
                yield pcm16(kind * (level / loudest if loudest else 0))


def coloured(white: np.ndarray, exponent: float) -> np.ndarray:
    """White noise whose amplitude falls with the frequency to this power, from 20 Hz on."""
    frequencies = np.maximum(np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE), 20)
    shaped: np.ndarray = np.fft.irfft(np.fft.rfft(white) / frequencies**exponent, len(white))
    return shaped
