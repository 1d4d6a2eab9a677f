"""[wer] Word errors of every engine and of every shortcut, against stock faster-whisper on the same audio.

The recordings that come with Earshot are streamed through the segmenter as from a held button, hands-free
and hands-free with noise; so are the recordings of people that Debian's pocketsphinx-testdata brings,
when it is installed, and what
espeak-ng makes of other commands. ``ahead`` is what a speculative final says: the text worked out in the pause before
the endpoint. What partials call stable is held against the final text (benchmarks/instruments/stability.py).
Silence, hum and noise must give no text at all, even when they are taken for speech.
EARSHOT_BENCH_MODEL names another model.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel

from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.stability import Stability
from benchmarks.instruments.words import word_errors, words
from benchmarks.load.synthesized import synthesized
from firmware_bridge.speech_files import read_wav, recordings
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples, from_pcm16, to_float32
from transcription.errors import ModelUnavailable
from transcription.models.models import STOCK_FLOOR, get_model
from transcription.settings import BUNDLED_MODEL, PartialsSettings, SegmenterSettings, TranscriptionSettings
from transcription.sphinx import SphinxTranscriber
from transcription.transcriber import Transcriber
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import (
    EndReason,
    SpeechGoesOn,
    SpeechPaused,
    Utterance,
    UtteranceSegmenter,
)
from transcription.utterance.vad import SileroModel
from transcription.whisper.engine import WhisperTranscriber

MODEL = os.environ.get("EARSHOT_BENCH_MODEL", BUNDLED_MODEL)
PEOPLE = Path("/usr/share/pocketsphinx/test/data")
POINTS = 0.5
"""A shortcut may cost so many points of word error."""

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


@dataclass
class Score:
    """What one way of recognizing made of one set."""

    errors: int = 0
    words: int = 0
    invented: int = 0
    retried: int = 0
    milliseconds: list[float] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """The word error rate."""
        return 100 * self.errors / max(self.words, 1)


Way = Callable[[Clip], tuple[str, bool]]
"""A way of recognizing: a clip's text, and whether the engine looked twice."""


def run(*, quick: bool) -> Result:
    step = 8 if quick else 1
    ways = _ways()
    sets = {name: clips[::step] for name, clips in _sets().items()}
    scores = {(name, way): _score(clips, ways[way]) for name, clips in sets.items() for way in ways}
    quiet = {name: clips[::step] for name, clips in _no_speech().items()}
    silence = {(name, way): _score(clips, ways[way]) for name, clips in quiet.items() for way in ways}
    metrics: dict[str, float | int | str] = {"model": MODEL}
    partials = {name: _partials(clips) for name, clips in sets.items()}
    for name, clips in sets.items():
        metrics[f"{name}, words"] = sum(len(clip.text.split()) for clip in clips)
        metrics |= {f"{name}, {way}, errors_%": scores[name, way].percent for way in ways}
        metrics |= {f"{name}, {way}, retried": scores[name, way].retried for way in ways if way in SHORTCUTS}
        metrics |= partials[name].metrics(name)
    for way in ways:
        times = [ms for name in sets for ms in scores[name, way].milliseconds]
        metrics[f"{way}, ms_p50"] = percentile(times, 50)
        metrics[f"{way}, ms_p95"] = percentile(times, 95)
    for name, clips in quiet.items():
        metrics[f"{name}, clips"] = len(clips)
        metrics |= {f"{name}, {way}, invented_words": silence[name, way].invented for way in ways}
    bars = [
        Bar(f"{name}: {way} context above full", scores[name, way].percent - scores[name, "full"].percent,
            POINTS, "at most", "points")
        for name in sets for way in SHORTCUTS
    ]  # fmt: skip
    bars += [
        Bar(f"{name}: words invented, {way}", silence[name, way].invented, 0, "at most", "words")
        for name in quiet for way in ("full", "floor", *SHORTCUTS)
    ]  # fmt: skip
    return Result(metrics=metrics, bars=bars)


# -- ways of recognizing

SHORTCUTS = ("short", "ahead")


def _ways() -> dict[str, Way]:
    ways: dict[str, Way] = {
        "stock": _stock(),
        "full": _ours(WhisperTranscriber(TranscriptionSettings(model=MODEL, context="full"))),
        "floor": _ours(WhisperTranscriber(TranscriptionSettings(model=MODEL, context=STOCK_FLOOR))),
    }
    short = WhisperTranscriber(TranscriptionSettings(model=MODEL))
    ways["short"] = _ours(short)
    ways["ahead"] = _ours(short, ahead=True)
    try:
        ways["pocketsphinx"] = _ours(SphinxTranscriber(TranscriptionSettings()))
    except ModelUnavailable as error:
        print(f"without pocketsphinx: {error}")
    return ways


def _stock() -> Way:
    """faster-whisper as it is, at the settings that cost it least."""
    model = WhisperModel(str(get_model(MODEL)), device="cpu", compute_type="int8", cpu_threads=2)

    def recognize(clip: Clip) -> tuple[str, bool]:
        texts = []
        for utterance in clip.utterances:
            segments, _ = model.transcribe(
                to_float32(utterance.samples),
                language="en",
                beam_size=1,
                temperature=0.0,
                without_timestamps=True,
                condition_on_previous_text=False,
            )
            texts += [segment.text for segment in segments]
        return " ".join(texts), False

    return recognize


def _ours(engine: Transcriber, *, ahead: bool = False) -> Way:
    engine.load()

    def recognize(clip: Clip) -> tuple[str, bool]:
        said = [engine.transcribe(utterance) for utterance in (clip.guesses if ahead else clip.utterances)]
        return " ".join(one.text for one in said), any(one.retried for one in said)

    return recognize


def _score(clips: Iterable[Clip], way: Way) -> Score:
    score = Score()
    for clip in clips:
        begun = time.perf_counter()
        text, retried = way(clip)
        score.milliseconds.append(1000 * (time.perf_counter() - begun))
        expected, heard = words(clip.text), words(text)
        score.errors += word_errors(expected, heard)
        score.words += len(expected)
        score.invented += 0 if expected else len(heard)
        score.retried += retried
    return score


def _partials(clips: Iterable[Clip]) -> Stability:
    """Every look is made, as on a machine that has time for it."""
    engine = WhisperTranscriber(TranscriptionSettings(model=MODEL))
    engine.load()
    found = Stability()
    for clip in clips:
        for utterance, looks in zip(clip.utterances, clip.looks, strict=True):
            found.follow(engine, utterance, looks)
    return found


# -- sets


def _sets() -> dict[str, list[Clip]]:
    cut = _Cutter()
    commands = [(one.text, from_pcm16(read_wav(one.path))) for one in recordings()]
    rng = np.random.default_rng(1)
    sets = {
        "button": [cut.held(text, samples) for text, samples in commands],
        "hands-free": [cut.free(text, _in_room(samples, rng)) for text, samples in commands],
        "noise 20 dB": [cut.free(text, _in_noise(_in_room(samples, rng), 20, rng)) for text, samples in commands],
        "noise 10 dB": [cut.free(text, _in_noise(_in_room(samples, rng), 10, rng)) for text, samples in commands],
    }  # fmt: skip
    people = [cut.held(text, samples) for text, samples in _people()]
    if people:
        sets["people"] = people
    made = [cut.held(text, samples) for text, samples in synthesized()]
    if made:
        sets["synthesized"] = made
    return sets


class _Cutter:
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


def _in_room(samples: Samples, rng: np.random.Generator) -> Samples:
    """With a room's quiet before, behind and after it."""
    quiet = rng.normal(0, ROOM, len(samples) + 2 * SAMPLE_RATE)
    quiet[SAMPLE_RATE // 2 :][: len(samples)] += samples
    return _pcm16(quiet)


def _in_noise(samples: Samples, decibels: float, rng: np.random.Generator) -> Samples:
    """With white noise so many decibels below its own mean level."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 10 ** (-decibels / 20)
    return _pcm16(samples + rng.normal(0, level, len(samples)))


def _pcm16(samples: np.ndarray) -> Samples:
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def _people() -> Iterator[tuple[str, Samples]]:
    """Recordings of people who say commands; nothing when the package is not installed."""
    if not PEOPLE.is_dir():
        print("without recordings of people: apt-get install pocketsphinx-testdata")
        return
    for line in (PEOPLE / "cards" / "cards.transcription").read_text().splitlines():
        if match := re.fullmatch(r"<s>\s*(.*?)\s*</s>\s*\((\w+)\)\s*", line):
            yield match[1], from_pcm16(read_wav(PEOPLE / "cards" / f"{match[2]}.wav"))
    yield "go forward ten meters", from_pcm16((PEOPLE / "goforward.raw").read_bytes())
    yield "two nine three four zero", from_pcm16((PEOPLE / "tidigits" / "dhd.2934z.raw").read_bytes())


AS_CUT = "silence and noise"
TAKEN_FOR_SPEECH = "the same, taken for speech"


def _no_speech() -> dict[str, list[Clip]]:
    """A button held while nobody speaks; and the worst case of it, a segmenter that was sure of speech."""
    cut = _Cutter()
    held = [cut.held("", samples) for samples in _noises()]
    sure = [[_as_speech(one) for one in clip.utterances] for clip in held]
    return {AS_CUT: held, TAKEN_FOR_SPEECH: [Clip("", utterances, utterances) for utterances in sure]}


def _as_speech(utterance: Utterance) -> Utterance:
    return Utterance(
        samples=utterance.samples, start=utterance.start, end=utterance.end, speech_end=utterance.end,
        has_speech=True, end_reason=EndReason.STOP, peak_probability=1.0,
    )  # fmt: skip


def _noises() -> Iterator[Samples]:
    """Silence, noise of three colours, hum, clicks and puffs: each short and long, faint and loud."""
    rng = np.random.default_rng(2)
    for seconds in (0.3, 1.0, 3.0, 10.0):
        length = int(seconds * SAMPLE_RATE)
        time_ = np.arange(length) / SAMPLE_RATE
        white = rng.normal(0, 1, length)
        kinds = {
            "silence": np.zeros(length),
            "white": white,
            "pink": _coloured(white, 0.5),
            "brown": _coloured(white, 1.0),
            "hum": sum(np.sin(2 * np.pi * 50 * n * time_) / n for n in (1, 2, 3, 5)),
            "clicks": (rng.random(length) < 3 / SAMPLE_RATE) * rng.choice([-8, 8], length),
            "puff": _coloured(white, 1.0) * np.exp(-4 * time_),
        }
        for kind in kinds.values():
            loudest = np.abs(kind).max()
            for level in (30, 1_000, 15_000):
                yield _pcm16(kind * (level / loudest if loudest else 0))


def _coloured(white: np.ndarray, exponent: float) -> np.ndarray:
    """White noise whose amplitude falls with the frequency to this power, from 20 Hz on."""
    frequencies = np.maximum(np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE), 20)
    shaped: np.ndarray = np.fft.irfft(np.fft.rfft(white) / frequencies**exponent, len(white))
    return shaped
