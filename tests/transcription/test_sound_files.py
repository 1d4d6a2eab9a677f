"""Recordings of every format into the canonical audio: as they come, whatever they claim, in bounded memory."""

from __future__ import annotations

import io
import random
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcription.recordings import FORMATS, recording, tone, wav_that_says
from transcription.audio import SAMPLE_RATE, Samples
from transcription.sound_files import BadSound, container, decoded

pytestmark = pytest.mark.slow


class Dripping:
    """A source that gives a few bytes at a time, and counts them."""

    def __init__(self, data: bytes, most: int = 7_001) -> None:
        self._file = io.BytesIO(data)
        self._most = most
        self.given = 0

    def read(self, size: int) -> bytes:
        piece = self._file.read(min(size, self._most))
        self.given += len(piece)
        return piece


def whole(data: bytes) -> Samples:
    return np.concatenate([np.zeros(0, np.int16), *decoded(Dripping(data))])


def loudest_hertz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", ["mono", "stereo"])
def test_every_format_is_decoded_to_the_canonical_audio(name: str, channels: str) -> None:
    samples = whole(recording(tone(2.0), name, channels))
    assert samples.dtype == np.int16
    assert abs(len(samples) - 2 * SAMPLE_RATE) < 0.06 * SAMPLE_RATE
    assert abs(loudest_hertz(samples) - 440) < 2
    assert 4_000 < np.abs(samples).max() < 16_000


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_decoded_while_it_comes(name: str) -> None:
    data = recording(tone(30.0), name)
    source = Dripping(data, 1024)
    pieces = decoded(source)
    next(pieces)
    assert source.given < max(len(data) // 2, 300_000)
    pieces.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FORMATS)
def test_one_that_breaks_off_gives_what_there_was(name: str) -> None:
    data = recording(tone(8.0), name)
    samples = whole(data[: len(data) // 2])
    assert 2 * SAMPLE_RATE < len(samples) < 6 * SAMPLE_RATE


@pytest.mark.parametrize("name", FORMATS)
def test_broken_bytes_in_the_middle_do_no_harm(name: str) -> None:
    data = bytearray(recording(tone(8.0), name))
    for at in random.Random(name).sample(range(len(data) // 4, len(data)), 200):
        data[at] ^= 0xFF
    try:
        samples = whole(bytes(data))
    except BadSound:
        return
    assert len(samples) < 60 * SAMPLE_RATE


@pytest.mark.parametrize("claimed", [0, 2, 31_999, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_a_wav_that_lies_about_its_length_gives_no_more_than_it_has(claimed: int) -> None:
    data = tone(1.0).tobytes()
    samples = whole(wav_that_says(claimed, data=data))
    assert len(samples) <= SAMPLE_RATE + 32
    if claimed >= len(data):
        assert len(samples) >= SAMPLE_RATE - 32


@pytest.mark.parametrize(
    "lie",
    [
        {"channels": 0}, {"channels": 17}, {"channels": 65_535}, {"rate": 0}, {"rate": 1}, {"rate": 0xFFFFFFFF},
    ],
)  # fmt: skip
def test_a_wav_that_lies_about_its_sound_is_refused(lie: dict[str, int]) -> None:
    with pytest.raises(BadSound):
        whole(wav_that_says(1_000_000, data=bytes(100_000), **lie))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"RIFF", b"OggS", b"fLaC", b"ID3", b"\xff\xfb", b"\x1a\x45\xdf\xa3", b"#EXTM3U\nhttp://x/\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n", b"<?xml version='1.0'?>", b"\x89PNG\r\n\x1a\n" + bytes(99),
        b"RIFF\0\0\0\0AVI LIST", b"\0\0\0\x18ftypmp42" + bytes(99), bytes(1 << 20), b"\xff" * (1 << 20),
        b"OggS" * 10_000, b"fLaC" * 10_000, b"ID3" * 10_000, b"RIFF\xff\xff\xff\xffWAVE" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(BadSound):
        whole(data)


@given(
    st.sampled_from([b"RIFF\0\0\0\0WAVE", b"OggS", b"fLaC", b"ID3\4\0", b"\xff\xfb", b"\x1a\x45\xdf\xa3"]),
    st.binary(max_size=2_000),
)
@settings(max_examples=60)
def test_whatever_follows_a_good_beginning_ends(magic: bytes, rest: bytes) -> None:
    assert container((magic + rest)[:16]) is not None
    with suppress(BadSound):
        assert len(whole(magic + rest)) < 60 * SAMPLE_RATE


def test_a_title_that_is_not_utf_8_is_no_reason_to_refuse_it() -> None:
    data = wav_that_says(32_000, data=bytes(32_000))
    title = b"INFOINAM" + struct.pack("<I", 6) + b"K\xfcche\0"
    titled = data[:36] + b"LIST" + struct.pack("<I", len(title)) + title + data[36:]
    assert len(whole(titled)) == SAMPLE_RATE


def test_what_the_source_raises_goes_through() -> None:
    class Gone(Exception):
        pass

    class Breaking(Dripping):
        def read(self, size: int) -> bytes:
            if self.given > 100_000:
                raise Gone
            return super().read(size)

    with pytest.raises(Gone):
        list(decoded(Breaking(recording(tone(5.0), "wav"))))
