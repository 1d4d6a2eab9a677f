"""Voices without words, for tests of who hears them: syllables by chance, the same for the same seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from gateway.pipeline.arbitration.arbiter import Arbiter
from gateway.pipeline.arbitration.claims import Claim, Decision
from gateway.pipeline.arbitration.contests import Contestant
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.settings import SegmenterSettings
from transcription.utterance.segmenter import (
    EndReason,
    SegmenterEvent,
    SpeechStarted,
    Utterance,
    UtteranceSegmenter,
    Window,
)

PITCHES = (300, 620, 1_100, 1_900, 3_000)


def syllables(seed: int, seconds: float = 1.0) -> Samples:
    """As loud as `tests.gateway.works.loud`, where it is; its pauses are short."""
    rng = np.random.default_rng(seed)
    pieces = [np.zeros(0)]
    while sum(map(len, pieces)) < seconds * SAMPLE_RATE:
        length = int(rng.uniform(0.06, 0.2) * SAMPLE_RATE)
        at = np.arange(length) / SAMPLE_RATE
        tones = [np.sin(2 * np.pi * pitch * at) for pitch in rng.choice(PITCHES, 2, replace=False)]
        pieces.append(rng.uniform(9_000, 14_000) * np.hanning(length) ** 0.3 * sum(tones) / 2)
        pieces.append(np.zeros(int(rng.uniform(0.03, 0.09) * SAMPLE_RATE)))
    return np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)].astype(np.int16)


def spoken(
    seed: int,
    *,
    db: float = 0.0,
    seconds: float = 1.0,
    before: float = 1.0,
    after: float = 1.5,
    noise: float = 30.0,
) -> Samples:
    """A voice in a room with some noise, and nobody before and after it."""
    rng = np.random.default_rng(seed + 1_000)
    voice = syllables(seed, seconds) * 10 ** (db / 20)
    whole = np.concatenate((np.zeros(int(before * SAMPLE_RATE)), voice, np.zeros(int(after * SAMPLE_RATE))))
    return (whole + rng.normal(0, noise, len(whole))).clip(-32_768, 32_767).astype(np.int16)


class Ears:
    """Voice activity: whatever is above the noise."""

    def __call__(self, window: Window) -> float:
        return 0.9 if float(np.sqrt(np.mean(window * window))) > 0.004 else 0.1


@dataclass
class Ear:
    """A device: what it hears, so many seconds late, from when on by the clock; and what becomes of that."""

    samples: Samples
    late: float = 0.0
    since: float = 0.0
    pressed: bool = False
    woken_at: float | None = None
    """After so many seconds of it."""
    away_after: float = math.inf
    stalls: tuple[float, float] = (math.inf, 0.0)
    """After so many seconds its link stalls for so long; then all of it comes at once."""
    ends: EndReason | None = None
    """Why its stream ends with it; None: it goes on."""
    answered: list[bool] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    """How long each was, from its end to the decision."""

    def arrives(self, end: int) -> float:
        """When what ends at this position is here."""
        recorded = end / SAMPLE_RATE
        at, seconds = self.stalls
        return self.since + self.late + (max(recorded, at + seconds) if recorded > at else recorded)


def listen(ears: dict[str, Ear], *, window: float = 0.5, chunk: int = 640, settle: float = 3.0) -> Arbiter:
    """All of them hear; nobody waits for the clock, which is made up."""
    clock, arbiter = [1_000.0], Arbiter(window)
    feeds = [
        (ear.arrives(at + len(ear.samples[at : at + chunk])), name, at)
        for name, ear in ears.items()
        for at in range(0, len(ear.samples), chunk)
    ]
    devices = {name: _Device(name, ear, arbiter, clock) for name, ear in ears.items()}
    for when, name, at in sorted(feeds):
        _tick(arbiter, clock, 1_000.0 + when)
        devices[name].hear(at, ears[name].samples[at : at + chunk])
    _tick(arbiter, clock, clock[0] + settle)
    return arbiter


def _tick(arbiter: Arbiter, clock: list[float], until: float) -> None:
    while clock[0] + 0.01 < until:
        clock[0] += 0.01
        arbiter.settle(clock[0])
    clock[0] = until


class _Device:
    def __init__(self, name: str, ear: Ear, arbiter: Arbiter, clock: list[float]) -> None:
        self._ear, self._clock = ear, clock
        self._contestant = Contestant(name, arbiter, lambda: clock[0], pressed=ear.pressed)
        self._segmenter = UtteranceSegmenter(Ears(), SegmenterSettings(), end_on_silence=not ear.pressed)

    def hear(self, at: int, samples: Samples) -> None:
        if at >= self._ear.away_after * SAMPLE_RATE:
            self._contestant.away()
            return
        chunk = AudioChunk(at, samples)
        self._contestant.hear(chunk)
        if self._ear.woken_at is not None and at >= self._ear.woken_at * SAMPLE_RATE:
            self._contestant.woken()
            self._ear.woken_at = None
        self._take(self._segmenter.feed(chunk))
        if self._ear.ends is not None and at + len(samples) == len(self._ear.samples):
            self._take(self._segmenter.finish(self._ear.ends))

    def _take(self, events: list[SegmenterEvent]) -> None:
        for event in events:
            if isinstance(event, SpeechStarted):
                self._contestant.speech_began(event.position)
            elif isinstance(event, Utterance) and (contested := self._contestant.complete(event)) is not None:
                self._note(contested._claim)

    def _note(self, claim: Claim) -> None:
        ended = self._clock[0]

        def decided(decision: Decision) -> None:
            self._ear.held.append(self._clock[0] - ended)
            self._ear.decisions.append(decision)
            self._ear.answered.append(not decision.by)

        if claim.decision is not None:
            decided(claim.decision)
        else:
            claim.on_decision = decided
