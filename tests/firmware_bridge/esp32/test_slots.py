"""I2S slots of every shape become the samples that were said, without an offset, and what is clipped is counted."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.firmware_bridge.esp32.made import library

LEFT, RIGHT, BOTH = range(3)


class _Config(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint8) for name in ("width", "slots", "take", "gain_bits"))


class _Slots(ctypes.Structure):
    _fields_ = (
        ("config", _Config),
        ("offset", ctypes.c_int32),
        ("clipped", ctypes.c_uint32),
        ("peak", ctypes.c_uint16),
    )


class Microphone:
    def __init__(self, width: int = 32, slots: int = 1, take: int = LEFT, gain_bits: int = 0) -> None:
        self._c = library("earshot_slots.c")
        self.state = _Slots()
        self._frame = slots * width // 8
        self._c.earshot_slots_init(
            ctypes.byref(self.state), ctypes.byref(_Config(width, slots, take, gain_bits))
        )

    def says(self, memory: bytes) -> npt.NDArray[np.int16]:
        frames = len(memory) // self._frame
        out = (ctypes.c_int16 * max(frames, 1))()
        self._c.earshot_slots_convert(ctypes.byref(self.state), memory, out, ctypes.c_size_t(frames))
        return np.array(out[:frames], np.int16)


def speech(count: int = 16000) -> npt.NDArray[np.int32]:
    """A tone of 440 Hz at a tenth of full scale, in 16 bits."""
    return (np.sin(np.arange(count) * 2 * np.pi * 440 / 16000) * 3276).astype(np.int32)


def in_slots(left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> bytes:
    """24 bits at the top of 32, both slots."""
    return bytes(np.stack([left << 16, right << 16], axis=1).astype("<i4").tobytes())


@pytest.mark.parametrize(("take", "gain"), [(LEFT, 1.0), (RIGHT, 0.5), (BOTH, 0.75)])
def test_the_slot_that_is_taken(take: int, gain: float) -> None:
    heard = Microphone(slots=2, take=take).says(in_slots(speech(), speech() // 2))
    np.testing.assert_allclose(heard[8000:], speech()[8000:] * gain, atol=60)


def test_sixteen_bits_go_through_as_they_are() -> None:
    said = speech().astype(np.int16)
    np.testing.assert_allclose(Microphone(width=16).says(said.tobytes())[8000:], said[8000:], atol=60)


def test_a_quiet_microphone_is_made_louder_without_losing_its_lower_bits() -> None:
    quiet = speech() // 8 << 16
    heard = Microphone(gain_bits=3).says((quiet + (speech() % 8 << 13)).astype("<i4").tobytes())
    np.testing.assert_allclose(heard[8000:], speech()[8000:], atol=60)


def test_an_offset_is_gone_after_a_second() -> None:
    microphone = Microphone()
    shifted = ((speech(32000) + 9000) << 16).astype("<i4").tobytes()
    assert abs(microphone.says(shifted)[16000:].mean()) < 30


def test_what_is_at_the_end_of_the_scale_is_counted_and_does_not_wrap() -> None:
    microphone = Microphone(width=16)
    loud = (np.sign(speech(1600)) * 32767).astype(np.int16)
    heard = microphone.says(loud.tobytes())
    assert microphone.state.clipped == np.count_nonzero(loud)
    assert (np.sign(heard[loud != 0]) == np.sign(loud[loud != 0])).all()


def test_what_the_gain_clips_is_counted() -> None:
    microphone = Microphone(gain_bits=6)
    microphone.says((speech(1600) << 16).astype("<i4").tobytes())
    assert microphone.state.clipped > 1000


def test_nothing_is_clipped_in_ordinary_speech() -> None:
    microphone = Microphone()
    microphone.says((speech() << 16).astype("<i4").tobytes())
    assert microphone.state.clipped == 0
    assert 3000 < microphone.state.peak < 3500


@given(
    st.binary(max_size=400),
    st.sampled_from([16, 32]),
    st.sampled_from([1, 2]),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_any_memory_and_any_configuration_is_harmless(
    memory: bytes, width: int, slots: int, take: int, gain: int
) -> None:
    microphone = Microphone(width, slots, take, gain)
    heard = microphone.says(memory)
    assert len(heard) == len(memory) // (slots * width // 8)
    assert microphone.state.clipped <= len(heard)
