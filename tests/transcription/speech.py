"""Recordings, stand-in signals and the way to cut them into chunks, for the tests of this folder."""

from __future__ import annotations

import csv
import wave
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from transcription.audio import AudioChunk, Samples, from_pcm16
from transcription.utterance.segmenter import (
    EndReason,
    SegmenterEvent,
    SpeechStarted,
    Utterance,
    UtteranceSegmenter,
    Window,
)

SPEECH = Path(__file__).resolve().parents[2] / "firmware_bridge" / "speech"

# name -> text, of the recordings that the bundled model gets right
TEXTS = {
    row["file"].removesuffix(".wav"): row["text"]
    for row in csv.DictReader(
        (SPEECH / "transcripts.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t"
    )
    if row["demo"] == "yes"
}


def recording(name: str) -> Samples:
    with wave.open(str(SPEECH / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def utterance(samples: Samples, **facts: object) -> Utterance:
    """An utterance that is all speech, unless the facts say otherwise."""
    known: dict[str, object] = {
        "samples": samples,
        "start": 0,
        "end": len(samples),
        "speech_end": len(samples),
        "has_speech": True,
        "end_reason": EndReason.STOP,
        "peak_probability": 1.0,
    }
    return Utterance(**(known | facts))  # type: ignore[arg-type]


class LevelVad:
    """Loud is speech: 0.9 above a tenth of full scale, else 0.1."""

    def __init__(self) -> None:
        self.windows = 0

    def __call__(self, window: Window) -> float:
        self.windows += 1
        return 0.9 if np.abs(window).max() > 0.1 else 0.1


def signal(*stretches: tuple[bool, int]) -> Samples:
    """(loud, samples) stretches; no two samples in a row alike and none zero, so that a slip shows."""
    rng = np.random.default_rng(len(stretches))
    parts = [rng.integers(*((8000, 30000) if loud else (1, 300)), count) for loud, count in stretches]
    return np.concatenate([np.zeros(0), *parts]).astype(np.int16)


def chunks(samples: Samples, cuts: Iterable[int], start: int = 0) -> Iterator[AudioChunk]:
    """The samples cut at these places, as one stream that begins at ``start``."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(samples)}), len(samples)]
    for a, b in pairwise(edges):
        yield AudioChunk(position=start + a, samples=samples[a:b])


def segment(
    segmenter: UtteranceSegmenter, stream: Iterable[AudioChunk], reason: EndReason = EndReason.STOP
) -> list[SegmenterEvent]:
    events = [event for chunk in stream for event in segmenter.feed(chunk)]
    return events + segmenter.finish(reason)


def utterances(events: list[SegmenterEvent]) -> list[Utterance]:
    return [event for event in events if isinstance(event, Utterance)]


def started(events: list[SegmenterEvent]) -> list[int]:
    return [event.position for event in events if isinstance(event, SpeechStarted)]


def facts(u: Utterance) -> tuple[object, ...]:
    """Everything about an utterance, comparable."""
    return (
        u.start, u.end, u.speech_end, u.has_speech, u.end_reason, u.gaps, u.lost_samples, u.peak_probability,
        u.samples.tobytes(),
    )  # fmt: skip
