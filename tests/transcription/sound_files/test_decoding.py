"""Recordings of every format into the canonical audio: as they come, whatever they claim, in bounded memory."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcription.recordings import (
    FORMATS,
    WHOLE_FORMATS,
    encoded,
    recording,
    tone,
    wav,
    wav_form,
    wav_that_says,
)
from transcription.audio import SAMPLE_RATE, Samples
from transcription.sound_files.chain import parts
from transcription.sound_files.decoding import LostSound, decoded
from transcription.sound_files.lookahead import BadSound, Lookahead

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
    pieces = [one for one in decoded(Dripping(data)) if not isinstance(one, LostSound)]
    return np.concatenate([np.zeros(0, np.int16), *pieces])


def missing(data: bytes) -> list[str]:
    return [one.reason for one in decoded(Dripping(data)) if isinstance(one, LostSound)]


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
    assert 4_000 < np.abs(samples[4_000:-4_000]).max() < 16_000  # AAC rings where a tone begins


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
    ids=range(20),
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


# -- one after another


LOW, HIGH = tone(1.0, 440), tone(1.0, 900)
JUNK = random.Random(7).randbytes(5_000)
ID3 = b"ID3\3\0\0\0\0\7\x68" + b"TIT2\0\0\0\x08\0\0\0kitchen" + bytes(982)


def vorbis(samples: Samples, rate: int) -> bytes:
    return encoded(np.stack([samples, samples]), "ogg", "vorbis", rate, "stereo", strict="-2")


CHAINS: dict[str, Callable[[], bytes]] = {
    "MP3 of other rate and channels": lambda: (
        recording(LOW, "mp3") + recording(HIGH, "mp3", "stereo", 24_000)
    ),
    "MP3 with a tag at its end": lambda: recording(LOW, "mp3") + b"TAG" + b"x" * 125 + recording(HIGH, "mp3"),
    "Ogg Opus": lambda: recording(LOW, "ogg") + recording(HIGH, "ogg", "stereo"),
    "Ogg Vorbis": lambda: vorbis(LOW, 44_100) + vorbis(HIGH, 22_050),
    "Ogg Vorbis, then Opus": lambda: vorbis(LOW, 44_100) + recording(HIGH, "ogg"),
    "Ogg FLAC": lambda: (
        encoded(LOW[None], "ogg", "flac", 16_000, "mono") + encoded(HIGH[None], "ogg", "flac", 44_100, "mono")
    ),
    "WAV": lambda: recording(LOW, "wav", rate=8_000) + recording(HIGH, "wav", "stereo"),
    "WAV that was streamed": lambda: (
        wav_that_says(0xFFFFFFFF, data=LOW.tobytes()) + wav_that_says(0, data=HIGH.tobytes())
    ),
    "WAV with more behind its sound": lambda: (
        wav(LOW.tobytes(), after=b"LIST\3\0\0\0abc\0") + wav(HIGH.tobytes())
    ),
    "FLAC": lambda: recording(LOW, "flac", rate=16_000) + recording(HIGH, "flac", "stereo", 44_100),
    "WebM": lambda: recording(LOW, "webm") + recording(HIGH, "webm", "stereo"),
    "AAC": lambda: recording(LOW, "aac") + recording(HIGH, "aac", "stereo", 16_000),
    "M4A": lambda: recording(LOW, "m4a") + recording(HIGH, "m4a", "stereo", 22_050),
    "M4A of phones": lambda: recording(LOW, "m4a of a phone") + recording(HIGH, "alac"),
    "WebM, then WAV": lambda: recording(LOW, "webm") + recording(HIGH, "wav"),
    "WAV, then FLAC": lambda: recording(LOW, "wav") + recording(HIGH, "flac"),
    "Ogg, then MP3": lambda: recording(LOW, "ogg") + recording(HIGH, "mp3")[45:],
    "M4A, then MP3": lambda: recording(LOW, "m4a of a phone") + recording(HIGH, "mp3")[45:],
}


@pytest.mark.parametrize("name", CHAINS)
def test_files_one_after_another_are_all_heard(name: str) -> None:
    samples = whole(CHAINS[name]())
    assert abs(len(samples) - 2 * SAMPLE_RATE) < 0.2 * SAMPLE_RATE
    assert abs(loudest_hertz(samples[2_000:14_000]) - 440) < 4
    assert abs(loudest_hertz(samples[-14_000:-4_000]) - 900) < 4
    assert not missing(CHAINS[name]())


def test_what_cannot_be_heard_of_a_chain_is_told_and_the_rest_is_kept() -> None:
    broken = wav_that_says(8_000, channels=17, data=bytes(8_000))
    data = recording(LOW, "flac") + broken + wav(HIGH.tobytes()) + JUNK
    assert abs(len(whole(data)) - 2 * SAMPLE_RATE) < 100
    wrong, rest = missing(data)
    assert "17 channels" in wrong
    assert rest == f"{len(JUNK)} bytes of it are no sound that is known"


def test_broken_pieces_are_told() -> None:
    data = bytearray(recording(tone(8.0), "mp3"))
    data[40_000:44_000] = random.Random(3).randbytes(4_000)
    assert any("broken" in one for one in missing(bytes(data)))


def test_a_chain_of_what_is_none_ends() -> None:
    with pytest.raises(BadSound):
        whole(b"fLaC\0\0\0\x22" * 5_000)
    assert "too much" in missing(recording(LOW) + b"fLaC\0\0\0\x22" * 5_000)[-1]


@given(st.integers(1, 5_000), st.sampled_from(sorted(CHAINS)))
@settings(max_examples=8, deadline=None)
def test_it_is_the_same_in_whatever_pieces_it_comes(most: int, name: str) -> None:
    data = CHAINS[name]()
    pieces = [one for one in decoded(Dripping(data, most)) if not isinstance(one, LostSound)]
    assert np.array_equal(np.concatenate(pieces), whole(data))


@pytest.mark.parametrize("most", [61, 7_001])
@pytest.mark.parametrize("is_within", [False, True])
def test_an_ogg_file_ends_where_the_next_one_begins_wherever_it_says_that_it_ends(
    *, most: int, is_within: bool
) -> None:
    first, sound = (b"OggS\0" + bytes((flags, *bytes(20), 1, 4)) + b"page" for flags in (2, 0))
    last = b"OggS\0\4" + bytes(20) + b"\2\xff\xff"
    other = b"RIFF\xff\xff\xff\xffWAVE"
    end = last + bytes(300) + other + bytes(198) if is_within else other + last + bytes(510)
    data = first + sound + end + b"something else"
    assert [part.name for part in parts(Lookahead(Dripping(data, most)))][:2] == ["ogg", "wav"]


def test_a_wav_that_nobody_reads_is_passed_over() -> None:
    data = recording(LOW, "wav")
    assert [part.name for part in parts(Lookahead(Dripping(data + data)))] == ["wav", "wav"]


# -- told by what is in it


DISGUISED: dict[str, Callable[[], bytes]] = {
    "FLAC behind ID3": lambda: ID3 + recording(LOW, "flac"),
    "FLAC behind two": lambda: ID3 + ID3 + recording(LOW, "flac"),
    "WAV behind ID3": lambda: ID3 + recording(LOW, "wav"),
    "Ogg behind ID3": lambda: ID3 + recording(LOW, "ogg"),
    "AAC behind ID3": lambda: ID3 + recording(LOW, "aac"),
    "MP3 behind zeros": lambda: bytes(2_000_000) + recording(LOW, "mp3"),
    "MP3 from the middle of a frame": lambda: recording(LOW, "mp3")[777:],
    "MP3 behind junk": lambda: JUNK + recording(LOW, "mp3"),
    "Ogg behind junk": lambda: JUNK + recording(LOW, "ogg"),
    "Ogg behind words": lambda: b"HTTP/1.1 200 OK\r\n\r\n" + recording(LOW, "ogg"),
    "WAV behind zeros": lambda: bytes(513) + recording(LOW, "wav"),
    "M4A behind zeros": lambda: bytes(513) + recording(LOW, "m4a"),
    "MP2": lambda: encoded(LOW[None], "mp2", "mp2", 44_100, "mono"),
    "RF64": lambda: wav(LOW.tobytes(), magic=b"RF64"),
    "BW64": lambda: wav(LOW.tobytes(), magic=b"BW64"),
    "RIFX": lambda: wav(LOW.astype(">i2").tobytes(), magic=b"RIFX", order=">"),
    **{name: partial(recording, LOW, name) for name in WHOLE_FORMATS},
}


@pytest.mark.parametrize("name", DISGUISED)
def test_what_it_is_its_bytes_say(name: str) -> None:
    samples = whole(DISGUISED[name]())
    assert abs(len(samples) - SAMPLE_RATE) < 0.1 * SAMPLE_RATE
    assert abs(loudest_hertz(samples[2_000:14_000]) - 440) < 4


@pytest.mark.parametrize(
    "data", [b"ID3\3\0\0\x7f\x7f\x7f\x7fTIT2", ID3, ID3[:500], JUNK, bytes(100), b"\0\0\0\x18ftypM4A " + bytes(3_000)]
)  # fmt: skip
def test_tags_junk_and_heads_alone_are_no_recording(data: bytes) -> None:
    with pytest.raises(BadSound):
        whole(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"no recording at all", "it is neither"),
        (b"RIFF\0\0\0\0WAVE" + bytes(50), "without sound"),
        (
            wav(bytes(8_000), form=struct.pack("<HHIIHH", 0x7777, 1, 16_000, 32_000, 2, 16)),
            "which is not taken",
        ),
        (b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\x10\0mdat" + bytes(4_088), "cannot be decoded as M4A"),
    ],
)
def test_why_it_is_none_is_told_in_words(data: bytes, says: str) -> None:
    with pytest.raises(BadSound) as told:
        whole(data)
    assert says in str(told.value)
    assert "rrno" not in str(told.value)


@pytest.mark.parametrize("around", [b"", wav(LOW.tobytes())], ids=["alone", "behind"])
def test_nothing_else_is_read_whatever_it_asks_for(tmp_path: Path, around: bytes) -> None:
    """Playlists, lists of files and descriptions that name one that is there and is sound."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(recording(tone(3.0, 1_500), "wav"))
    for text in (
        f"#EXTM3U\n#EXTINF:3,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret}\n",
        f"v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na=control:{secret}\n",
        f"<?xml version='1.0'?><MPD type='static'><BaseURL>{secret}</BaseURL></MPD>",
        f"1\n00:00:00,000 --> 00:00:03,000\n{secret}\n",
    ):
        body = around + text.encode() * 50
        samples = np.zeros(0, np.int16)
        with suppress(BadSound):
            samples = whole(body)
        assert len(samples) <= (SAMPLE_RATE + 100 if around else 0)


# -- many channels


@pytest.mark.parametrize(("channels", "mask"), [(2, 0), (3, 0), (3, 0xB), (4, 0x33), (6, 0x3F), (8, 0x63F)])
def test_every_channel_is_heard_whatever_it_is_called(channels: int, mask: int) -> None:
    for speaks in range(channels):
        planes = np.zeros((channels, SAMPLE_RATE), np.int16)
        planes[speaks] = LOW
        form = wav_form(channels, mask=mask)
        samples = whole(wav(planes.T.tobytes(), form=form))
        assert np.abs(samples[2_000:]).max() > 11_000


def test_eight_channels_that_are_kept_apart_are_all_that_is_read() -> None:
    """PyAV would read a ninth one from where there is none, and end the process."""
    planes = np.zeros((8, SAMPLE_RATE), np.int16)
    planes[5] = LOW
    for container, codec in (("ogg", "libopus"), ("flac", "flac")):
        data = encoded(planes, container, codec, 48_000, "7.1")
        samples = whole(data)
        assert abs(len(samples) - SAMPLE_RATE) < 1_000


def test_more_channels_than_can_be_read_apart_are_refused() -> None:
    """Opus of nine channels."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 9, 0, 48_000, 0, 255) + bytes([9, 0, *range(9)])
    tags = b"OpusTags" + struct.pack("<II", 0, 0)
    packet = b"".join(b"\xf8\x02\xff\xfe" for _ in range(8)) + b"\xf8\xff\xfe"
    data = b"".join(
        ogg_page(body, number, flags)
        for number, (body, flags) in enumerate([(head, 2), (tags, 0), *[(packet, 0)] * 60])
    )
    with pytest.raises(BadSound, match="9 channels"):
        whole(data)


def ogg_page(body: bytes, number: int, flags: int) -> bytes:
    def page(crc: int) -> bytes:
        granule = max(0, number - 1) * 960
        return b"OggS" + struct.pack("<BBqIIIBB", 0, flags, granule, 7, number, crc, 1, len(body)) + body

    crc = 0
    for byte in page(0):
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return page(crc)


@pytest.mark.parametrize("codec", ["wav", "flac", "libopus", "libmp3lame", "aac"])
def test_an_inverted_channel_does_not_silence_the_other(codec: str) -> None:
    planes = np.stack([LOW, -LOW])
    container = {"libopus": "ogg", "libmp3lame": "mp3", "aac": "ipod"}.get(codec, codec)
    data = wav(planes.T.tobytes(), form=wav_form(2))
    if codec != "wav":
        data = encoded(planes, container, codec, 48_000, "stereo")
    assert np.abs(whole(data)[2_000:14_000]).max() > 10_000


# -- fewer bits than there is room for

NOISY = (LOW.astype(np.int32) << 8) + np.arange(SAMPLE_RATE) % 200 - 100
"""24 bits."""


def three(values: npt.NDArray[np.int32]) -> bytes:
    return values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def uncounted(form: bytes) -> bytes:
    """Without its bytes a second."""
    return form[:8] + bytes(4) + form[12:]


PACKED = {
    "24 in 32": ((NOISY << 8).astype("<i4").tobytes(), wav_form(bits=32, valid=24)),
    "24 in 32, low": (NOISY.astype("<i4").tobytes(), wav_form(bits=32, valid=24)),
    "24 in 32, low, 24 declared": (NOISY.astype("<i4").tobytes(), wav_form(bits=24, place=4, valid=24)),
    "S24_LE": (NOISY.astype("<i4").tobytes(), wav_form(bits=24, place=4)),
    "S24_LE of 16 bits": ((LOW.astype("<i4") << 8).tobytes(), wav_form(bits=24, place=4)),
    "S24_LE without a sign above": ((NOISY & 0xFFFFFF).astype("<i4").tobytes(), wav_form(bits=24, place=4)),
    "S24_LE, high": ((NOISY << 8).astype("<i4").tobytes(), wav_form(bits=24, place=4)),
    "S24_LE, floating": ((NOISY * 1.0).astype("<f4").tobytes(), wav_form(bits=24, place=4)),
    "S24_LE of whoever does not count": (
        NOISY.astype("<i4").tobytes(),
        uncounted(wav_form(bits=24, place=4)),
    ),
    "S24_3LE": (three(NOISY), wav_form(bits=24)),
    "20 in 24": (three(NOISY & ~0xF), wav_form(bits=24, valid=20)),
    "20 in 24, plain": (three(NOISY & ~0xF), wav_form(bits=20, place=3)),
    "20 in 24, low": (three(NOISY >> 4), wav_form(bits=20, place=3)),
    "20 in 32": ((NOISY >> 4).astype("<i4").tobytes(), wav_form(bits=20, place=4)),
    "16 in 32": ((LOW.astype("<i4") << 16).tobytes(), wav_form(bits=32, valid=16)),
    "16 in 32, low": (LOW.astype("<i4").tobytes(), wav_form(bits=16, place=4)),
    "16 in 24": (three(LOW.astype(np.int32) << 8), wav_form(bits=24, valid=16)),
    "12 in 16": ((LOW & ~0xF).astype("<i2").tobytes(), wav_form(bits=16, valid=12)),
    "12 in 16, plain": ((LOW & ~0xF).astype("<i2").tobytes(), wav_form(bits=12, place=2)),
    "12 in 16, low": ((LOW >> 4).astype("<i2").tobytes(), wav_form(bits=12, place=2)),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("silence", [0, 12_000])
def test_samples_with_fewer_bits_than_their_place_are_read_right(name: str, silence: int) -> None:
    data, form = PACKED[name]
    samples = whole(wav(bytes(silence) + data, form=form))[-SAMPLE_RATE:]
    assert np.abs(samples - LOW.astype(np.int32)).max() < 20


def test_so_are_those_that_stand_the_other_way_round() -> None:
    form = wav_form(bits=24, place=4, order=">")
    samples = whole(wav(NOISY.astype(">i4").tobytes(), form=form, magic=b"RIFX", order=">"))
    assert np.abs(samples - LOW.astype(np.int32)).max() < 20
