"""Plain WAV files decoded here: the same samples as FFmpeg makes of them, without a process; the rest goes to one."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Callable

import numpy as np
import pytest

from tests.transcription.recordings import recording, tone, wav, wav_form, wav_that_says
from transcription.audio import Samples
from transcription.sound_files import decoding, plain_wav
from transcription.sound_files.lookahead import BadSound, Source

TONE = tone(1.0)
WIDE = TONE.astype(np.int32) << 16
LSB = 2
"""Of 16 bits: who converts rounds in his own way."""


class Slow(io.BytesIO):
    """As a wire gives it."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 1, 777))


class NobodyMayComeError(Exception):
    pass


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a process fails."""

    def refuse(*_words: object, **_more: object) -> None:
        raise NobodyMayComeError

    monkeypatch.setattr(subprocess, "Popen", refuse)


def heard(data: bytes, open_it: Callable[[bytes], Source] = io.BytesIO) -> tuple[Samples, list[str]]:
    pieces = list(plain_wav.decoded(open_it(data), 600, lambda: None))
    sound = [one for one in pieces if not isinstance(one, decoding.LostSound)]
    return np.concatenate(sound), [one.reason for one in pieces if isinstance(one, decoding.LostSound)]


def by_ffmpeg(data: bytes) -> Samples:
    pieces = decoding.decoded(io.BytesIO(data))
    return np.concatenate([one for one in pieces if not isinstance(one, decoding.LostSound)])


def floating(samples: Samples) -> bytes:
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    return wav((samples / np.float32(1 << 15)).astype("<f4").tobytes(), form=form)


PLAIN = {
    "canonical": wav(TONE.tobytes()),
    "extensible": wav(TONE.tobytes(), form=wav_form(mask=4)),
    "of nobody knows how long": wav_that_says(0xFFFFFFFF, data=TONE.tobytes()),
    "of no length": wav_that_says(0, data=TONE.tobytes()),
    "cut off": wav_that_says(10**6, data=TONE.tobytes()[:-1]),
    "stereo": wav(np.repeat(TONE, 2).tobytes(), form=wav_form(2)),
    "24 bits": wav(WIDE.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(), form=wav_form(bits=24)),
    "24 in 32": wav(WIDE.tobytes(), form=wav_form(bits=32, valid=24)),
    "32 bits": wav(WIDE.tobytes(), form=wav_form(bits=32)),
    "8 bits": wav(((TONE >> 8) + 128).astype(np.uint8).tobytes(), form=wav_form(bits=8)),
    "floating": floating(TONE),
    "RF64": wav(TONE.tobytes(), magic=b"RF64"),
    "RIFX": wav(TONE.astype(">i2").tobytes(), magic=b"RIFX", order=">"),
    "a note in front": b"RIFF\xff\xff\xff\xffWAVELIST\4\0\0\0note" + wav(TONE.tobytes())[12:],
    "a note behind": wav(TONE.tobytes(), after=b"LIST\3\0\0\0abc\0"),
    "zeros behind": wav(TONE.tobytes()) + bytes(5_000),
}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_sounds_as_ffmpeg_has_it_and_needs_no_process(kind: str) -> None:
    for open_it in (io.BytesIO, Slow):
        sound, missing = heard(PLAIN[kind], open_it)
        expected = by_ffmpeg(PLAIN[kind])
        assert len(sound) == len(expected)
        assert np.abs(sound.astype(int) - expected).max() <= LSB
        assert missing == []


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_other_rates_are_converted_here(rate: int) -> None:
    data = recording(TONE, "wav", rate=rate)
    sound, expected = heard(data)[0], by_ffmpeg(data)
    assert abs(len(sound) - len(expected)) <= 32
    inside = slice(500, min(len(sound), len(expected)) - 500)
    assert np.abs(sound[inside].astype(int) - expected[inside]).max() < 0.02 * np.abs(expected).max()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no sound",
        recording(TONE, "flac"),
        wav(b"", form=b"short"),
        wav(bytes(800), form=struct.pack("<HHIIHH", 0x11, 1, 16_000, 8_000, 256, 4)),
        wav(bytes(800), form=wav_form(rate=3_000)),
        wav(bytes(800), form=wav_form(17)),
        wav(bytes(800), form=struct.pack("<HHIIHH", 1, 0, 16_000, 0, 0, 16)),
        wav_that_says(20_000_000, channels=16, rate=192_000, data=bytes(800)),
        wav_that_says(0xFFFFFFFF, rate=48_000, data=bytes(800)),
        wav(bytes(2 * 48_000 * 61), form=wav_form(rate=48_000)),
        b"RIFF\xff\xff\xff\xffWAVEjunk\0\x20\0\0" + bytes(0x2000) + wav(TONE.tobytes())[12:],
    ],
    ids=range(12),
)
def test_whatever_else_there_is_goes_to_the_process(data: bytes) -> None:
    with pytest.raises(NobodyMayComeError):
        heard(data)


@pytest.mark.slow
def test_what_follows_a_plain_file_is_heard_or_told() -> None:
    first = wav(TONE.tobytes())
    sound, missing = heard(first + recording(TONE, "flac") + first)
    assert abs(len(sound) - 3 * len(TONE)) < 100
    assert missing == []
    sound, missing = heard(first + b"?" * 3_000)
    assert (len(sound), missing) == (len(TONE), ["3000 bytes of it are no sound that is known"])
    assert heard(first + b"?" * 300)[1] == []
    assert "cannot be decoded as FLAC" in heard(first + b"fLaC\0\0\0\x22" + bytes(range(256)) * 8)[1][0]


@pytest.mark.slow
def test_what_it_is_not_is_said_as_ever() -> None:
    with pytest.raises(BadSound, match="it is empty"):
        heard(b"")
    with pytest.raises(BadSound, match="it is neither WAV"):
        heard(b"no sound at all")


def test_it_is_decoded_while_it_comes() -> None:
    source = io.BytesIO(wav(tone(60.0).tobytes()))
    assert len(next(iter(plain_wav.decoded(source, 600, lambda: None))))
    assert source.tell() < 200_000
