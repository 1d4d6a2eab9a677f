"""[dictation] Three hours of speech without an end, from one device: text steadily, every word once, memory flat.

The recordings that come with Earshot follow each other as while one button is held, 0.15-0.3 s apart, through
voice activity, segmenter and the bundled model, as fast as these work. What is measured is the joints:
the same recordings, each alone, are the yardstick. Memory counts from the second hour on: in the first it reaches
its height (docs/adr/0020-one-arena.md). Ten minutes once more with every fifth gap left out: then two
commands come in one breath, which the bundled model confuses wherever they are cut ("run together").
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.instruments.memory import Course, resident_mb
from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.words import word_errors, words
from firmware_bridge.speech_files import read_wav, recordings
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples, from_pcm16
from transcription.process.allocator import Slack, keep_one_arena
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import EndReason, Utterance, UtteranceSegmenter
from transcription.utterance.vad import SileroModel
from transcription.whisper.engine import WhisperTranscriber

STEADY = SegmenterSettings(long_seconds=0.8, max_seconds=4.0)
"""As the bundled model wants it, which knows one command at a time."""

CHUNK = 320
SECONDS = 3 * 3600
TOGETHER_SECONDS = 600
QUICK_SECONDS = 180
WARM_UP_SECONDS = 3600
RUN_TOGETHER = 0.2
LONGEST_REST = 0.5
"""Seconds of silence that a recording has at its end."""
POINTS = 2.0
"""Word error that the joints may cost."""


@dataclass
class Dictated:
    """What was said, what was heard of it, and how that went."""

    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    alone: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    wall_seconds: float = 0.0
    lengths: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    torn: int = 0
    memory: Course = field(default_factory=Course)
    _unheard: bytearray = field(default_factory=bytearray)

    def speak(self, text: str) -> None:
        """What is said next."""
        self.said.append(text)

    def take(self, samples: Samples) -> None:
        """Some of it, as the segmenter is given it: without an offset."""
        self._unheard += samples.tobytes()

    def hear(self, utterance: Utterance) -> None:
        """The next utterance: it must be what was said behind the one before, to the sample."""
        heard = utterance.samples.tobytes()
        self.torn += self._unheard[: len(heard)] != heard
        del self._unheard[: len(heard)]
        self.lengths.append(utterance.seconds)
        self.reasons[utterance.end_reason] = self.reasons.get(utterance.end_reason, 0) + 1

    @property
    def rest_seconds(self) -> float:
        """What was said and is in no utterance: the silence that a stream ends in, behind its last cut."""
        return len(self._unheard) / 2 / SAMPLE_RATE

    def errors_percent(self) -> tuple[float, float]:
        """Word errors, and what they were if each recording had been said alone."""
        said, heard = ([word for text in texts for word in words(text)] for texts in (self.said, self.heard))
        alone = sum(word_errors(words(text), words(self.alone[text])) for text in self.said)
        return 100 * word_errors(said, heard) / len(said), 100 * alone / len(said)


def run(*, quick: bool) -> Result:
    keep_one_arena()  # as the recognizer's process does
    done = dictate(QUICK_SECONDS if quick else SECONDS, STEADY)
    together = dictate(QUICK_SECONDS if quick else TOGETHER_SECONDS, STEADY, without_gap=RUN_TOGETHER)
    metrics = {
        **_metrics(done),
        **{f"run together, {what}": value for what, value in _metrics(together).items()},
    }
    errors, alone = done.errors_percent()
    torn = sum(one.torn + (one.rest_seconds > LONGEST_REST) for one in (done, together))
    bars = [
        Bar("word errors above those of each recording alone", errors - alone, POINTS, "at most", "points"),
        Bar("joints at which a sample was lost or doubled", torn, 0, "at most"),
        Bar(
            "longest wait for the next text", max(done.lengths), STEADY.max_seconds, "at most", "s of speech"
        ),
    ]
    if not quick:
        slope = done.memory.slope_per_hour(since=WARM_UP_SECONDS)
        bars.append(Bar("resident memory", slope, 1.0, "at most", "MB per hour"))
    return Result(metrics, bars)


def _metrics(done: Dictated) -> dict[str, float | int | str]:
    errors, alone = done.errors_percent()
    return {
        "seconds_of_speech": done.seconds,
        "times_real_time": done.seconds / done.wall_seconds,
        "words": sum(len(words(text)) for text in done.said),
        "words_heard": sum(len(words(text)) for text in done.heard),
        "errors_%": errors,
        "each recording alone, errors_%": alone,
        "utterances": len(done.lengths),
        "utterance_seconds_p50": percentile(done.lengths, 50),
        "utterance_seconds_longest": max(done.lengths),
        **{f"ended by {reason}": count for reason, count in sorted(done.reasons.items())},
        "silence_behind_the_last_seconds": done.rest_seconds,
        "resident_mb_at_end": resident_mb(),
    }


def dictate(seconds: float, settings: SegmenterSettings, *, without_gap: float = 0.0) -> Dictated:
    """Say recordings for so long, and hear them."""
    engine = WhisperTranscriber(TranscriptionSettings())
    engine.load()
    slack = Slack()  # as the recognizer's process does
    vad = SileroModel()
    done = Dictated()

    def hear(utterance: Utterance) -> str:
        done.hear(utterance)
        text = engine.transcribe(utterance).text
        slack.give_back()
        return text

    segmenter = UtteranceSegmenter(vad.stream(), settings, end_on_silence=False)
    without_offset = OffsetFilter()
    position, began = 0, time.perf_counter()
    for text, samples in speech(seconds, without_gap=without_gap):
        done.speak(text)
        for start in range(0, len(samples), CHUNK):
            chunk = without_offset(AudioChunk(position + start, samples[start : start + CHUNK]))
            done.take(chunk.samples)
            done.heard += [hear(event) for event in segmenter.feed(chunk) if isinstance(event, Utterance)]
        position += len(samples)
        done.memory.note(position / SAMPLE_RATE, resident_mb())
    done.heard += [hear(event) for event in segmenter.finish(EndReason.STOP) if isinstance(event, Utterance)]
    done.seconds, done.wall_seconds = position / SAMPLE_RATE, time.perf_counter() - began
    done.alone = _alone(engine, vad, {*done.said})
    return done


def speech(seconds: float, *, without_gap: float) -> Iterator[tuple[str, Samples]]:
    """Recordings in an order of chance, each with the gap behind it; that share of them has none, and the last."""
    chance = random.Random(1)
    rng = np.random.default_rng(1)
    said = recordings()
    length = 0
    while length < seconds * SAMPLE_RATE:
        one = chance.choice(said)
        gap = 0 if chance.random() < without_gap else int(chance.uniform(0.15, 0.3) * SAMPLE_RATE)
        quiet = rng.normal(0, 10, gap).astype(np.int16)
        spoken = from_pcm16(read_wav(one.path))
        length += len(spoken) + gap
        samples = np.concatenate([spoken, quiet]) if length < seconds * SAMPLE_RATE else spoken
        yield one.text, samples


def _alone(engine: WhisperTranscriber, vad: SileroModel, texts: set[str]) -> dict[str, str]:
    heard = {}
    for one in recordings():
        if one.text in texts:
            segmenter = UtteranceSegmenter(vad.stream(), SegmenterSettings(), end_on_silence=False)
            segmenter.feed(OffsetFilter()(AudioChunk(0, from_pcm16(read_wav(one.path)))))
            [utterance] = [e for e in segmenter.finish(EndReason.STOP) if isinstance(e, Utterance)]
            heard[one.text] = engine.transcribe(utterance).text
    return heard
