"""What a process that listens does: a microphone's samples in, the sound worth hearing out, mono and at 16 kHz.

In silence it reads seldom and hands on nothing. What was heard shortly before somebody began to speak
goes with it.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from firmware_bridge.link.clock_drift import ClockDrift
from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.microphones.loudness_gate import LoudnessGate, levels
from firmware_bridge.microphones.records import (
    MEASURED_SECONDS,
    PERIOD_SECONDS,
    Hush,
    Listen,
    Measured,
    Sound,
    SoundRecord,
)
from firmware_bridge.microphones.resampling import Pcm, Resampler

PREROLL_SECONDS: Final = 0.6
"""Kept of the silence before what is loud: a word's soft beginning, and what the segmenter wants before it."""
METER_SECONDS: Final = 0.1
"""How often a meter is told the level."""
PERIODS_OF_SPEECH: Final = 3
PIECE: Final = 960
"""Samples that are handed on at once, at most: 60 ms."""
FULL_SCALE: Final = 32768.0
SILENCE_DB: Final = -100.0


class SampleSource(Protocol):
    """What is listened to."""

    rate: int
    channels: int
    period: int

    def read(self, periods: int) -> tuple[memoryview | bytes, bool]:
        """PCM16, channels interleaved, and whether something was lost before. Waits for it."""

    def rest(self) -> int:
        """Let some sound gather; how many periods to read then."""


class SoundListener:
    """One microphone, from its being opened until it is gone."""

    def __init__(self, microphone: SampleSource, wanted: Listen, say: Callable[[SoundRecord], None]) -> None:
        self._microphone = microphone
        self._wanted = wanted
        self._say = say
        self._gate = LoudnessGate(wanted.gate_db, wanted.hold_seconds, PERIOD_SECONDS)
        self._before: deque[Pcm] = deque(maxlen=round(PREROLL_SECONDS / PERIOD_SECONDS))
        self._resampler: Resampler | None = None
        self._lost = 0
        self._meter = _Meter(microphone.rate, METER_SECONDS if wanted.meter else MEASURED_SECONDS)
        Resampler(microphone.rate)  # whatever it lacks is to be told now, and not at the first word

    def run(self, clock: Callable[[], float] = time.monotonic) -> None:
        """For ever. Raises SoundUnavailable when the microphone is gone, OSError when nobody listens any more."""
        while True:
            self.step(clock)

    def step(self, clock: Callable[[], float]) -> None:
        """The next of it."""
        data, overflowed = self._microphone.read(self._periods())
        samples = self._mono(data)
        now = clock()
        if overflowed:
            self._lost += self._meter.overrun(len(samples), now) * SAMPLE_RATE // self._microphone.rate
        heard = levels(samples, self._microphone.period)
        if (measured := self._meter.take(len(samples), float(heard[0].max()), now)) is not None:
            self._say(measured)
        if not self._wanted.meter:
            self._pass(samples, is_open=self._gate.feed(heard))

    def _periods(self) -> int:
        """How much to wait for: in the middle of speech there is no hurry, and its end is to be known at once."""
        if self._wanted.meter:
            return 1
        if not self._gate.open:
            return self._microphone.rest()
        return PERIODS_OF_SPEECH if self._gate.loud else 1

    def _pass(self, samples: Pcm, *, is_open: bool) -> None:
        if is_open:
            if self._resampler is None:
                self._resampler = Resampler(self._microphone.rate)
                samples = np.concatenate([*self._before, samples])
                self._before.clear()
            self._hand_on(self._resampler.feed(samples))
            return
        if self._resampler is not None:
            self._hand_on(self._resampler.feed(samples, last=True))
            self._resampler = None
            self._say(Hush())
            return
        self._lost = 0  # between two stretches of sound nobody misses any
        self._before.extend(samples.reshape(-1, self._microphone.period))

    def _hand_on(self, samples: Pcm) -> None:
        for start in range(0, len(samples), PIECE):
            pcm = samples[start : start + PIECE].astype("<i2", copy=False).tobytes()
            self._say(Sound(pcm, self._lost))
            self._lost = 0

    def _mono(self, data: memoryview | bytes) -> Pcm:
        samples = np.frombuffer(data, np.int16)
        if self._microphone.channels == 1:
            return samples
        columns = samples.reshape(-1, self._microphone.channels)
        if self._wanted.channel:
            return np.ascontiguousarray(columns[:, self._wanted.channel - 1])
        mixed: Pcm = columns.mean(axis=1).astype(np.int16)
        return mixed


class _Meter:
    """How loud it is, how much was lost, and how fast the microphone's clock goes."""

    def __init__(self, rate: int, every: float) -> None:
        self._rate = rate
        self._every = every
        self._drift = ClockDrift(rate)
        self._position = 0
        self._late = math.inf
        self._loudest = 0.0
        self._told_at = -math.inf
        self._overruns = 0
        self._lost = 0
        self._ppm: float | None = None

    def overrun(self, samples: int, now: float) -> int:
        """Something is missing before these samples; about how many. They are still to be taken."""
        late = now - (self._position + samples) / self._rate
        lost = max(0, round((late - self._late) * self._rate)) if self._late < math.inf else 0
        self._overruns += 1
        self._lost += lost
        self._position = 0
        self._late = math.inf
        self._ppm = self._drift.ppm or self._ppm
        self._drift = ClockDrift(self._rate)
        return lost

    def take(self, samples: int, loudest: float, now: float) -> Measured | None:
        """The next samples; how it goes, when that is due."""
        self._position += samples
        self._late = min(self._late, now - self._position / self._rate)
        self._drift.heard(self._position, now)
        self._loudest = max(self._loudest, loudest)
        if now < self._told_at + self._every:
            return None
        level, self._loudest, self._told_at = self._loudest, 0.0, now
        ppm = self._drift.ppm
        return Measured(
            level_db=max(SILENCE_DB, 20 * math.log10(max(level, 1e-3) / FULL_SCALE)),
            overruns=self._overruns,
            lost_ms=1000 * self._lost // self._rate,
            drift_ppm=self._ppm if ppm is None else ppm,
        )
