"""Wyoming on the wire, without I/O: bytes in, events out, and back.

A line of JSON says what follows: ``{"type", "version"?, "data"?, "data_length"?, "payload_length"?}``. Then come so
many bytes of JSON, which go over what the line itself has of data, and so many bytes of payload. The reference has no
bound on any of them, and takes what is malformed for the end of the connection; here both are errors that say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.adapters.wyoming import events, info
from gateway.adapters.wyoming.events import SoundChunk, SoundForm, WyomingEvent
from gateway.contract.messages import UNREADABLE

VERSION: Final = "1.10.2"
"""Of the reference, whose events these are."""
MOST_HEADER_BYTES: Final = 65_536
"""The line: some peers write their data into it."""
MOST_DATA_BYTES: Final = 262_144
MOST_PAYLOAD_BYTES: Final = 67_108_864
"""A recording of half an hour in one piece."""
PIECE_BYTES: Final = 48_000
"""Longer payloads are handed on in pieces of so many bytes, so that no more of one is ever in memory."""
_SHOWN_CHARACTERS: Final = 100
"""Of a name that nobody knows."""


class WireError(ValueError):
    """What came is not Wyoming, or breaks a bound. Where the next event begins is unknown: the connection is over."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event that is not in our vocabulary; whatever came with it is dropped, as the reference has it."""

    kind: str


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """An event of ours whose data is none, and why. What follows may be fine."""

    kind: str
    reason: str


Arrived: TypeAlias = WyomingEvent | UnknownEvent | MalformedEvent


class _Header(Struct):
    type: str
    data: Raw = Raw(b"")
    data_length: Annotated[int, Meta(ge=0)] | None = None
    payload_length: Annotated[int, Meta(ge=0)] | None = None


_headers: Final = msgspec.json.Decoder(_Header)
_encoder: Final = msgspec.json.Encoder()
_VOCABULARY: Final[list[type[WyomingEvent]]] = [
    one
    for module in (events, info)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, WyomingEvent) and "kind" in vars(one)
]
_READERS: Final[dict[str, msgspec.json.Decoder[WyomingEvent | SoundForm]]] = {
    event.kind: msgspec.json.Decoder(SoundForm if event is SoundChunk else event) for event in _VOCABULARY
}
KINDS: Final = frozenset(_READERS)
"""The names of all events that we know."""


def encode(event: WyomingEvent) -> bytes:
    """One event as it goes over the wire."""
    payload = b""
    if isinstance(event, SoundChunk):
        payload = event.audio
        data = _encoder.encode(event.form)
    else:
        data = _encoder.encode(event)
    header: dict[str, Any] = {"type": event.kind, "version": VERSION}
    if data != b"{}":
        header["data_length"] = len(data)
    else:
        data = b""
    if payload:
        header["payload_length"] = len(payload)
    return b"%b\n%b%b" % (_encoder.encode(header), data, payload)


class EventDecoder:
    """Finds the events in what a connection delivers, in pieces of any size; it keeps no more than one event."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._searched = 0  # so much of what is pending has no end of a line in it
        self._header: _Header | None = None
        self._form: SoundForm | None = None
        self._owed = 0  # bytes of payload that are still to come

    def feed(self, data: bytes) -> Iterator[Arrived]:
        """Take the next bytes, yield what they complete. Exhaust it before feeding more. Raises WireError."""
        self._pending += data
        while True:
            if self._owed:
                yield from self._payload()
                if self._owed:
                    return
            header = self._header = self._header or self._next_header()
            if header is None or len(self._pending) < (header.data_length or 0):
                return
            self._header = None
            yield from self._begun(header, self._taken(header.data_length or 0))

    def _begun(self, header: _Header, data: bytes) -> Iterator[Arrived]:
        """The event, but for its payload."""
        self._owed = header.payload_length or 0
        self._form = None
        event = _read(header, data)
        if isinstance(event, WyomingEvent | UnknownEvent | MalformedEvent):
            yield event
        else:
            self._form = event

    def _payload(self) -> Iterator[SoundChunk]:
        """What is there of the payload that is owed, in whole pieces; that of anything but sound is nobody's."""
        while self._owed and len(self._pending) >= min(self._owed, PIECE_BYTES if self._form else 1):
            piece = self._taken(min(self._owed, PIECE_BYTES, len(self._pending)))
            self._owed -= len(piece)
            if self._form:
                yield SoundChunk(self._form, piece)

    def _next_header(self) -> _Header | None:
        end = self._pending.find(b"\n", self._searched)
        self._searched = len(self._pending) if end < 0 else 0
        _bounded("line", end if end >= 0 else self._searched, MOST_HEADER_BYTES)
        return _header(self._taken(end + 1)) if end >= 0 else None

    def _taken(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken


def in_longer_pieces(arrived: Iterable[Arrived]) -> Iterator[Arrived]:
    """The same, but sound that is there at once in pieces as long as may be, of ``PIECE_BYTES`` at most.

    Listening to a piece costs something however short it is, and who sends a recording sends hundreds.
    """
    pieces: list[SoundChunk] = []
    size = 0
    for event in arrived:
        sound = event if isinstance(event, SoundChunk) else None
        if pieces and (sound is None or not _goes_on(pieces[0], size, sound)):
            yield _one(pieces)
            pieces, size = [], 0
        if sound is None:
            yield event
        else:
            pieces.append(sound)
            size += len(sound.audio)
    if pieces:
        yield _one(pieces)


def _goes_on(first: SoundChunk, size: int, sound: SoundChunk) -> bool:
    return size + len(sound.audio) <= PIECE_BYTES and sound.form.is_like(first.form)


def _one(pieces: list[SoundChunk]) -> SoundChunk:
    return SoundChunk(pieces[0].form, b"".join(one.audio for one in pieces))


def _header(line: bytes) -> _Header:
    try:
        header = _headers.decode(line)
    except UNREADABLE as error:
        raise WireError(f"a line that is not the header of an event: {error}") from error
    _bounded("data", header.data_length, MOST_DATA_BYTES)
    _bounded("payload", header.payload_length, MOST_PAYLOAD_BYTES)
    return header


def _bounded(what: str, length: int | None, most: int) -> None:
    if length and length > most:
        raise WireError(f"a {what} of more than {most} bytes")


def _read(header: _Header, data: bytes) -> Arrived | SoundForm:
    """The event; of one with a payload, what its data says of it."""
    reader = _READERS.get(header.type)
    if reader is None:
        return UnknownEvent(header.type[:_SHOWN_CHARACTERS])
    try:
        return reader.decode(_merged(bytes(header.data), data))
    except UNREADABLE as error:
        return MalformedEvent(header.type, str(error))


def _merged(inline: bytes, data: bytes) -> bytes:
    """The data of an event: what stands behind its line goes over what stands in it."""
    if inline in {b"", b"null"}:
        return data or b"{}"
    if not data:
        return inline
    lower, upper = (msgspec.json.decode(one, type=dict[str, Raw]) for one in (inline, data))
    return _encoder.encode(lower | upper)
