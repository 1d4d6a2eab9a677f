"""Every frame reads back as it was written, and bytes that are none say what is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.events import DeviceStatus, NoticeKind
from firmware_bridge.link.frames import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    MAX_RANGES,
    Ack,
    Audio,
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    FrameError,
    FrameType,
    Header,
    Hello,
    Log,
    Partial,
    Ping,
    Reply,
    Status,
    UpdateReason,
    UpdateState,
    decode,
    numbered_down,
    numbered_up,
)

U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
HEADERS = st.builds(Header, U8, U16, U16, U32, U32, U32, st.booleans())
TEXTS = st.text(st.characters(codec="utf-8"), max_size=100)

# How a field of each frame is drawn: by "Class.field", else by "field".
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "header": HEADERS,
    "text": TEXTS,
    "message": TEXTS,
    "firmware": TEXTS,
    "correlation_id": st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=64),
    "device_id": st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    "boot": U32,
    "resume_from": U32,
    "down_next": U32,
    "durable": U32,
    "ring_frames": U32,
    "max_payload": st.integers(64, MAX_PAYLOAD),
    "codec": st.sampled_from(Codec),
    "payload": st.binary(max_size=MAX_PAYLOAD),
    "kind": st.sampled_from(NoticeKind),
    "value": st.integers(-32768, 32767),
    "status": st.sampled_from(DeviceStatus),
    "missing": st.lists(st.tuples(U32, U32), max_size=MAX_RANGES).map(tuple),
    "stable": st.integers(0, 65535),
    "level": U8,
    "code": st.sampled_from(FaultCode),
    "nonce": st.binary(min_size=16, max_size=16),
    "sha256": st.binary(min_size=32, max_size=32),
    "signature": st.binary(min_size=64, max_size=64),
    "version": TEXTS,
    "data": st.binary(max_size=MAX_PAYLOAD - 8),
    "state": st.sampled_from(UpdateState),
    "reason": st.sampled_from(UpdateReason),
    **dict.fromkeys(("size", "number", "image", "offset", "length"), U32),
    **dict.fromkeys(
        ("wants_partials", "end_on_silence", "final", "fallback", "error", "continued", "whole"),
        st.booleans(),
    ),
}


@st.composite
def frames_of(draw: st.DrawFn, kind: type[DeviceFrame]) -> DeviceFrame:
    names = [field.name for field in dataclasses.fields(kind)]
    if kind is Hello:
        return draw(hellos())
    return kind(**{name: draw(FIELDS[name]) for name in names})


@st.composite
def hellos(draw: st.DrawFn) -> Hello:
    next_sequence = draw(U32)
    back = st.integers(0, 0x7FFFFFFF).map(lambda count: (next_sequence - count) & 0xFFFFFFFF)
    names = ("header", "device_id", "boot", "firmware", "ring_frames")
    first = [draw(FIELDS[name]) for name in names]
    return Hello(
        *(*first, next_sequence, draw(back), draw(back), draw(FIELDS["max_payload"])),
        *(draw(st.booleans()), draw(st.booleans()), draw(st.booleans())),
        kind=draw(st.text(st.characters(codec="utf-8"), max_size=64)),
        proof=draw(st.from_regex("([0-9a-f]{64})?", fullmatch=True)),
    )


ALL_FRAMES = st.one_of([frames_of(kind) for kind in get_args(DeviceFrame)])


@pytest.mark.parametrize("kind", get_args(DeviceFrame), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_frame_reads_back_as_it_was_written(kind: type[DeviceFrame], data: st.DataObject) -> None:
    frame = data.draw(frames_of(kind))
    assert decode(frame.to_bytes()) == frame


@pytest.mark.parametrize(
    ("stable", "text"),
    [(0, ""), (4, "turn"), (9, "turn öff"), (8, "turn öf"), (6, "turn "), (99, "turn öff")],
)
def test_the_stable_part_of_a_partial_is_told_in_bytes_and_never_half_a_character(
    stable: int, text: str
) -> None:
    assert Partial(Header(), "turn öff", stable).stable_text == text


def test_each_type_has_one_class() -> None:
    assert {kind.TYPE for kind in get_args(DeviceFrame)} == set(FrameType)
    assert len(get_args(DeviceFrame)) == len(FrameType)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_frame_error(data: bytes) -> None:
    try:
        decode(data)
    except FrameError as error:
        assert error.message  # noqa: PT017
        assert (error.header is None) == (len(data) < HEADER_SIZE or data[0] != 1)  # noqa: PT017


@given(ALL_FRAMES, st.data())
def test_a_frame_cut_anywhere_is_a_frame_or_a_frame_error(frame: DeviceFrame, data: st.DataObject) -> None:
    whole = frame.to_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        decode(cut)
    except FrameError as error:
        assert error.code in {FaultCode.MALFORMED, FaultCode.BAD_ID}  # noqa: PT017


def test_the_header_stands_as_specified() -> None:
    frame = Ping(Header(0xA7, 0x0201, 0x0403, 0x08070605, 0x0C0B0A09, 0x100F0E0D, resent=True))
    assert frame.to_bytes().hex(" ") == "01 31 01 a7 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10"


def raw(type_byte: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return bytes((1, type_byte, flags, 7)) + bytes(HEADER_SIZE - 4) + payload


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", FaultCode.MALFORMED),
        (bytes(HEADER_SIZE), FaultCode.UNSUPPORTED_VERSION),
        (raw(0x7F), FaultCode.UNKNOWN_TYPE),
        (raw(FrameType.AUDIO, bytes(MAX_PAYLOAD + 1)), FaultCode.TOO_LARGE),
        (raw(FrameType.AUDIO, b"", 0x30), FaultCode.BAD_AUDIO),
        (raw(FrameType.WELCOME, bytes(15)), FaultCode.MALFORMED),
        (raw(FrameType.EVENT, b"\x01\x00\x00"), FaultCode.MALFORMED),
        (raw(FrameType.EVENT, b"\x63\x00\x00\x00"), FaultCode.MALFORMED),
        (raw(FrameType.STATUS), FaultCode.MALFORMED),
        (raw(FrameType.STATUS, b"\x63"), FaultCode.MALFORMED),
        (raw(FrameType.TRANSCRIPT), FaultCode.MALFORMED),
        (raw(FrameType.TRANSCRIPT, b"\x05abcd"), FaultCode.MALFORMED),
        (raw(FrameType.REPLY, b"\x01\xe4text"), FaultCode.MALFORMED),
        (raw(FrameType.ACK, bytes(4)), FaultCode.MALFORMED),
        (raw(FrameType.ACK, bytes(4) + b"\x11" + bytes(8 * 17)), FaultCode.MALFORMED),
        (raw(FrameType.FAULT, b"\x63\x00"), FaultCode.MALFORMED),
        (raw(FrameType.LOG), FaultCode.MALFORMED),
        (raw(FrameType.HELLO, b'{"id":"a"}'), FaultCode.MALFORMED),
        (raw(FrameType.HELLO, b'{"id":"a","boot":-1}'), FaultCode.MALFORMED),
        (raw(FrameType.HELLO, b'{"id":"a","boot":1,"mtu":63}'), FaultCode.MALFORMED),
        (raw(FrameType.HELLO, b'{"id":"\xff","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"a/b","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"' + b"a" * 65 + b'","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"a\\n","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":".","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"a.","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":".a","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"a..b","boot":1}'), FaultCode.BAD_ID),
        (raw(FrameType.HELLO, b'{"id":"' + b"a." * 32 + b'a","boot":1}'), FaultCode.BAD_ID),
    ],
)
def test_what_is_wrong_has_its_code(data: bytes, code: FaultCode) -> None:
    with pytest.raises(FrameError) as caught:
        decode(data)
    assert caught.value.code is code
    if len(data) >= HEADER_SIZE and data[0] == 1:
        assert caught.value.header == Header(link=7)
        assert caught.value.type_byte == data[1]


def test_a_hello_nested_without_end_is_malformed() -> None:
    with pytest.raises(FrameError, match="HELLO: maximum recursion depth") as caught:
        decode(raw(FrameType.HELLO, (b'{"id":"a","x":' + b"[" * MAX_PAYLOAD)[:MAX_PAYLOAD]))
    assert caught.value.code is FaultCode.MALFORMED


def test_a_short_hello_is_filled_up() -> None:
    hello = decode(raw(FrameType.HELLO, b'{"id":"a","boot":1,"next":9,"new key":[1]}'))
    assert hello == Hello(Header(link=7), "a", 1, "", 0, 9, 9, 9)


def test_a_payload_may_be_limited_further() -> None:
    frame = Audio(Header(), Codec.PCM16, bytes(100))
    assert decode(frame.to_bytes(), 100) == frame
    with pytest.raises(FrameError, match="100 bytes; 99 allowed"):
        decode(frame.to_bytes(), 99)


def test_a_payload_too_large_is_not_written() -> None:
    with pytest.raises(FrameError) as caught:
        Audio(Header(), Codec.PCM16, bytes(MAX_PAYLOAD + 1)).to_bytes()
    assert caught.value.code is FaultCode.TOO_LARGE


def test_bytes_beyond_the_payload_are_ignored() -> None:
    assert decode(raw(FrameType.STATUS, b"\x02more")) == Status(Header(link=7), DeviceStatus.TRANSCRIBING)
    assert decode(raw(FrameType.ACK, bytes(5) + b"more")) == Ack(Header(link=7), 0)
    assert decode(raw(FrameType.PING, b"more")) == Ping(Header(link=7))


def test_text_that_is_no_utf8_is_shown_as_far_as_it_goes() -> None:
    assert decode(raw(FrameType.LOG, b"\x04caf\xe9!")) == Log(
        Header(link=7), 4, "caf\N{REPLACEMENT CHARACTER}!"
    )
    assert decode(raw(FrameType.REPLY, b"\x00\xff", 2)) == Reply(
        Header(link=7), "", "\N{REPLACEMENT CHARACTER}"
    )
    fault = decode(raw(FrameType.FAULT, b"\x01\x00\xff"))
    assert fault == Fault(Header(link=7), FaultCode.SAY_HELLO, "\N{REPLACEMENT CHARACTER}")
    hello = decode(raw(FrameType.HELLO, b'{"id":"a","boot":1,"fw":"K\xfcche","\xff":0}'))
    assert isinstance(hello, Hello)
    assert hello.firmware == "K\N{REPLACEMENT CHARACTER}che"


def test_which_types_are_numbered() -> None:
    assert [kind.name for kind in FrameType if numbered_up(kind)] == [
        "AUDIO_START",
        "AUDIO",
        "AUDIO_STOP",
        "EVENT",
    ]
    assert [kind.name for kind in FrameType if numbered_down(kind)] == ["STATUS", "TRANSCRIPT", "REPLY"]
    assert numbered_up(0x1F)
    assert numbered_down(0x2F)
    assert not any(numbered_up(kind) or numbered_down(kind) for kind in (0x0F, 0x30, 0x7E))
