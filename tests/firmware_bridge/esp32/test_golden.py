"""The library in C against the golden vectors: what it reads of them, and what it writes, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.device_end import DeviceState
from firmware_bridge.link.events import DeviceStatus, NoticeKind
from firmware_bridge.link.frames import (
    Ack,
    Challenge,
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    Header,
    Reply,
    Status,
    Welcome,
    decode,
)
from firmware_bridge.link.framing import Noise, SerialDecoder
from tests.firmware_bridge.esp32 import jig

VECTORS = Path(__file__).parents[2] / "vectors"
BOOT = 0x1F2E3D4C
LINK = 0xA7
TOLD = 4_000_000_000
"""What the gateway of the vectors begins to number with."""


def stored(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_bytes())
    return vectors


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


FRAMES = {vector["name"]: vector for vector in stored("frames")}
DOWN = "WELCOME CHALLENGE OFFER IMAGE STATUS PARTIAL TRANSCRIPT REPLY FAULT".split()  # noqa: SIM905


def device(name: str = "kitchen", *, at: float = 1.0, **more: Any) -> jig.Device:
    """One that has said HELLO."""
    made = jig.Device(name, **{"boot": BOOT, "ring_frames": 16, "credit": 32, **more})
    made.hello(at)
    made.poll(at)
    return made


def linked(*, at: float, first: int = 0, down_next: int = TOLD, **more: Any) -> jig.Device:
    made = device(at=at, first_sequence=first, **more)
    welcome = Welcome(Header(LINK, credit=256, timestamp=int(1000 * at)), BOOT, first, down_next)
    assert made.receive(welcome, at)
    return made


@pytest.mark.parametrize("vector", stored("frames"), ids=named)
def test_frames_are_stuffed_and_found_again_as_their_vector_says(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    serial = jig.stuff(frame)
    assert serial.hex() == vector["serial"]
    assert jig.unstuff(serial[:-1]) == frame


@pytest.mark.parametrize("vector", stored("serial"), ids=named)
def test_bytes_on_the_wire_are_frames_exactly_where_the_reference_finds_some(vector: dict[str, Any]) -> None:
    for block in filter(None, bytes.fromhex(vector["serial"]).split(b"\0")):
        found = [one for one in SerialDecoder().feed(block + b"\0") if getattr(one, "code", True) is not None]
        assert (jig.unstuff(block) is not None) is any(not isinstance(one, Noise) for one in found)


@pytest.mark.parametrize("name", [name for name, one in FRAMES.items() if one["type"] in DOWN])
def test_what_a_gateway_says_is_told_as_it_says_it(name: str) -> None:
    data = bytes.fromhex(FRAMES[name]["frame"])
    said = decode(data)
    if isinstance(said, Welcome | Challenge) or not said.header.link:
        one = device(at=said.header.timestamp / 1000, key=bytes(32))
        one = device(at=1, key=bytes(32)) if isinstance(said, Fault) else one
    else:
        one = linked(at=1, down_next=said.header.sequence or TOLD)
    told = one.receive(said, 3)
    if isinstance(said, Challenge):
        assert not told
        assert b"proof" in one.poll(3)
        return
    kept = Header(stream=said.header.stream, timestamp=said.header.timestamp, resent=said.header.resent)
    assert told == [replace(said, header=kept)]
    heard = one.told[-1]
    assert heard.payload == data[20:]
    text = getattr(said, "text", getattr(said, "message", None))
    assert heard.text == (None if text is None else text.encode())
    assert (heard.id or b"").decode() == getattr(said, "correlation_id", "")
    assert heard.stable == getattr(said, "stable", 0)
    assert heard.code == getattr(said, "status", getattr(said, "code", 0))


def hello() -> bytes:
    one = jig.Device("kitchen", boot=BOOT, ring_frames=128, firmware="demo 1.0", credit=32)
    one.hello(1.042)
    return one.poll(1.042)


def hello_with_proof() -> bytes:
    one = device("hall", at=0.3, ring_frames=64, firmware="earshot 0.1.0", credit=8, kind="s3-box-3")
    one = device(
        *("hall",),
        at=0.3,
        ring_frames=64,
        firmware="earshot 0.1.0",
        credit=8,
        kind="s3-box-3",
        takes_images=True,
        key=bytes(range(32)),
    )
    one.receive(decode(bytes.fromhex(FRAMES["challenge"]["frame"])), 0.31)
    return one.poll(0.31)


def started(one: jig.Device, samples: int = 0, *, end_on_silence: bool = True) -> int:
    """A stream that has heard nothing of so many samples yet."""
    stream = one.start_stream(end_on_silence=end_on_silence)
    one.audio(stream, b"", samples)
    return stream


def audio(name: str, first: int, samples: int, codec: Codec, *, end_on_silence: bool = True) -> jig.Device:
    one = linked(at=1, first=first)
    stream = started(one, samples, end_on_silence=end_on_silence)
    one.audio(stream, bytes.fromhex(FRAMES[name]["frame"])[20:], 4, codec)
    return one


def sent_again() -> bytes:
    one = audio("audio, Opus, sent again", 0xFFFFFFFE, 12, Codec.OPUS, end_on_silence=False)
    one.poll(1.0)
    one.receive(Ack(Header(LINK, credit=256, acknowledge=0xFFFFFFFF), 0), 1.1)
    return one.poll(1.4)


def push_to_talk() -> bytes:
    one = linked(at=1, first=55)
    one.stop_stream(one.start_stream())
    one.start_stream(end_on_silence=False)
    return one.poll(1)


def stopped() -> bytes:
    one = linked(at=1, first=0xFFFFFFFF)
    one.stop_stream(started(one, 972))
    return one.poll(1)


def noticed(at: float, first: int, kind: NoticeKind, value: int, *, text: str = "", stream: int = 0) -> bytes:
    one = linked(at=1, first=first)
    one.tick(at)
    one.poll(at)
    one.notice(kind, value, text, stream)
    return one.poll(at)


def acknowledged() -> bytes:
    one = linked(at=3, first=7, down_next=TOLD + 2)
    one.receive(Status(Header(LINK, credit=256, sequence=TOLD + 2, acknowledge=7), DeviceStatus.IDLE), 3.05)
    return one.poll(3.1)


def pinged() -> bytes:
    return linked(at=3.1, down_next=TOLD + 3).poll(8.1)


def said(at: float, type_byte: int, name: str, credit: int) -> bytes:
    one = linked(at=1, down_next=TOLD + 3, credit=credit)
    one.poll(at)
    one.say(type_byte, bytes.fromhex(FRAMES[name]["frame"])[20:])
    return one.poll(at)


def logged() -> bytes:
    one = linked(at=4, down_next=TOLD + 3)
    one.poll(8.2)
    one.log(4, "Wi-Fi: RSSI -81")
    return one.poll(8.2)


UP: dict[str, Callable[[], bytes]] = {
    "hello": hello,
    "hello with a proof": hello_with_proof,
    "audio start, gateway finds the end": lambda: audio("audio, PCM16", 0, 0, Codec.PCM16).poll(1),
    "audio start, push-to-talk": push_to_talk,
    "audio, PCM16": lambda: audio("audio, PCM16", 0, 0, Codec.PCM16).poll(1),
    "audio, IMA ADPCM": lambda: audio("audio, IMA ADPCM", 1, 4, Codec.IMA_ADPCM).poll(1),
    "audio, Opus, sent again": sent_again,
    "audio stop": stopped,
    "event, button": lambda: noticed(2.5, 1, NoticeKind.BUTTON, 1, text="top"),
    "event, level": lambda: noticed(2.6, 2, NoticeKind.LEVEL, -42, stream=1),
    "ack from the device": acknowledged,
    "ping": pinged,
    "log": logged,
    "fetch": lambda: said(5.2, 0x05, "fetch", 8),
    "update": lambda: said(5.3, 0x07, "update", 8),
}


@pytest.mark.parametrize("name", UP)
def test_what_a_device_says_is_what_its_vector_says(name: str) -> None:
    assert bytes.fromhex(FRAMES[name]["serial"]) in UP[name]()


def test_every_frame_of_a_device_is_among_them() -> None:
    """But those of a device that holds nothing, which this library is not, and of one that has said much before."""
    left = {"hello again, after 300 frames", "hello that wants pieces", "pong"}
    down = {name for name, one in FRAMES.items() if one["type"] in DOWN} | {"ack from the gateway"}
    assert set(UP) | left | down == set(FRAMES)


@pytest.mark.parametrize("vector", stored("adpcm"), ids=named)
def test_adpcm_decodes_as_its_vector_says(vector: dict[str, Any]) -> None:
    assert jig.adpcm_decode(bytes.fromhex(vector["payload"])).hex() == vector["decoded"]


def test_adpcm_encodes_as_its_vectors_say() -> None:
    encoder = jig.AdpcmEncoder()
    for vector in stored("adpcm"):
        if "pcm" in vector:
            assert encoder.encode(bytes.fromhex(vector["pcm"])).hex() == vector["payload"]


@pytest.mark.parametrize("vector", stored("replies"), ids=named)
def test_replies_are_shown_as_their_vector_says(vector: dict[str, Any]) -> None:
    one = linked(at=1, wants_pieces=vector["wants_pieces"])
    board = jig.Board(pieces=vector["wants_pieces"])
    shown = []
    for frame in map(decode, map(bytes.fromhex, vector["frames"])):
        told = one.receive(frame, 1)
        shown.append(shown_of(board, told[0]) if told else None)
    assert shown == vector["shown"]


def shown_of(board: jig.Board, frame: DeviceFrame) -> str | None:
    assert isinstance(frame, Reply)
    flags = (
        frame.final << 1 | frame.fallback << 2 | frame.error << 3 | frame.continued << 4 | frame.whole << 5
    )
    shown = board.take(flags, frame.correlation_id.encode(), frame.text.encode())
    return None if shown is None else shown.decode()


def test_the_vectors_of_replies_come_from_a_gateway_that_numbers_as_here() -> None:
    assert {decode(bytes.fromhex(one["frames"][0])).header.sequence for one in stored("replies")} == {TOLD}


def test_a_fault_that_refuses_is_obeyed() -> None:
    one = device()
    one.receive(Fault(Header(timestamp=BOOT), FaultCode.REFUSED, "no"), 2)
    assert one.state is DeviceState.REFUSED
