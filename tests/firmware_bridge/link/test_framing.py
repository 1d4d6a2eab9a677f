"""Frames are found on a serial line whatever else is there, and nothing false is taken for one."""

from __future__ import annotations

import itertools
import random
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_bridge.link.frames import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    Audio,
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    Header,
    Log,
    Ping,
)
from firmware_bridge.link.framing import (
    NOISE_BYTES,
    DatagramDecoder,
    Decoded,
    FrameRejected,
    Noise,
    SerialDecoder,
    encode_serial,
    stuff,
    unstuff,
)

U32 = st.integers(0, 0xFFFFFFFF)
HEADERS = st.builds(Header, st.integers(0, 255), st.integers(0, 0xFFFF), st.just(32), U32, U32, U32)
FRAMES = st.one_of(
    st.builds(Audio, HEADERS, st.sampled_from(Codec), st.binary(max_size=700)),
    st.builds(
        Audio,
        HEADERS,
        st.just(Codec.PCM16),
        st.sampled_from([bytes(640), b"\1" * 640, b"\xff" * MAX_PAYLOAD]),
    ),
    st.builds(Log, HEADERS, st.integers(0, 7), st.text(st.characters(codec="utf-8"), max_size=80)),
    st.builds(Ping, HEADERS),
)
GOOD = Ping(Header(link=7, credit=32, timestamp=99))


def in_chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


def decoded(decoder: SerialDecoder, chunks: list[bytes]) -> list[Decoded]:
    return [item for chunk in chunks for item in decoder.feed(chunk)]


def frames_in(items: list[Decoded]) -> list[DeviceFrame]:
    return [item for item in items if not isinstance(item, FrameRejected | Noise)]


@given(st.binary(max_size=1200))
@example(b"")
@example(b"\0")
@example(b"\1" * 254)
@example(b"\1" * 254 + b"\0")
@example(b"\1" * 255)
@example(b"\0" + b"\1" * 254 + b"\0" + b"\1" * 508)
def test_stuffing_takes_out_every_zero_and_unstuffing_puts_it_back(data: bytes) -> None:
    stuffed = stuff(data)
    assert stuffed.index(0) == len(stuffed) - 1
    assert len(stuffed) <= len(data) + 2 + len(data) // 254
    assert unstuff(stuffed[:-1]) == data


@pytest.mark.parametrize(
    ("data", "stuffed"),
    [
        ("", "01 00"),
        ("00", "01 01 00"),
        ("00 00", "01 01 01 00"),
        ("00 11 00", "01 02 11 01 00"),
        ("11 22 00 33", "03 11 22 02 33 00"),
        ("11 22 33 44", "05 11 22 33 44 00"),
        ("11 00 00 00", "02 11 01 01 01 00"),
    ],
)
def test_stuffing_is_the_published_algorithm(data: str, stuffed: str) -> None:
    assert stuff(bytes.fromhex(data)).hex(" ") == stuffed


def test_a_group_after_a_full_one_at_the_end_is_taken_too() -> None:
    full = b"\xff" + b"\1" * 254
    assert unstuff(full) == unstuff(full + b"\1") == b"\1" * 254
    assert unstuff(full + b"\2") is None


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 10_000), max_size=20))
def test_frames_come_out_of_any_chunks(frames: list[DeviceFrame], cuts: list[int]) -> None:
    decoder = SerialDecoder()
    data = b"".join(encode_serial(frame) for frame in frames)
    assert decoded(decoder, in_chunks(data, cuts)) == frames
    assert decoder.counters.frames == len(frames)
    assert decoder.counters.bytes == len(data)


@given(st.lists(FRAMES, min_size=1, max_size=3))
def test_frames_come_out_byte_by_byte(frames: list[DeviceFrame]) -> None:
    data = b"".join(encode_serial(frame) for frame in frames)
    assert decoded(SerialDecoder(), [bytes((byte,)) for byte in data]) == frames


@given(FRAMES, st.integers(0, 10_000), st.integers(1, 255))
def test_one_wrong_byte_never_makes_a_wrong_frame(frame: DeviceFrame, place: int, change: int) -> None:
    data = bytearray(encode_serial(frame) + encode_serial(GOOD))
    place %= len(data) - len(encode_serial(GOOD))
    data[place] ^= change
    items = decoded(SerialDecoder(), [bytes(data) + encode_serial(GOOD)])
    assert frames_in(items)[-1] == GOOD
    assert all(found in (frame, GOOD) for found in frames_in(items))
    assert frame == GOOD or frame not in frames_in(items)


@given(st.binary(max_size=6000), st.lists(st.integers(0, 10_000), max_size=8), FRAMES)
def test_after_any_garbage_the_next_frame_is_found(
    garbage: bytes, cuts: list[int], frame: DeviceFrame
) -> None:
    data = garbage + b"\0" + encode_serial(frame)
    assert frames_in(decoded(SerialDecoder(), in_chunks(data, cuts))) == [frame]


TEXT_OR_NOT = st.one_of(st.binary(max_size=300), st.text("ab\n\r\t", max_size=9).map(str.encode))


@given(
    st.lists(st.tuples(TEXT_OR_NOT, st.just(b"") | FRAMES.map(encode_serial)).map(b"".join), max_size=8),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_chunks_make_no_difference(blocks: list[bytes], cuts: list[int]) -> None:
    data = b"\0".join(blocks) + b"\0"
    whole, cut = SerialDecoder(), SerialDecoder()
    rejected = [item for item in decoded(whole, [data]) if not isinstance(item, Noise)]
    assert [item for item in decoded(cut, in_chunks(data, cuts)) if not isinstance(item, Noise)] == rejected
    assert cut.counters == whole.counters


def framed(body: bytes) -> bytes:
    return stuff(body + zlib.crc32(body).to_bytes(4, "little"))


def test_what_is_refused_is_counted_by_its_reason() -> None:
    sound = Ping(Header(link=7)).to_bytes()
    decoder = SerialDecoder(max_payload=100)
    line = b"".join(
        (
            framed(b"\x05" + sound[1:]),
            framed(sound[:1] + b"\x7f" + sound[2:]),
            framed(sound[:5]),
            framed(sound + bytes(101)),
            b"\x05\x01\0",
            encode_serial(GOOD)[:-3] + b"\x01\x01\0",
            b"\x80" * 1000 + b"\0",
            b"hello\r\n",
            encode_serial(GOOD),
        )
    )
    items = decoded(decoder, [line])
    codes = [item.code for item in items if isinstance(item, FrameRejected)]
    assert codes == [
        *(FaultCode.UNSUPPORTED_VERSION, FaultCode.UNKNOWN_TYPE, FaultCode.MALFORMED, FaultCode.TOO_LARGE),
        *(None, None, None),
    ]
    assert items[-2:] == [Noise(b"hello\r\n"), GOOD]
    counters = decoder.counters
    assert (counters.unknown_version, counters.unknown_type, counters.malformed) == (1, 1, 1)
    assert (counters.oversized, counters.cobs_errors, counters.crc_errors) == (2, 1, 1)
    assert (counters.noise_bytes, counters.frames, counters.bytes) == (7, 1, len(line))


def test_a_rejection_behind_a_sound_header_can_be_answered() -> None:
    sound = Ping(Header(link=7, sequence=12)).to_bytes()
    (rejected,) = SerialDecoder().feed(framed(sound[:1] + b"\x1e" + sound[2:]))
    assert isinstance(rejected, FrameRejected)
    assert rejected.header == Header(link=7, sequence=12)
    assert rejected.type_byte == 0x1E


def test_a_frame_with_up_to_twice_the_payload_is_understood_enough_to_be_answered() -> None:
    body = Audio(Header(link=7, sequence=3), Codec.PCM16, b"").to_bytes()
    (rejected,) = SerialDecoder().feed(framed(body + b"\x55" * 2 * MAX_PAYLOAD))
    assert isinstance(rejected, FrameRejected)
    assert (rejected.code, rejected.header) == (FaultCode.TOO_LARGE, Header(link=7, sequence=3))


@pytest.mark.parametrize("chunk", [1, 7, 4096, 100_000])
def test_a_stretch_without_delimiter_is_refused_once_and_not_kept(chunk: int) -> None:
    rng = random.Random(1)
    data = bytes(rng.randrange(128, 256) for _ in range(20_000))
    decoder = SerialDecoder()
    items = []
    for start in range(0, len(data), chunk):
        items += list(decoder.feed(data[start : start + chunk]))
        assert len(decoder._pending) <= 2 * MAX_PAYLOAD + 100
    items += list(decoder.feed(b"\0" + encode_serial(GOOD)))
    assert [type(item) for item in items] == [FrameRejected, Ping]
    assert decoder.counters.oversized == 1


BOOT_ROM = b"ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON)\r\n\x1b[0;32mI (24) boot: hi\x1b[0m\n\n"


@pytest.mark.parametrize("chunk", [1, 3, 50, 1000])
def test_text_before_a_frame_is_noise_and_costs_no_frame(chunk: int) -> None:
    data = BOOT_ROM + encode_serial(GOOD) + b"assert failed\n" + encode_serial(GOOD)
    items = decoded(SerialDecoder(), [data[at : at + chunk] for at in range(0, len(data), chunk)])
    assert frames_in(items) == [GOOD, GOOD]
    noise = b"".join(item.data for item in items if isinstance(item, Noise))
    assert noise == BOOT_ROM + b"assert failed\n"
    assert not any(isinstance(item, FrameRejected) for item in items)


def test_lines_of_text_come_out_before_any_delimiter() -> None:
    decoder = SerialDecoder()
    assert list(decoder.feed(b"Guru Meditation Error\r\nbacktr")) == [Noise(b"Guru Meditation Error\r\n")]
    assert list(decoder.feed(b"ace\n")) == [Noise(b"backtrace\n")]


def test_text_without_newline_is_noise_too() -> None:
    assert list(SerialDecoder().feed(b"login: \0")) == [Noise(b"login: ")]
    decoder = SerialDecoder()
    assert [type(item) for item in decoder.feed(b"x" * 10_000)] == [Noise]
    assert decoder.counters.noise_bytes == 10_000


def test_of_a_long_text_only_its_beginning_is_kept() -> None:
    text = b"flood\n" * 10_000
    decoder = SerialDecoder()
    assert list(decoder.feed(text)) == [Noise(text[:NOISE_BYTES])]
    assert decoder.counters.noise_bytes == len(text)


def test_delimiters_alone_say_nothing() -> None:
    assert list(SerialDecoder().feed(b"\0\0\0")) == []


@given(FRAMES)
def test_a_datagram_is_one_frame(frame: DeviceFrame) -> None:
    decoder = DatagramDecoder()
    assert list(decoder.feed(frame.to_bytes())) == [frame]
    assert decoder.counters.frames == 1


@given(st.binary(max_size=300))
def test_a_datagram_of_anything_is_a_frame_or_a_rejection(data: bytes) -> None:
    decoder = DatagramDecoder()
    (item,) = decoder.feed(data)
    assert not isinstance(item, Noise)
    assert decoder.counters.frames == (not isinstance(item, FrameRejected))
    assert decoder.counters.bytes == len(data)


def test_the_largest_frame_fits() -> None:
    frame = Fault(Header(), FaultCode.REFUSED, "x" * (MAX_PAYLOAD - 2))
    assert list(SerialDecoder().feed(encode_serial(frame))) == [frame]
    assert len(frame.to_bytes()) == HEADER_SIZE + MAX_PAYLOAD
