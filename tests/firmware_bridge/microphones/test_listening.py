"""A microphone's samples in, the sound worth hearing out: rates, channels, pre-roll, losses and levels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from firmware_bridge.microphones.listening import METER_SECONDS, PREROLL_SECONDS, SoundListener
from firmware_bridge.microphones.records import Hush, Listen, Measured, Sound, SoundRecord

QUIET = 5.0


class Played:
    """A microphone that hears what a test plays: float samples, shape (samples, channels); then silence."""

    def __init__(self, sound: np.ndarray, rate: int, *, ppm: float = 0.0) -> None:
        self.rate = rate
        self.channels = sound.shape[1]
        self.period = rate // 50
        self._sound = sound
        self._at = 0
        self._true_rate = rate * (1 + ppm / 1e6)
        self.now = 100.0
        self.lose = 0.0
        """Seconds that are to be lost before the next read."""

    @property
    def over(self) -> bool:
        return self._at >= len(self._sound)

    def rest(self) -> int:
        return 10

    def read(self, periods: int) -> tuple[bytes, bool]:
        overflowed, skipped = self.lose > 0, round(self.lose * self.rate)
        self.lose = 0.0
        self._at += skipped
        end = self._at + periods * self.period
        piece = self._sound[self._at : end]
        piece = np.concatenate([piece, np.zeros((periods * self.period - len(piece), self.channels))])
        self._at = end
        self.now += (skipped + periods * self.period) / self._true_rate
        return np.clip(piece, -32768, 32767).astype(np.int16).tobytes(), overflowed


def hear(source: Played, **wanted: object) -> list[SoundRecord]:
    """All that is said of it."""
    said: list[SoundRecord] = []
    listener = SoundListener(source, Listen(name="a", hold_seconds=3.0, **wanted), said.append)  # type: ignore[arg-type]
    while not source.over:
        listener.step(lambda: source.now)
    return said


def pcm(said: list[SoundRecord]) -> np.ndarray:
    return np.frombuffer(b"".join(one.pcm for one in said if isinstance(one, Sound)), np.int16)


def tone(seconds: float, rate: int, pitch: float = 440.0, peak: float = 8000.0) -> np.ndarray:
    return peak * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def silence(seconds: float, rate: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, QUIET, round(seconds * rate))


def pitch_of(samples: np.ndarray, rate: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def column(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts).reshape(-1, 1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_any_rate_comes_out_at_16_khz(rate: int) -> None:
    rate -= rate % 50  # a period is 20 ms of whole samples
    played = Played(column(silence(2, rate), tone(2, rate), silence(4, rate)), rate)
    heard = pcm(hear(played))
    assert 2 * 16_000 < len(heard) < (2 + PREROLL_SECONDS + 4) * 16_000
    middle = heard[16_000 : 2 * 16_000].astype(np.float64)
    assert pitch_of(middle) == pytest.approx(440, abs=2)
    assert middle.std() == pytest.approx(8000 / math.sqrt(2), rel=0.05)


def test_nothing_of_silence_is_handed_on_but_how_loud_it_is() -> None:
    said = hear(Played(column(silence(20, 48_000)), 48_000))
    assert {type(one) for one in said} == {Measured}
    assert 5 <= len(said) <= 12
    assert all(-85 < one.level_db < -70 for one in said if isinstance(one, Measured))


def test_what_comes_before_a_sound_goes_with_it_and_the_end_is_told() -> None:
    rate = 16_000
    played = Played(column(silence(3, rate), tone(1, rate), silence(5, rate)), rate)
    said = [one for one in hear(played) if not isinstance(one, Measured)]
    assert isinstance(said[-1], Hush)
    assert sum(isinstance(one, Hush) for one in said) == 1
    heard = pcm(said)
    loud = np.flatnonzero(np.abs(heard) > 1000)[0] / 16_000
    assert PREROLL_SECONDS - 0.15 <= loud <= PREROLL_SECONDS + 0.1
    assert all(len(one.pcm) <= 2048 for one in said if isinstance(one, Sound))


def test_two_stretches_of_sound_are_two() -> None:
    rate = 16_000
    parts = [silence(3, rate), *itertools.chain(*([tone(1, rate), silence(5, rate)] for _ in range(2)))]
    said = hear(Played(column(*parts), rate))
    assert sum(isinstance(one, Hush) for one in said) == 2


@pytest.mark.parametrize(("channel", "pitch"), [(1, 300.0), (2, 900.0)])
def test_one_channel_is_chosen(channel: int, pitch: float) -> None:
    both = np.stack([tone(2, 48_000, 300.0), tone(2, 48_000, 900.0)], axis=1)
    heard = pcm(hear(Played(both, 48_000), channel=channel, gate_db=0))
    assert pitch_of(heard[4_000:20_000].astype(np.float64)) == pytest.approx(pitch, abs=3)


def test_or_all_are_mixed() -> None:
    both = np.stack([tone(2, 16_000), np.zeros(32_000)], axis=1)
    heard = pcm(hear(Played(both, 16_000), channel=0, gate_db=0))
    assert heard[1_000:30_000].astype(np.float64).std() == pytest.approx(4000 / math.sqrt(2), rel=0.02)


def test_what_was_lost_is_a_hole_of_about_its_length_and_counted() -> None:
    source = Played(column(silence(1, 48_000), tone(9, 48_000)), 48_000)
    said: list[SoundRecord] = []
    listener = SoundListener(source, Listen(name="a"), said.append)
    while source.now < 103:
        listener.step(lambda: source.now)
    source.lose = 0.5
    while not source.over:
        listener.step(lambda: source.now)
    lost = [one.lost for one in said if isinstance(one, Sound) and one.lost]
    assert lost == [pytest.approx(8_000, abs=400)]
    last = [one for one in said if isinstance(one, Measured)][-1]
    assert (last.overruns, last.lost_ms) == (1, pytest.approx(500, abs=25))


@pytest.mark.parametrize("ppm", [-400, 0, 250])
def test_the_drift_of_its_clock_is_told(ppm: float) -> None:
    said = hear(Played(column(silence(40, 16_000)), 16_000, ppm=ppm))
    drifts = [one.drift_ppm for one in said if isinstance(one, Measured)]
    assert drifts[0] is None
    assert drifts[-1] == pytest.approx(ppm, abs=20)


def test_a_meter_hands_on_nothing_and_tells_often() -> None:
    said = hear(Played(column(tone(2, 16_000)), 16_000), meter=True)
    assert {type(one) for one in said} == {Measured}
    assert len(said) == pytest.approx(2 / METER_SECONDS, abs=4)
    levels = [one.level_db for one in said if isinstance(one, Measured)]
    assert levels[5] == pytest.approx(20 * math.log10(8000 / math.sqrt(2) / 32768), abs=0.5)
