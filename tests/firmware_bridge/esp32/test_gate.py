"""The gate on the device opens for speech and not for a knock, keeps the first word, and learns the room's noise."""

from __future__ import annotations

import ctypes
import math
import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.speech_files import read_wav, recordings
from tests.firmware_bridge.esp32.made import library

Samples = npt.NDArray[np.int16]
SHUT, OPENS, OPEN, SHUTS = range(4)
BLOCK = 320  # 20 ms
DB = 256
_Pointer = ctypes.POINTER(ctypes.c_int16)


class _Config(ctypes.Structure):
    _fields_ = (
        ("before", _Pointer),
        ("before_samples", ctypes.c_size_t),
        ("open_db", ctypes.c_uint8),
        ("stay_db", ctypes.c_uint8),
        ("quietest_db", ctypes.c_uint8),
        ("open_ms", ctypes.c_uint16),
        ("hold_ms", ctypes.c_uint16),
        ("longest_ms", ctypes.c_uint16),
    )


class Gate:
    """earshot_gate, and what it has let through."""

    def __init__(self, before: int = 8000) -> None:
        self._c = library("earshot_gate.c")
        self._c.earshot_gate_before.restype = ctypes.c_size_t
        self._buffer = (ctypes.c_int16 * max(before, 1))()
        config = _Config(
            ctypes.cast(self._buffer, _Pointer) if before else None, before, 10, 6, 60, 60, 800, 30000
        )
        self._gate = ctypes.create_string_buffer(256)
        self._c.earshot_gate_init(self._gate, ctypes.byref(config))
        self.through: list[Samples] = []

    def feed(self, block: Samples) -> int:
        said: int = self._c.earshot_gate_feed(
            self._gate, block.ctypes.data_as(_Pointer), ctypes.c_size_t(len(block))
        )
        if said == OPENS:
            self.through.append(self._before())
        elif said in {OPEN, SHUTS}:
            self.through.append(block)
        return said

    def hear(self, sound: Samples) -> list[int]:
        return [self.feed(sound[at : at + BLOCK]) for at in range(0, len(sound) - BLOCK + 1, BLOCK)]

    def _before(self) -> Samples:
        older, newer, counts = _Pointer(), _Pointer(), (ctypes.c_size_t(), ctypes.c_size_t())
        count = self._c.earshot_gate_before(
            self._gate, *(ctypes.byref(each) for each in (older, counts[0], newer, counts[1]))
        )
        parts = [older[: counts[0].value], newer[: counts[1].value]]
        assert count == sum(map(len, parts))
        return np.array([sample for part in parts for sample in part], np.int16)


def noise(seconds: float, db: float, seed: int = 1) -> Samples:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(round(seconds * 16000)) * 32768 * 10 ** (db / 20)).astype(np.int16)


def tone(seconds: float, db: float) -> Samples:
    wave = np.sin(np.arange(round(seconds * 16000)) * 2 * math.pi * 440 / 16000)
    return (wave * 32767 * math.sqrt(2) * 10 ** (db / 20)).clip(-32768, 32767).astype(np.int16)


def test_opens_for_speech_and_shuts_behind_it() -> None:
    gate, speech = Gate(), np.frombuffer(read_wav(recordings()[0].path), np.int16)
    said = gate.hear(np.concatenate([noise(2, -60), speech, noise(3, -60, 2)]).astype(np.int16))
    assert said.count(OPENS) == 1
    assert said.count(SHUTS) == 1
    assert said.index(SHUTS) > said.index(OPENS)
    assert sum(map(len, gate.through)) >= len(speech)


def test_what_came_before_it_opened_is_let_through_first() -> None:
    gate = Gate(before=4000)
    sound = np.concatenate([noise(1, -60), tone(0.5, -20)])
    said = gate.hear(sound)
    opened_behind = (said.index(OPENS) + 1) * BLOCK
    np.testing.assert_array_equal(gate.through[0], sound[opened_behind - 4000 : opened_behind])


def test_without_a_buffer_nothing_is_kept() -> None:
    gate = Gate(before=0)
    gate.hear(np.concatenate([noise(1, -60), tone(0.5, -20)]))
    assert len(gate.through[0]) == 0


def test_a_knock_is_no_word() -> None:
    gate = Gate()
    assert set(gate.hear(np.concatenate([noise(1, -60), tone(0.02, -10), noise(1, -60, 2)]))) == {SHUT}


def test_a_pause_within_a_sentence_does_not_shut_it() -> None:
    gate = Gate()
    said = gate.hear(
        np.concatenate([noise(1, -60), tone(0.5, -20), noise(0.6, -60, 2), tone(0.5, -20), noise(2, -60, 3)])
    )
    assert said.count(OPENS) == said.count(SHUTS) == 1


def test_a_fan_that_starts_opens_it_once_at_most_and_speech_over_the_fan_opens_it() -> None:
    gate = Gate()
    fan = noise(70, -35)
    said = gate.hear(np.concatenate([noise(2, -60), fan]).astype(np.int16))
    assert said.count(OPENS) <= 1
    assert said[-1] == SHUT
    assert OPENS in gate.hear(tone(0.5, -15))


@pytest.mark.parametrize("db", [-70, -62])
def test_what_is_hardly_there_opens_nothing(db: int) -> None:
    gate = Gate()
    assert set(gate.hear(np.concatenate([np.zeros(32000, np.int16), tone(1, db)]))) == {SHUT}


@given(st.integers(0, 2**32), st.integers(-60, 0))
def test_the_level_is_right_within_half_a_db(seed: int, db: int) -> None:
    c = library("earshot_gate.c")
    samples = noise(0.02, db - 10, seed)
    energy = float(np.mean(samples.astype(float) ** 2))
    if energy == 0:
        return
    told = c.earshot_level(samples.ctypes.data_as(_Pointer), ctypes.c_size_t(len(samples)))
    assert told / DB == pytest.approx(10 * math.log10(energy / 32768**2), abs=0.5)


@given(st.lists(st.integers(1, 2000), max_size=40), st.integers(0, 999), st.integers(0, 2**32))
def test_blocks_of_any_length_lose_no_sample_between_open_and_shut(
    lengths: list[int], before: int, seed: int
) -> None:
    gate, chance = Gate(before), random.Random(seed)
    fed: list[Samples] = []
    opened = False
    for length in lengths:
        block = noise(length / 16000, chance.choice([-70, -10]), chance.getrandbits(30))
        fed.append(block)
        said = gate.feed(block)
        assert said in ({OPEN, SHUTS} if opened else {SHUT, OPENS})
        opened = said in {OPENS, OPEN}
        if said != SHUT:
            tail = min(len(gate.through[-1]), length)
            np.testing.assert_array_equal(
                gate.through[-1][len(gate.through[-1]) - tail :], block[length - tail :]
            )
    heard = np.concatenate(fed) if fed else np.zeros(0, np.int16)
    assert sum(map(len, gate.through)) <= len(heard)
