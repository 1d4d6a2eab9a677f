"""The frames of the device link: what they mean and how they stand in bytes.

docs/protocol.md is the specification; this module says the same in code. A frame is a 20-byte
little-endian header and a payload of at most :data:`MAX_PAYLOAD` bytes. Each type is one frozen
dataclass; ``to_bytes`` writes it, :func:`decode` reads it back. No I/O, no state.
"""

from __future__ import annotations

import enum
import hmac
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, NamedTuple, Self, TypeAlias, TypeVar, get_args

import msgspec

from firmware_bridge.link.events import DeviceStatus, NoticeKind

VERSION: Final = 1
HEADER_SIZE: Final = 20
MAX_PAYLOAD: Final = 2048
MAX_RANGES: Final = 16
"""Missing ranges one ACK can name."""

_HEADER: Final = struct.Struct("<BBBBHHIII")
_WELCOME: Final = struct.Struct("<IIIHH")
_NOTICE: Final = struct.Struct("<BBh")
_ACK: Final = struct.Struct("<IB")
_RANGE: Final = struct.Struct("<II")
_CHALLENGE: Final = struct.Struct("<I16s")
_OFFER: Final = struct.Struct("<II32s64s")
_FETCH: Final = struct.Struct("<III")
_IMAGE: Final = struct.Struct("<II")
_UPDATE: Final = struct.Struct("<BBHII")
_DEVICE_ID: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def is_device_id(text: str) -> bool:
    """Whether a device may be called so, in HELLO and in a topic."""
    return _DEVICE_ID.fullmatch(text) is not None


class FrameType(enum.IntEnum):
    """The header's type byte."""

    HELLO = 0x01
    WELCOME = 0x02
    CHALLENGE = 0x03
    OFFER = 0x04
    FETCH = 0x05
    IMAGE = 0x06
    UPDATE = 0x07
    AUDIO_START = 0x10
    AUDIO = 0x11
    AUDIO_STOP = 0x12
    EVENT = 0x13
    STATUS = 0x20
    PARTIAL = 0x21
    TRANSCRIPT = 0x22
    REPLY = 0x23
    ACK = 0x30
    PING = 0x31
    PONG = 0x32
    LOG = 0x3E
    FAULT = 0x3F


def numbered_up(type_byte: int) -> bool:
    """Whether a device numbers frames of this type, also of types that do not exist yet."""
    return 0x10 <= type_byte <= 0x1F


def numbered_down(type_byte: int) -> bool:
    """Whether the gateway numbers frames of this type, also of types that do not exist yet."""
    return 0x20 <= type_byte <= 0x2F and type_byte != FrameType.PARTIAL


class FaultCode(enum.IntEnum):
    """Why a frame or a device was refused."""

    SAY_HELLO = 1
    UNSUPPORTED_VERSION = 2
    UNKNOWN_TYPE = 3
    MALFORMED = 4
    TOO_LARGE = 5
    DUPLICATE_ID = 6
    BAD_ID = 7
    REFUSED = 8
    BAD_AUDIO = 9
    OUT_OF_CREDIT = 10
    SHUTTING_DOWN = 11


class Codec(enum.IntEnum):
    """How an AUDIO frame's payload is coded (flag bits 4-6)."""

    PCM16 = 0
    IMA_ADPCM = 1
    OPUS = 2


class Header(NamedTuple):
    """What every frame carries.

    ``link``: nonce of the link's incarnation, from WELCOME; 0 in HELLO. ``stream``: the stretch of
    audio it belongs to. ``credit``: numbered frames beyond ``acknowledge`` its sender will take.
    ``sequence``: its number, 0 in unnumbered frames. ``acknowledge``: the next number its sender
    expects. ``timestamp``: a stream position in samples in AUDIO_START, AUDIO and AUDIO_STOP,
    milliseconds since boot in the device's other frames; WELCOME and PONG echo it, a FAULT that
    answers a HELLO carries its boot. ``resent``: this number went out before.
    """

    link: int = 0
    stream: int = 0
    credit: int = 0
    sequence: int = 0
    acknowledge: int = 0
    timestamp: int = 0
    resent: bool = False


class FrameError(ValueError):
    """Bytes that are no frame.

    ``header`` and ``type_byte`` are known (not None) when the fault lies behind the header.
    """

    def __init__(
        self, code: FaultCode, message: str, header: Header | None = None, type_byte: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.header = header
        self.type_byte = type_byte


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all frames share: the header, and how bytes are put together."""

    TYPE: ClassVar[FrameType]
    header: Header

    def to_bytes(self) -> bytes:
        """Header and payload. Raises FrameError when the payload would be too large."""
        header, payload = self.header, self._payload()
        if len(payload) > MAX_PAYLOAD:
            raise FrameError(FaultCode.TOO_LARGE, f"{self.TYPE.name} with {len(payload)} bytes of payload")
        flags = self._flags() | header.resent
        return _HEADER.pack(VERSION, self.TYPE, flags, *header[:6]) + payload

    def _flags(self) -> int:
        return 0

    def _payload(self) -> bytes:
        return b""

    @classmethod
    def _parse(cls, header: Header, _flags: int, _payload: bytes, /) -> Self:
        """Read flags and payload. Raises FrameError."""
        return cls(header)


class _HelloJson(msgspec.Struct):
    """HELLO's payload. Unknown keys are ignored."""

    id: Annotated[str, msgspec.Meta(max_length=MAX_PAYLOAD)]
    boot: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
    fw: Annotated[str, msgspec.Meta(max_length=MAX_PAYLOAD)] = ""
    ring: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] = 0
    next: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] = 0
    oldest: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] | None = None
    durable: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] | None = None
    mtu: Annotated[int, msgspec.Meta(ge=64, le=MAX_PAYLOAD)] = MAX_PAYLOAD
    kind: Annotated[str, msgspec.Meta(max_length=64)] = ""
    proof: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""


@dataclass(frozen=True, slots=True)
class Hello(_Frame):
    """A device names itself and what it still holds.

    ``ring_frames``: frames its ring can hold. ``next_sequence``: the number it will assign next.
    ``oldest``: the oldest number still in its ring (``next_sequence`` when empty). ``durable``: the
    last durable mark it got. ``max_payload``: the largest payload it takes. ``kind``: which firmware images
    are for it, and ``takes_images``: whether any are welcome. ``proof``: :func:`proof_of` a Challenge.
    """

    TYPE = FrameType.HELLO
    device_id: str
    boot: int
    firmware: str
    ring_frames: int
    next_sequence: int
    oldest: int
    durable: int
    max_payload: int = MAX_PAYLOAD
    wants_partials: bool = False
    wants_pieces: bool = False
    takes_images: bool = False
    kind: str = ""
    proof: str = ""

    def _flags(self) -> int:
        return self.wants_partials << 1 | self.wants_pieces << 2 | self.takes_images << 3

    def _payload(self) -> bytes:
        said: dict[str, str | int] = {
            "id": self.device_id,
            "boot": self.boot,
            "fw": self.firmware,
            "ring": self.ring_frames,
            "next": self.next_sequence,
            "oldest": self.oldest,
            "durable": self.durable,
            "mtu": self.max_payload,
        }
        if self.kind:
            said["kind"] = self.kind
        if self.proof:
            said["proof"] = self.proof
        return msgspec.json.encode(said)

    @classmethod
    def _parse(cls, header: Header, flags: int, payload: bytes, /) -> Self:
        try:
            said = msgspec.json.decode(_text(payload), type=_HelloJson)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise FrameError(FaultCode.MALFORMED, f"HELLO: {error}") from error
        if not is_device_id(said.id):
            raise FrameError(
                FaultCode.BAD_ID, "a device id is 1 to 64 of A-Z a-z 0-9 _ -, single dots between"
            )
        oldest = said.next if said.oldest is None else said.oldest
        durable = oldest if said.durable is None else said.durable
        if (said.next - oldest) & 0x80000000 or (said.next - durable) & 0x80000000:
            raise FrameError(FaultCode.MALFORMED, "HELLO: oldest and durable lie after next")
        return cls(
            header,
            said.id,
            said.boot,
            said.fw,
            said.ring,
            said.next,
            oldest,
            durable,
            said.mtu,
            bool(flags & 2),
            bool(flags & 4),
            bool(flags & 8),
            said.kind,
            said.proof,
        )


@dataclass(frozen=True, slots=True)
class Welcome(_Frame):
    """The gateway takes the device on.

    ``boot`` echoes HELLO's. ``resume_from``: send from this number on. ``down_next``: the oldest
    number the gateway still has to deliver. ``max_payload``: the largest payload it takes.
    """

    TYPE = FrameType.WELCOME
    boot: int
    resume_from: int
    down_next: int
    max_payload: int = MAX_PAYLOAD

    def _payload(self) -> bytes:
        return _WELCOME.pack(self.boot, self.resume_from, self.down_next, self.max_payload, 0)

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_WELCOME.size, payload)
        boot, resume_from, down_next, max_payload, _ = _WELCOME.unpack_from(payload)
        return cls(header, boot, resume_from, down_next, max_payload)


@dataclass(frozen=True, slots=True)
class Challenge(_Frame):
    """The gateway wants the next HELLO to prove that it comes from who it says. ``boot`` echoes HELLO's."""

    TYPE = FrameType.CHALLENGE
    boot: int
    nonce: bytes

    def _payload(self) -> bytes:
        return _CHALLENGE.pack(self.boot, self.nonce)

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_CHALLENGE.size, payload)
        return cls(header, *_CHALLENGE.unpack_from(payload))


def proof_of(key: bytes, challenge: Challenge, device_id: str) -> str:
    """What ``proof`` in HELLO has to be: HMAC-SHA256 of the nonce, the boot number and the id, in hexadecimal."""
    message = challenge.nonce + challenge.boot.to_bytes(4, "little") + device_id.encode("ascii")
    return hmac.digest(key, message, "sha256").hex()


@dataclass(frozen=True, slots=True)
class Offer(_Frame):
    """The gateway has a firmware image for a device that takes images.

    ``number``: what whoever signs counts up, so that a device takes nothing older than what it runs. ``sha256``: of
    the image, 32 bytes. ``signature``: 64 bytes, r and s of ECDSA P-256 over :func:`signed_of`. ``version``: what the
    device's HELLO will call its firmware when it runs.
    """

    TYPE = FrameType.OFFER
    size: int
    number: int
    sha256: bytes
    signature: bytes
    version: str

    @property
    def image(self) -> int:
        """What FETCH and IMAGE call it."""
        return int.from_bytes(self.sha256[:4], "little")

    def _payload(self) -> bytes:
        return _OFFER.pack(self.size, self.number, self.sha256, self.signature) + self.version.encode()

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_OFFER.size, payload)
        size, number, sha256, signature = _OFFER.unpack_from(payload)
        return cls(header, size, number, sha256, signature, _text(payload[_OFFER.size :]))


OFFER_SIZE: Final = _OFFER.size
"""Bytes of an OFFER's payload without its version."""
IMAGE_SIZE: Final = _IMAGE.size
"""Bytes of an IMAGE's payload without its data."""
NAME_MOST: Final = 64
"""Characters of an image's kind and version."""
FETCH_MOST: Final = 8192
"""Bytes that one FETCH may ask for."""


def signed_of(kind: str, version: str, size: int, number: int, sha256: bytes) -> bytes:
    """The bytes that an image's signature is over: for which devices it is, and all that an Offer says of it."""
    counted = size.to_bytes(4, "little") + number.to_bytes(4, "little")
    return b"earshot-image-1\0%b\0%b\0%b%b" % (kind.encode(), version.encode(), counted, sha256)


@dataclass(frozen=True, slots=True)
class Fetch(_Frame):
    """A device asks for a part of the image that was offered. ``image``: Offer.image. ``offset``, ``length``: bytes."""

    TYPE = FrameType.FETCH
    image: int
    offset: int
    length: int

    def _payload(self) -> bytes:
        return _FETCH.pack(self.image, self.offset, self.length)

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_FETCH.size, payload)
        return cls(header, *_FETCH.unpack_from(payload))


@dataclass(frozen=True, slots=True)
class Image(_Frame):
    """Some bytes of an image, from ``offset`` on; none: it is not to be had (any more)."""

    TYPE = FrameType.IMAGE
    image: int
    offset: int
    data: bytes

    def _payload(self) -> bytes:
        return _IMAGE.pack(self.image, self.offset) + self.data

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_IMAGE.size, payload)
        image, offset = _IMAGE.unpack_from(payload)
        return cls(header, image, offset, payload[_IMAGE.size :])


class UpdateState(enum.IntEnum):
    """How far a device has come with an image."""

    FETCHING = 1
    STARTING = 2
    CONFIRMED = 3
    DECLINED = 4
    FAILED = 5
    ROLLED_BACK = 6


class UpdateReason(enum.IntEnum):
    """Why a device declined an image, or failed with it."""

    NONE = 0
    NOT_NOW = 1
    SAME_VERSION = 2
    TOO_LARGE = 3
    BAD_SIGNATURE = 4
    BAD_IMAGE = 5
    STORAGE = 6
    STALLED = 7
    NOT_REACHED = 8
    OLDER = 9


@dataclass(frozen=True, slots=True)
class Update(_Frame):
    """A device tells how far it has come with an image (as Offer.image). ``offset``: bytes of it that it holds."""

    TYPE = FrameType.UPDATE
    state: UpdateState
    reason: UpdateReason
    image: int
    offset: int
    text: str = ""

    def _payload(self) -> bytes:
        return _UPDATE.pack(self.state, self.reason, 0, self.image, self.offset) + self.text.encode()

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_UPDATE.size, payload)
        state, reason, _, image, offset = _UPDATE.unpack_from(payload)
        text = _text(payload[_UPDATE.size :])
        return cls(header, _named(UpdateState, state), _named(UpdateReason, reason), image, offset, text)


@dataclass(frozen=True, slots=True)
class AudioStart(_Frame):
    """A stretch of audio begins. ``end_on_silence`` false: push-to-talk."""

    TYPE = FrameType.AUDIO_START
    end_on_silence: bool = False

    def _flags(self) -> int:
        return self.end_on_silence << 1

    @classmethod
    def _parse(cls, header: Header, flags: int, _payload: bytes, /) -> Self:
        return cls(header, bool(flags & 2))


@dataclass(frozen=True, slots=True)
class Audio(_Frame):
    """The next audio of a stream; ``header.timestamp`` is the position of its first sample."""

    TYPE = FrameType.AUDIO
    codec: Codec
    payload: bytes
    end_on_silence: bool = False

    def _flags(self) -> int:
        return self.codec << 4 | self.end_on_silence << 1

    def _payload(self) -> bytes:
        return self.payload

    @classmethod
    def _parse(cls, header: Header, flags: int, payload: bytes, /) -> Self:
        codec = _CODECS.get(flags & 0x70)
        if codec is None:
            raise FrameError(FaultCode.BAD_AUDIO, f"unknown codec {flags >> 4 & 7}")
        return cls(header, codec, payload, flags & 2 != 0)


_CODECS: Final = {codec << 4: codec for codec in Codec}


@dataclass(frozen=True, slots=True)
class AudioStop(_Frame):
    """A stream ends; ``header.timestamp`` is how many samples it had."""

    TYPE = FrameType.AUDIO_STOP


@dataclass(frozen=True, slots=True)
class Notice(_Frame):
    """EVENT: a button, a wake word, a level. ``value``: -32768 to 32767."""

    TYPE = FrameType.EVENT
    kind: NoticeKind
    value: int = 0
    text: str = ""

    def _payload(self) -> bytes:
        return _NOTICE.pack(self.kind, 0, self.value) + self.text.encode()

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_NOTICE.size, payload)
        kind, _, value = _NOTICE.unpack_from(payload)
        return cls(header, _named(NoticeKind, kind), value, _text(payload[_NOTICE.size :]))


@dataclass(frozen=True, slots=True)
class Status(_Frame):
    """What the device may show its user."""

    TYPE = FrameType.STATUS
    status: DeviceStatus

    def _payload(self) -> bytes:
        return bytes((self.status,))

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(1, payload)
        return cls(header, _named(DeviceStatus, payload[0]))


@dataclass(frozen=True, slots=True)
class Partial(_Frame):
    """What was understood so far. Best effort: a later one replaces it.

    ``stable``: so many bytes of the text, as UTF-8, will not change any more.
    """

    TYPE = FrameType.PARTIAL
    text: str
    stable: int = 0

    def _payload(self) -> bytes:
        return self.stable.to_bytes(2, "little") + self.text.encode()

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(2, payload)
        return cls(header, _text(payload[2:]), int.from_bytes(payload[:2], "little"))

    @property
    def stable_text(self) -> str:
        """The part that will not change any more."""
        return self.text.encode()[: self.stable].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class TranscriptText(_Frame):
    """TRANSCRIPT: what was said. ``correlation_id``: ASCII, at most 255 characters."""

    TYPE = FrameType.TRANSCRIPT
    correlation_id: str
    text: str

    def _payload(self) -> bytes:
        return _labelled(self.correlation_id, self.text)

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        return cls(header, *_unlabelled(payload))


@dataclass(frozen=True, slots=True)
class Reply(_Frame):
    """An orchestrator's answer, or a part of it.

    ``final``: no further reply follows. ``fallback``: the gateway's own words, nobody answered.
    ``error``: the answer says that something failed. ``continued``: the text goes on in the next
    REPLY of this correlation id. ``whole``: it takes the place of all that was told before under this id,
    and does not go behind it; only devices that want pieces are told so.
    """

    TYPE = FrameType.REPLY
    correlation_id: str
    text: str
    final: bool = True
    fallback: bool = False
    error: bool = False
    continued: bool = False
    whole: bool = False

    def _flags(self) -> int:
        return self.final << 1 | self.fallback << 2 | self.error << 3 | self.continued << 4 | self.whole << 5

    def _payload(self) -> bytes:
        return _labelled(self.correlation_id, self.text)

    @classmethod
    def _parse(cls, header: Header, flags: int, payload: bytes, /) -> Self:
        correlation_id, text = _unlabelled(payload)
        final, fallback, error, continued, whole = (bool(flags & bit) for bit in (2, 4, 8, 16, 32))
        return cls(header, correlation_id, text, final, fallback, error, continued, whole)


@dataclass(frozen=True, slots=True)
class Ack(_Frame):
    """How far its sender has come.

    ``durable``: from the gateway, every number before it may be forgotten; from a device, the
    oldest number it still holds. ``missing``: ranges (first, last), both inclusive, to send again.
    """

    TYPE = FrameType.ACK
    durable: int
    missing: tuple[tuple[int, int], ...] = ()

    def _payload(self) -> bytes:
        head = _ACK.pack(self.durable, len(self.missing))
        return head + b"".join(_RANGE.pack(first, last) for first, last in self.missing)

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(_ACK.size, payload)
        durable, count = _ACK.unpack_from(payload)
        if count > MAX_RANGES:
            raise FrameError(FaultCode.MALFORMED, f"an ACK names at most {MAX_RANGES} ranges")
        end = _ACK.size + count * _RANGE.size
        _at_least(end, payload)
        return cls(header, durable, tuple(_RANGE.iter_unpack(payload[_ACK.size : end])))


@dataclass(frozen=True, slots=True)
class Ping(_Frame):
    """Asks for a PONG."""

    TYPE = FrameType.PING


@dataclass(frozen=True, slots=True)
class Pong(_Frame):
    """Answers a PING."""

    TYPE = FrameType.PONG


@dataclass(frozen=True, slots=True)
class Log(_Frame):
    """A line of the device's log. ``level``: syslog severity, 0 (emergency) to 7 (debug)."""

    TYPE = FrameType.LOG
    level: int
    text: str

    def _payload(self) -> bytes:
        return bytes((self.level,)) + self.text.encode()

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(1, payload)
        return cls(header, payload[0], _text(payload[1:]))


@dataclass(frozen=True, slots=True)
class Fault(_Frame):
    """What was refused, and why; ``header.link`` is that of the frame it answers."""

    TYPE = FrameType.FAULT
    code: FaultCode
    message: str = ""

    def _payload(self) -> bytes:
        return bytes((self.code, 0)) + self.message.encode()

    @classmethod
    def _parse(cls, header: Header, _flags: int, payload: bytes, /) -> Self:
        _at_least(2, payload)
        return cls(header, _named(FaultCode, payload[0]), _text(payload[2:]))


DeviceFrame: TypeAlias = (
    Hello
    | Welcome
    | Challenge
    | Offer
    | Fetch
    | Image
    | Update
    | AudioStart
    | Audio
    | AudioStop
    | Notice
    | Status
    | Partial
    | TranscriptText
    | Reply
    | Ack
    | Ping
    | Pong
    | Log
    | Fault
)

_Parser: TypeAlias = Callable[[Header, int, bytes], DeviceFrame]
_PARSERS: Final[dict[int, _Parser]] = {int(kind.TYPE): kind._parse for kind in get_args(DeviceFrame)}  # noqa: SLF001


def decode(data: bytes, max_payload: int = MAX_PAYLOAD) -> DeviceFrame:
    """Read one frame from exactly its bytes (header and payload).

    Raises FrameError, which says what to answer.
    """
    if len(data) < HEADER_SIZE:
        raise FrameError(FaultCode.MALFORMED, f"{len(data)} bytes are shorter than a header")
    version, type_byte, flags, link, stream, credit, sequence, acknowledge, timestamp = _HEADER.unpack_from(
        data
    )
    if version != VERSION:
        raise FrameError(FaultCode.UNSUPPORTED_VERSION, f"version {version}; this end speaks {VERSION}")
    header = Header(link, stream, credit, sequence, acknowledge, timestamp, flags & 1 != 0)
    parse = _PARSERS.get(type_byte)
    if parse is None:
        raise FrameError(FaultCode.UNKNOWN_TYPE, f"unknown type 0x{type_byte:02x}", header, type_byte)
    if len(data) > HEADER_SIZE + max_payload:
        raise FrameError(
            FaultCode.TOO_LARGE,
            f"payload of {len(data) - HEADER_SIZE} bytes; {max_payload} allowed",
            header,
            type_byte,
        )
    try:
        return parse(header, flags, data[HEADER_SIZE:])
    except FrameError as error:
        raise FrameError(error.code, error.message, header, type_byte) from error


def _at_least(size: int, payload: bytes) -> None:
    if len(payload) < size:
        raise FrameError(FaultCode.MALFORMED, f"payload of {len(payload)} bytes; at least {size} needed")


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace")


_Code = TypeVar("_Code", bound=enum.IntEnum)


def _named(codes: type[_Code], value: int) -> _Code:
    try:
        return codes(value)
    except ValueError as error:
        raise FrameError(FaultCode.MALFORMED, f"{value} is no {codes.__name__}") from error


def _labelled(correlation_id: str, text: str) -> bytes:
    label = correlation_id.encode("ascii")
    return bytes((len(label),)) + label + text.encode()


def _unlabelled(payload: bytes) -> tuple[str, str]:
    _at_least(1, payload)
    end = 1 + payload[0]
    _at_least(end, payload)
    try:
        return payload[1:end].decode("ascii"), _text(payload[end:])
    except UnicodeDecodeError as error:
        raise FrameError(FaultCode.MALFORMED, "a correlation id is ASCII") from error
