"""docs/protocol.md says what the code does.

``python tests/firmware_bridge/link/test_protocol_document.py`` renews the generated blocks.
"""

from __future__ import annotations

import enum
import json
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.images import taker
from firmware_bridge.images.taker_states import TAKER_TABLE, TakerState
from firmware_bridge.link import device_end, link, streams, window
from firmware_bridge.link.events import DeviceStatus, NoticeKind
from firmware_bridge.link.frames import (
    FETCH_MOST,
    HEADER_SIZE,
    MAX_PAYLOAD,
    MAX_RANGES,
    Codec,
    FaultCode,
    FrameType,
    UpdateReason,
    UpdateState,
    numbered_down,
    numbered_up,
)
from firmware_bridge.link.framing import stuff
from firmware_bridge.link.link import LinkSettings
from firmware_bridge.link.states import DEVICE_TABLE, GATEWAY_TABLE, DeviceState, GatewayState

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "protocol.md"
BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

FROM_DEVICE = {"HELLO", "FETCH", "UPDATE", "AUDIO_START", "AUDIO", "AUDIO_STOP", "EVENT", "LOG"}
FROM_BOTH = {"ACK", "PING", "PONG", "FAULT"}

CODECS = {
    Codec.PCM16: "signed 16-bit samples, 16 kHz, mono",
    Codec.IMA_ADPCM: "`i16 predictor` · `u8 step index` (0 to 88) · `u8` 0: the decoder's state before the "
    "first sample; then two samples a byte, low nibble first. Each frame decodes alone.",
    Codec.OPUS: "one raw Opus packet (no Ogg), mono, any rate; a gateway without an Opus decoder answers BAD_AUDIO",
}
NOTICES = {
    NoticeKind.BUTTON: "a button; `value` 1 pressed, 0 released, text: its name",
    NoticeKind.WAKE_WORD: "a wake word was heard; `value` its score, text: the word",
    NoticeKind.LEVEL: "`value`: the level of the microphone in dBFS",
}
STATUSES = {
    DeviceStatus.IDLE: "nothing going on",
    DeviceStatus.LISTENING: "speech is being heard",
    DeviceStatus.TRANSCRIBING: "the utterance is over and being transcribed",
    DeviceStatus.THINKING: "the transcript is with an orchestrator, or on its way to one",
    DeviceStatus.BUSY: "the gateway is overloaded and takes no audio now; keep it",
    DeviceStatus.ERROR: "it did not work",
}
UPDATE_STATES = {
    UpdateState.FETCHING: "the image is coming; `offset` bytes of it are held",
    UpdateState.STARTING: "it is whole and signed, and is started now: the link ends",
    UpdateState.CONFIRMED: "it runs, and has reached the gateway",
    UpdateState.DECLINED: "it is not taken; `reason` says why",
    UpdateState.FAILED: "it could not be fetched or written; `reason` says why",
    UpdateState.ROLLED_BACK: "it was started and did not reach the gateway; the one before runs again",
}
UPDATE_REASONS = {
    UpdateReason.NONE: "",
    UpdateReason.NOT_NOW: "the device is busy, or its battery is low: offer it again later",
    UpdateReason.SAME_VERSION: "it runs already",
    UpdateReason.TOO_LARGE: "there is no room for it, or it is empty",
    UpdateReason.BAD_SIGNATURE: "not signed by the key that this device trusts, or for another kind",
    UpdateReason.BAD_IMAGE: "the bytes are not those of the offer",
    UpdateReason.STORAGE: "flash could not be erased or written",
    UpdateReason.STALLED: "the gateway sent nothing for too long",
    UpdateReason.NOT_REACHED: "the new image did not reach the gateway in time, or crashed",
    UpdateReason.OLDER: "its number is smaller than that of what runs",
}
FAULTS = {
    FaultCode.SAY_HELLO: "the link is not known (any more); say HELLO, keep everything",
    FaultCode.UNSUPPORTED_VERSION: "another protocol version",
    FaultCode.UNKNOWN_TYPE: "no such type, or none for this direction",
    FaultCode.MALFORMED: "too short, or a value that does not exist",
    FaultCode.TOO_LARGE: "the payload exceeds the limit",
    FaultCode.DUPLICATE_ID: "another device with this id is connected",
    FaultCode.BAD_ID: "not a device id, or not the topic's",
    FaultCode.REFUSED: "no place for another device",
    FaultCode.BAD_AUDIO: "audio that cannot be decoded, or at a position that was there already",
    FaultCode.OUT_OF_CREDIT: "a number beyond the credit; it was dropped",
    FaultCode.SHUTTING_DOWN: "the gateway stops; say HELLO later",
}


def table(head: str, rows: Iterable[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows]) + "\n"


def codes(meanings: dict[Any, str]) -> str:
    return table(
        "| code | name | |", (f"| {code.value} | {code.name} | {text} |" for code, text in meanings.items())
    )


def types() -> str:
    def row(kind: FrameType) -> str:
        sender = "both" if kind.name in FROM_BOTH else "device" if kind.name in FROM_DEVICE else "gateway"
        numbered = "yes" if numbered_up(kind) or numbered_down(kind) else ""
        return f"| 0x{kind:02X} | {kind.name} | {sender} | {numbered} |"

    return table("| type | name | sent by | numbered |", map(row, FrameType))


def diagram(moves: dict[Any, enum.Enum], *first: enum.Enum) -> str:
    lines = [f"    [*] --> {state.name}" for state in first]
    lines += [f"    {state.name} --> {after.name}: {event.value}" for (state, event), after in moves.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"]) + "\n"


def timers() -> str:
    settings = LinkSettings()
    rows = [
        ("header", HEADER_SIZE, "bytes"),
        ("payload", MAX_PAYLOAD, "bytes at most"),
        ("missing ranges in an ACK", MAX_RANGES, "at most"),
        ("frame acknowledged after", window.ACK_DELAY, "s"),
        ("frames acknowledged at once after", window.ACK_FRAMES, "frames"),
        (
            "missing frames asked for again after",
            window.ASK_AGAIN,
            f"s, doubling up to {window.ASK_AGAIN_MAX} s",
        ),
        ("missing frame given up after", window.ASK_LIMIT, "requests"),
        ("oldest frame sent again after", window.RESEND, f"s, doubling up to {window.RESEND_MAX:g} s"),
        ("HELLO again after", device_end.HELLO_AGAIN, f"s, doubling up to {device_end.HELLO_AGAIN_MAX:g} s"),
        ("HELLO after a refusal", device_end.REFUSED_PAUSE, "s"),
        ("HELLO after SHUTTING_DOWN", device_end.STOPPED_PAUSE, "s"),
        ("PING after nothing was sent for", device_end.PING_IDLE, "s"),
        ("PING while frames wait for credit", device_end.PING_BLOCKED, "s"),
        ("HELLO after nothing was heard for", device_end.UNHEARD, "s"),
        ("the same FAULT to a device again after", link.FAULT_PAUSE, "s"),
        ("device disconnected when unheard for", settings.silence_seconds, "s (configurable)"),
        ("frames a device may send ahead (credit)", settings.credit_frames, "(configurable)"),
        ("numbered frames a gateway keeps for a device", settings.outbox_frames, ""),
        ("open streams of a device", streams.MAX_OPEN_STREAMS, ""),
        ("stream ended without audio, after a loss", streams.STOP_LOST, "s"),
        ("image asked for at a time", FETCH_MOST, "bytes at most"),
        ("image asked for again after", taker.AGAIN, "s without any of it"),
        ("image given up until it is offered again after", taker.STALLED, "s without any of it"),
        ("signature looked at again after", taker.VERIFY_PAUSE, "s"),
        ("new image sent back when not welcomed within", taker.TRIAL, "s (configurable)"),
    ]
    return table("| what | value | |", (f"| {what} | {value:g} | {unit} |" for what, value, unit in rows))


def examples() -> str:
    vectors = {
        vector["name"]: vector for vector in json.loads((ROOT / "tests/vectors/frames.json").read_text())
    }
    chosen = (
        *("hello", "welcome", "audio start, gateway finds the end", "audio, PCM16", "audio, IMA ADPCM"),
        *("status", "transcript", "reply, first piece", "reply, piece", "reply, end of pieces"),
        *("ack from the gateway", "fault on a link"),
    )
    return step_by_step(bytes.fromhex(vectors["ping"]["frame"])) + "\n".join(
        example(vectors[name]) for name in chosen
    )


def step_by_step(frame: bytes) -> str:
    """A PING on its way to the serial line."""
    with_crc = frame + zlib.crc32(frame).to_bytes(4, "little")
    lines = [
        "**PING**, step by step:",
        "",
        "```",
        f"header     {frame.hex(' ')}",
        f"+ crc32    {with_crc.hex(' ')}",
        f"+ 0, 0     00 {with_crc.hex(' ')} 00",
        f"codes     {''.join(' ' + ('--' if byte else '^^') for byte in bytes(1) + with_crc)} ^^",
        f"COBS       {stuff(with_crc).hex(' ')}",
        "```",
        "",
        "Each marked zero has become the distance to the next one; the last one is the delimiter.",
    ]
    return "\n".join(lines) + "\n\n"


def example(vector: dict[str, Any]) -> str:
    frame = bytes.fromhex(vector["frame"])
    said = ", ".join(
        f"{key} {value}"
        for key, value in {**vector["header"], **vector["fields"]}.items()
        if value not in (0, "", False)
    )
    payload = f" | {frame[HEADER_SIZE:].hex(' ')}" if len(frame) > HEADER_SIZE else ""
    lines = [
        f"**{vector['type']}** ({vector['name']}): {said}",
        "",
        "```",
        f"frame   {frame[:HEADER_SIZE].hex(' ')}{payload}",
        f"serial  {bytes.fromhex(vector['serial']).hex(' ')}",
        "```",
    ]
    return "\n".join(lines) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "types": types,
    "codecs": lambda: codes(CODECS),
    "notices": lambda: codes(NOTICES),
    "statuses": lambda: codes(STATUSES),
    "faults": lambda: codes(FAULTS),
    "taker-states": lambda: diagram(TAKER_TABLE, TakerState.NONE, TakerState.TRIAL),
    "update-states": lambda: codes(UPDATE_STATES),
    "update-reasons": lambda: codes(UPDATE_REASONS),
    "device-states": lambda: diagram(DEVICE_TABLE, DeviceState.OFFLINE),
    "gateway-states": lambda: diagram(GATEWAY_TABLE, GatewayState.WELCOMED),
    "timers": timers,
    "examples": examples,
}


def renewed(text: str) -> str:
    return BLOCK.sub(lambda match: match[1] + "\n" + BLOCKS[match[2]]() + "\n" + match[4], text)


def test_the_generated_blocks_are_up_to_date() -> None:
    assert DOCUMENT.read_text() == renewed(DOCUMENT.read_text())


def test_every_block_is_in_the_document_once() -> None:
    assert sorted(match[2] for match in BLOCK.finditer(DOCUMENT.read_text())) == sorted(BLOCKS)


@pytest.mark.parametrize(
    ("codes_of", "meanings"),
    [
        (Codec, CODECS),
        (NoticeKind, NOTICES),
        (DeviceStatus, STATUSES),
        (FaultCode, FAULTS),
        (UpdateState, UPDATE_STATES),
        (UpdateReason, UPDATE_REASONS),
    ],
)
def test_every_code_has_its_meaning(codes_of: type[enum.IntEnum], meanings: dict[Any, str]) -> None:
    assert set(meanings) == set(codes_of)


def test_every_type_has_its_paragraph() -> None:
    payloads = DOCUMENT.read_text().split("### 3.3")[1].split("## 4.")[0]
    described = {
        name
        for heading in re.findall(r"^\*\*([A-Z_, ]+)\*\*", payloads, re.MULTILINE)
        for name in heading.split(", ")
    }
    assert described == {kind.name for kind in FrameType}


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text()))
