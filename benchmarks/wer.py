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
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from faster_whisper import WhisperModel

from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.stability import Stability
from benchmarks.instruments.words import word_errors, words
from benchmarks.load.clips import Clip, Cutter, as_speech, in_noise, in_room, noises
from benchmarks.load.synthesized import synthesized
from firmware_bridge.speech_files import read_wav, recordings
from tests.real.people import commanders
from transcription.audio import from_pcm16, to_float32
from transcription.errors import ModelUnavailable
from transcription.models.models import STOCK_FLOOR, get_model
from transcription.settings import BUNDLED_MODEL, TranscriptionSettings
from transcription.sphinx import SphinxTranscriber
from transcription.transcriber import Transcriber
from transcription.whisper.engine import WhisperTranscriber

MODEL = os.environ.get("EARSHOT_BENCH_MODEL", BUNDLED_MODEL)
POINTS = 0.5
"""A shortcut may cost so many points of word error."""


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
    cut = Cutter()
    commands = [(one.text, from_pcm16(read_wav(one.path))) for one in recordings()]
    rng = np.random.default_rng(1)
    sets = {
        "button": [cut.held(text, samples) for text, samples in commands],
        "hands-free": [cut.free(text, in_room(samples, rng)) for text, samples in commands],
        "noise 20 dB": [cut.free(text, in_noise(in_room(samples, rng), 20, rng)) for text, samples in commands],
        "noise 10 dB": [cut.free(text, in_noise(in_room(samples, rng), 10, rng)) for text, samples in commands],
    }  # fmt: skip
    people = [cut.held(text, samples) for text, samples in commanders()]
    if people:
        sets["people"] = people
    made = [cut.held(text, samples) for text, samples in synthesized()]
    if made:
        sets["synthesized"] = made
    return sets


AS_CUT = "silence and noise"
TAKEN_FOR_SPEECH = "the same, taken for speech"


def _no_speech() -> dict[str, list[Clip]]:
    """A button held while nobody speaks; and the worst case of it, a segmenter that was sure of speech."""
    cut = Cutter()
    held = [cut.held("", samples) for samples in noises()]
    sure = [[as_speech(one) for one in clip.utterances] for clip in held]
    return {AS_CUT: held, TAKEN_FOR_SPEECH: [Clip("", utterances, utterances) for utterances in sure]}
