"""The canonical format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.audio import from_pcm16, milliseconds, to_float32


@settings(deadline=None)
@given(values=st.lists(st.integers(-32768, 32767)))
def test_pcm16_is_little_endian_and_survives_the_way(values: list[int]) -> None:
    pcm = b"".join(v.to_bytes(2, "little", signed=True) for v in values)
    samples = from_pcm16(pcm)
    assert samples.dtype == np.int16
    assert samples.tolist() == values
    scaled = to_float32(samples)
    assert scaled.dtype == np.float32
    assert np.array_equal(scaled * 32768, samples)
    assert ((scaled >= -1) & (scaled < 1)).all()


def test_an_odd_number_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 bytes"):
        from_pcm16(b"abc")


def test_milliseconds() -> None:
    assert milliseconds(320) == 20.0
