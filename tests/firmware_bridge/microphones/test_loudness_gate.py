"""What opens the gate, and what does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from firmware_bridge.microphones.loudness_gate import MEMORY_SECONDS, LoudnessGate, levels
from firmware_bridge.speech_files import read_wav, recordings

RATE, PERIOD, HOLD_SECONDS = 16_000, 320, 3.0
CHANCE = np.random.default_rng(13)
SPEECH = np.frombuffer(read_wav(recordings()[0].path), np.int16).astype(np.float64)


def noise(seconds: float, rms: float) -> np.ndarray:
    return CHANCE.normal(0, rms, int(seconds * RATE))


def hum(seconds: float, peak: float, offset: float = 0) -> np.ndarray:
    return offset + peak * np.sin(2 * np.pi * 50 * np.arange(int(seconds * RATE)) / RATE)


def openings(sound: np.ndarray, above_db: float = 6.0, periods: int = 5) -> Iterator[bool]:
    """Whether the gate is open, each 100 ms."""
    gate = LoudnessGate(above_db, HOLD_SECONDS, PERIOD / RATE)
    samples = np.clip(sound, -32768, 32767).astype(np.int16)
    for start in range(0, len(samples) - periods * PERIOD + 1, periods * PERIOD):
        yield gate.feed(levels(samples[start : start + periods * PERIOD], PERIOD))


def voice(level: float) -> np.ndarray:
    """Speech, so loud on average."""
    return SPEECH * (level / SPEECH.std())


@pytest.mark.parametrize("rms", [0, 1, 30, 1000])
def test_noise_alone_opens_it_never(rms: float) -> None:
    assert not any(openings(noise(60, rms)))


def test_neither_does_hum_or_an_offset() -> None:
    assert not any(openings(hum(30, 500, offset=900) + noise(30, 10)))


@pytest.mark.parametrize("loud", [40, 300, 3000])
def test_a_voice_opens_it_and_it_stays_open_through_all_pauses(loud: float) -> None:
    said = voice(loud) + noise(len(SPEECH) / RATE, 10)
    opened = list(openings(np.concatenate([noise(3, 10), said, noise(6, 10)])))
    assert not any(opened[:30])
    assert any(opened[30:36])
    first = opened.index(True)
    last = len(opened) - 1 - opened[::-1].index(True)
    assert all(opened[first : last + 1])
    assert not opened[-1]
    assert last >= (3 + len(SPEECH) / RATE + HOLD_SECONDS - 1.5) * 10


def test_a_quiet_voice_is_heard_above_hum_that_is_louder() -> None:
    background = hum(8, 900) + noise(8, 5)
    background[3 * RATE : 3 * RATE + len(SPEECH)] += voice(200)
    assert any(list(openings(background))[30:])


def test_a_fan_that_is_switched_on_is_noise_after_a_while() -> None:
    opened = list(openings(np.concatenate([noise(5, 10), noise(40, 400)])))
    assert opened[50]
    assert not any(opened[50 + int(10 * (MEMORY_SECONDS + HOLD_SECONDS)) + 10 :])


def test_digital_silence_and_then_a_room_is_no_reason_for_long() -> None:
    opened = list(openings(np.concatenate([noise(1, 0), noise(40, 8)])))
    assert not any(opened[-100:])


def test_with_zero_it_is_always_open() -> None:
    assert all(openings(noise(2, 0), above_db=0))
