"""The golden vectors under tests/vectors: what other implementations are held to, ours too.

``python tests/firmware_bridge/link/test_vectors.py`` writes them anew; look at the difference first.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from pathlib import Path
from typing import Any, TypeAlias, get_args

import pytest

from firmware_bridge.link.codecs import AdpcmDecoder, AdpcmEncoder
from firmware_bridge.link.events import DeviceStatus, NoticeKind
from firmware_bridge.link.frames import (
    Ack,
    Audio,
    AudioStart,
    AudioStop,
    Challenge,
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    Fetch,
    Header,
    Hello,
    Image,
    Log,
    Notice,
    Offer,
    Partial,
    Ping,
    Pong,
    Reply,
    Status,
    TranscriptText,
    Update,
    UpdateReason,
    UpdateState,
    Welcome,
    decode,
    proof_of,
)
from firmware_bridge.link.framing import FrameRejected, Noise, SerialDecoder, encode_serial
from firmware_bridge.link.repeats import Repeats
from firmware_bridge.link.reply_texts import ReplyTexts

VECTORS = Path(__file__).parents[2] / "vectors"
BOOT = 0x1F2E3D4C

KEY = bytes(range(32))
CHALLENGE = Challenge(Header(timestamp=300), BOOT, bytes(range(100, 116)))
OFFER = Offer(
    Header(0xA7, 0, 256, 0, 3),
    123_456,
    1_796_000_000,
    hashlib.sha256(b"an image").digest(),
    bytes(range(64)),
    "2.0.1",
)

FRAMES: dict[str, DeviceFrame] = {
    "hello": Hello(Header(credit=32, timestamp=1042), "kitchen", BOOT, "demo 1.0", 128, 0, 0, 0, 1024),
    "hello again, after 300 frames": Hello(
        Header(credit=32, acknowledge=4_000_000_007, timestamp=91_500),
        *("kitchen", BOOT, "demo 1.0", 128, 300, 172, 180, 2048),
        wants_partials=True,
    ),
    "hello that wants pieces": Hello(
        Header(credit=2, timestamp=30), "badge", BOOT, "", 0, 0, 0, 0, 256, wants_pieces=True
    ),
    "hello with a proof": Hello(
        Header(credit=8, timestamp=310),
        *("hall", BOOT, "earshot 0.1.0", 64, 0, 0, 0, 1024),
        takes_images=True,
        kind="s3-box-3",
        proof=proof_of(KEY, CHALLENGE, "hall"),
    ),
    "challenge": CHALLENGE,
    "offer": OFFER,
    "fetch": Fetch(Header(0xA7, 0, 8, 0, 4_000_000_003, 5200), OFFER.image, 4096, 4096),
    "image": Image(Header(0xA7, 0, 256, 0, 3), OFFER.image, 4096, bytes(range(200, 216))),
    "update": Update(
        Header(0xA7, 0, 8, 0, 4_000_000_003, 5300),
        UpdateState.FAILED,
        UpdateReason.BAD_IMAGE,
        OFFER.image,
        8192,
        "SHA-256 does not match",
    ),
    "welcome": Welcome(Header(link=0xA7, credit=256, timestamp=1042), BOOT, 0, 4_000_000_000),
    "audio start, gateway finds the end": AudioStart(Header(0xA7, 1, 32, 0, 4_000_000_000, 0), True),
    "audio start, push-to-talk": AudioStart(Header(0xA7, 2, 32, 57, 4_000_000_000, 0)),
    "audio, PCM16": Audio(
        Header(0xA7, 1, 32, 1, 4_000_000_000, 0), Codec.PCM16, bytes.fromhex("0000e8031800c0ff"), True
    ),
    "audio, IMA ADPCM": Audio(
        Header(0xA7, 1, 32, 2, 4_000_000_000, 4), Codec.IMA_ADPCM, bytes.fromhex("d20409007f01f38c"), True
    ),
    "audio, Opus, sent again": Audio(
        Header(0xA7, 1, 32, 0xFFFFFFFF, 4_000_000_000, 12, resent=True),
        Codec.OPUS,
        bytes.fromhex("4b41ffee01"),
    ),
    "audio stop": AudioStop(Header(0xA7, 1, 32, 0, 4_000_000_000, 972)),
    "event, button": Notice(Header(0xA7, 0, 32, 1, 4_000_000_000, 2500), NoticeKind.BUTTON, 1, "top"),
    "event, level": Notice(Header(0xA7, 1, 32, 2, 4_000_000_000, 2600), NoticeKind.LEVEL, -42),
    "status": Status(Header(0xA7, 1, 256, 4_000_000_000, 3), DeviceStatus.TRANSCRIBING),
    "partial": Partial(Header(0xA7, 1, 256, 0, 3), "turn on the", 7),
    "transcript": TranscriptText(Header(0xA7, 1, 256, 4_000_000_001, 3), "c-01", "turn on the light"),
    "reply": Reply(Header(0xA7, 1, 256, 4_000_000_002, 3), "c-01", "Der Flur ist hell. ☀"),
    "reply, continued": Reply(
        Header(0xA7, 1, 256, 4_000_000_003, 3, resent=True),
        "c-02",
        "the first part",
        final=False,
        continued=True,
    ),
    "reply, fallback with an error": Reply(
        Header(0xA7, 1, 256, 4_000_000_004, 3), "c-02", "nobody answered", fallback=True, error=True
    ),
    "reply, first piece": Reply(
        Header(0xA7, 1, 256, 4_000_000_005, 3), "c-03", "It is ", final=False, whole=True
    ),
    "reply, piece": Reply(Header(0xA7, 1, 256, 4_000_000_006, 3), "c-03", "noon", final=False),
    "reply, end of pieces": Reply(Header(0xA7, 1, 256, 4_000_000_007, 3), "c-03", "."),
    "reply in place of its pieces": Reply(
        Header(0xA7, 1, 256, 4_000_000_008, 3), "c-03", "It is noon.", whole=True
    ),
    "ack from the gateway": Ack(Header(0xA7, 0, 256, 0, 12), 7, ((12, 14), (17, 17))),
    "ack from the device": Ack(Header(0xA7, 0, 32, 0, 4_000_000_003, 3100), 7),
    "ping": Ping(Header(0xA7, 0, 32, 0, 4_000_000_003, 8100)),
    "pong": Pong(Header(0xA7, 0, 256, 0, 12, 8100)),
    "log": Log(Header(0xA7, 0, 32, 0, 4_000_000_003, 8200), 4, "Wi-Fi: RSSI -81"),
    "fault on a link": Fault(Header(link=0xA7), FaultCode.SAY_HELLO, "this link is not known, say HELLO"),
    "fault in answer to a HELLO": Fault(
        Header(timestamp=BOOT), FaultCode.DUPLICATE_ID, "kitchen is connected already (boot 7)"
    ),
}

FINAL, FALLBACK, CONTINUED, WHOLE = "final", "fallback", "continued", "whole"
PIECES, PLAIN = True, False
Step: TypeAlias = tuple[str, str, tuple[str, ...], str | None]
"""A REPLY (correlation id, text, flags), and all that is shown of it then; None: nothing new."""

REPLIES: dict[str, tuple[bool, list[Step]]] = {
    "a text in several frames": (
        PLAIN,
        [("c-1", "It ", (CONTINUED,), None), ("c-1", "is noon.", (FINAL,), "It is noon.")],
    ),
    "a first answer, and a better one": (
        PLAIN,
        [("c-1", "One moment.", (), "One moment."), ("c-1", "It is noon.", (FINAL,), "It is noon.")],
    ),
    "pieces, and an end that adds to them": (
        PIECES,
        [
            ("c-1", "It", (WHOLE,), "It"),
            ("c-1", " is", (), "It is"),
            ("c-1", " noon", (), "It is noon"),
            ("c-1", ".", (FINAL,), "It is noon."),
        ],
    ),
    "an end that adds nothing": (
        PIECES,
        [("c-1", "It is noon.", (WHOLE,), "It is noon."), ("c-1", "", (FINAL,), "It is noon.")],
    ),
    "an end in place of the pieces": (
        PIECES,
        [("c-1", "It is", (WHOLE,), "It is"), ("c-1", "Sorry.", (FINAL, FALLBACK, WHOLE), "Sorry.")],
    ),
    "an end that takes the pieces back": (
        PIECES,
        [("c-1", "It is", (WHOLE,), "It is"), ("c-1", "", (FINAL, WHOLE), "")],
    ),
    "a first answer, then pieces of the better one": (
        PIECES,
        [
            ("c-1", "One moment.", (WHOLE,), "One moment."),
            ("c-1", "It is", (WHOLE,), "It is"),
            ("c-1", " noon.", (FINAL,), "It is noon."),
        ],
    ),
    "two that grow side by side": (
        PIECES,
        [
            ("c-1", "It is", (WHOLE,), "It is"),
            ("c-2", "The light", (WHOLE,), "The light"),
            ("c-1", " noon.", (FINAL,), "It is noon."),
            ("c-2", " is on.", (FINAL,), "The light is on."),
        ],
    ),
    "a whole end in several frames": (
        PIECES,
        [
            ("c-1", "It", (WHOLE,), "It"),
            ("c-1", "Now it ", (CONTINUED, WHOLE), None),
            ("c-1", "is ", (CONTINUED,), None),
            ("c-1", "noon.", (FINAL,), "Now it is noon."),
        ],
    ),
    "half a text, and another in its place": (
        PIECES,
        [
            ("c-1", "It ", (CONTINUED, WHOLE), None),
            ("c-1", "Now it ", (CONTINUED, WHOLE), None),
            ("c-1", "is noon.", (FINAL,), "Now it is noon."),
        ],
    ),
    "told again after its end, by a gateway that was restarted": (
        PIECES,
        [("c-1", "It is noon.", (FINAL, WHOLE), "It is noon."), ("c-1", "It is noon.", (FINAL, WHOLE), None)],
    ),
}

GOOD = encode_serial(FRAMES["ping"])
RAW = FRAMES["ping"].to_bytes()


def _framed(body: bytes) -> bytes:
    """Any body as a serial frame: an unknown frame's bytes, framed as a known one's are."""

    class Raw:
        def to_bytes(self) -> bytes:
            return body

    return encode_serial(Raw())  # type: ignore[arg-type]


SERIAL: dict[str, bytes] = {
    "text of a boot ROM, then a frame": b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n" + GOOD,
    "one bit wrong": GOOD[:8] + bytes((GOOD[8] ^ 4,)) + GOOD[9:] + GOOD,
    "cut short": GOOD[:11] + b"\0" + GOOD,
    "a code byte that leads past the end": b"\x09\x01\0" + GOOD,
    "delimiters only": b"\0\0\0" + GOOD,
    "a lost delimiter takes two frames": GOOD[:-1] + GOOD + GOOD,
    "shorter than a header": _framed(RAW[:19]) + GOOD,
    "version 2": _framed(b"\x02" + RAW[1:]) + GOOD,
    "type 0x7e": _framed(RAW[:1] + b"\x7e" + RAW[2:]) + GOOD,
    "status without its byte": _framed(RAW[:1] + b"\x20" + RAW[2:]) + GOOD,
    "status 200": _framed(RAW[:1] + b"\x20" + RAW[2:] + b"\xc8") + GOOD,
    "audio in codec 7": _framed(RAW[:1] + b"\x11\x70" + RAW[3:]) + GOOD,
    "ack with more ranges than it holds": _framed(RAW[:1] + b"\x30" + RAW[2:] + bytes(4) + b"\x02") + GOOD,
    "hello that is no JSON": _framed(RAW[:1] + b"\x01" + RAW[2:] + b"{") + GOOD,
    "hello with a bad id": _framed(RAW[:1] + b"\x01" + RAW[2:] + b'{"id":"a b","boot":1}') + GOOD,
    "hello whose oldest lies after next": (
        _framed(RAW[:1] + b"\x01" + RAW[2:] + b'{"id":"a","boot":1,"next":5,"oldest":6}') + GOOD
    ),
    "a payload of 2049 bytes": _framed(RAW[:1] + b"\x11" + RAW[2:] + bytes(2049)) + GOOD,
}


def plain(value: object) -> Any:
    """A frame's field as JSON."""
    if isinstance(value, enum.IntEnum):
        return value.name
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Header):
        return value._asdict()
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value


def described(frame: DeviceFrame) -> dict[str, Any]:
    fields = {field.name: plain(getattr(frame, field.name)) for field in dataclasses.fields(frame)}
    return {"type": frame.TYPE.name, "header": fields.pop("header"), "fields": fields}


def outcome(serial: bytes) -> list[str]:
    """What a decoder makes of bytes, one word for each thing."""
    said = []
    for item in SerialDecoder().feed(serial):
        if isinstance(item, Noise):
            said.append("noise " + item.data.hex())
        elif isinstance(item, FrameRejected):
            said.append("rejected" if item.code is None else f"rejected {item.code.name}")
        else:
            said.append(f"frame {item.TYPE.name}")
    return said


def adpcm_vectors() -> list[dict[str, str]]:
    encoder, decoder = AdpcmEncoder(), AdpcmDecoder()
    vectors = []
    triangle = [min(k * 900, 30000, (70 - k) * 900) for k in range(64)]
    noise = [(k * 7919 * 13) % 65536 - 32768 for k in range(32)]
    for name, samples in (
        ("a triangle", triangle),
        ("noise, going on from there", noise),
        ("silence", [0] * 16),
    ):
        pcm = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
        payload = encoder.encode(pcm)
        vectors.append(
            {
                "name": name,
                "pcm": pcm.hex(),
                "payload": payload.hex(),
                "decoded": decoder.decode(payload).hex(),
            }
        )
    for name, payload in (
        ("clips at 32767", b"\x00\x7f\x58\x00" + b"\x77" * 4),
        ("clips at -32768", b"\x00\x81\x58\x00" + b"\xff" * 4),
        ("state only", b"\x01\x00\x00\x00"),
    ):
        vectors.append({"name": name, "payload": payload.hex(), "decoded": decoder.decode(payload).hex()})
    return vectors


def reply_frames(steps: list[Step]) -> list[Reply]:
    """As a gateway sends them, one after the other."""
    return [
        Reply(Header(0xA7, 1, 256, number, 3), label, text, **{"final": False, **dict.fromkeys(flags, True)})
        for number, (label, text, flags, _) in enumerate(steps, 4_000_000_000)
    ]


def reply_vectors() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "wants_pieces": pieces,
            "frames": [frame.to_bytes().hex() for frame in reply_frames(steps)],
            "shown": [shown for *_, shown in steps],
        }
        for name, (pieces, steps) in REPLIES.items()
    ]


def generated() -> dict[str, list[dict[str, Any]]]:
    return {
        "frames": [
            {
                "name": name,
                **described(frame),
                "frame": frame.to_bytes().hex(),
                "serial": encode_serial(frame).hex(),
            }
            for name, frame in FRAMES.items()
        ],
        "serial": [
            {"name": name, "serial": serial.hex(), "outcome": outcome(serial)}
            for name, serial in SERIAL.items()
        ],
        "adpcm": adpcm_vectors(),
        "replies": reply_vectors(),
    }


def stored(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return vectors


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", stored("frames"), ids=named)
def test_a_frame_is_read_and_written_as_its_vector_says(vector: dict[str, Any]) -> None:
    frame = decode(bytes.fromhex(vector["frame"]))
    assert described(frame) == {key: vector[key] for key in ("type", "header", "fields")}
    assert frame.to_bytes().hex() == vector["frame"]
    assert encode_serial(frame).hex() == vector["serial"]
    assert list(SerialDecoder().feed(bytes.fromhex(vector["serial"]))) == [frame]


def test_there_is_a_vector_for_each_type_of_frame() -> None:
    assert {vector["type"] for vector in stored("frames")} == {
        kind.TYPE.name for kind in get_args(DeviceFrame)
    }


@pytest.mark.parametrize("vector", stored("serial"), ids=named)
def test_bad_bytes_have_their_outcome_and_the_next_frame_is_found(vector: dict[str, Any]) -> None:
    serial = bytes.fromhex(vector["serial"])
    assert outcome(serial) == vector["outcome"]
    assert vector["outcome"][-1] == "frame PING"


@pytest.mark.parametrize("vector", stored("adpcm"), ids=named)
def test_adpcm_decodes_as_its_vector_says(vector: dict[str, Any]) -> None:
    assert AdpcmDecoder().decode(bytes.fromhex(vector["payload"])).hex() == vector["decoded"]


def test_adpcm_encodes_as_its_vectors_say_one_after_the_other() -> None:
    encoder = AdpcmEncoder()
    for vector in stored("adpcm"):
        if "pcm" in vector:
            assert encoder.encode(bytes.fromhex(vector["pcm"])).hex() == vector["payload"]


@pytest.mark.parametrize("vector", stored("replies"), ids=named)
def test_replies_are_shown_as_their_vector_says(vector: dict[str, Any]) -> None:
    repeats, texts = Repeats(), ReplyTexts(pieces=vector["wants_pieces"])
    shown = []
    for frame in map(decode, map(bytes.fromhex, vector["frames"])):
        assert isinstance(frame, Reply)
        reply = texts.take(frame) if repeats.is_new(frame) else None
        shown.append(None if reply is None else reply.text)
    assert shown == vector["shown"]


def test_the_files_hold_what_this_module_describes() -> None:
    for name, vectors in generated().items():
        assert stored(name) == vectors


if __name__ == "__main__":
    for file, content in generated().items():
        (VECTORS / f"{file}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
