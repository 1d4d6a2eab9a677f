"""The door of the embedded broker: every packet of a client is looked at before the broker reads any of it.

Nothing of a client reaches the broker before it has logged in; afterwards it gets whole, sound packets of a
known size only, about topics that are the client's own. Who does what it may not is cut off, and so is who is
silent for too long, stops within a packet, or reads nothing. Knows MQTT 3.1.1 as far as that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from firmware_bridge.embedded_broker.passwords import GATEWAY, Passwords

MAX_PACKET_BYTES: Final = 8 * 1024
"""More than any frame and its topic have."""
MAX_FILTERS: Final = 8
"""Topic filters of one SUBSCRIBE."""
LOGIN_SECONDS: Final = 5.0
"""From connecting to the end of CONNECT."""
PACKET_SECONDS: Final = 10.0
"""From the first byte of a packet to its last."""
IDLE_SECONDS: Final = 90.0
"""The longest silence, whatever a client announced: a device says something every few seconds."""
UNREAD_BYTES: Final = 256 * 1024
"""A client that leaves more unread is cut off."""
MAX_CONNECTIONS: Final = 1024
MAX_STRANGERS: Final = 64
"""Connections that have not logged in; one more cuts off the oldest."""
MAX_OF_ONE: Final = 4
"""Connections of one user; one more cuts off the oldest."""
TAKE_OVER_SECONDS: Final = 1.0
"""How long a client waits for the end of the one whose place it takes."""

_CONNECT, _PUBLISH, _SUBSCRIBE, _UNSUBSCRIBE = 1, 3, 8, 10
_TAKEN: Final = frozenset({_PUBLISH, 4, 5, 6, 7, _SUBSCRIBE, _UNSUBSCRIBE, 12, 14})
"""What a client may send once it is in (MQTT 3.1.1, 2.2.1); 4 to 7 acknowledge, 12 is PINGREQ, 14 DISCONNECT."""
_RETAINED, _WILL_RETAINED = 0x01, 0x20
"""Not passed on: amqtt gives what it has kept to whoever logs in, and of ours nobody wants it."""
_OLD_VERSION: Final = b"\x20\x02\x00\x01"
_NEW_VERSION: Final = b"\x20\x03\x00\x84\x00"
"""The same as MQTT 5 has it."""
_BAD_LOGIN: Final = b"\x20\x02\x00\x04"
_NO_PLACE: Final = b"\x20\x02\x00\x03"

Serve = Callable[[Any, Any], Awaitable[None]]
"""The broker's part: what reads a client's packets, and what writes to it."""


class _CutOff(Exception):
    """The client is not listened to any longer; ``answer``: what it is told."""

    def __init__(self, answer: bytes = b"") -> None:
        super().__init__()
        self.answer = answer


class ConnectPacket(NamedTuple):
    """What a client says first."""

    user: str
    password: bytes
    client_id: str
    keep_alive: int
    will: tuple[int, str, bytes] | None
    """Flags, topic and message."""

    def to_bytes(self) -> bytes:
        """As the broker gets it: no password, nothing kept for it, and a client id that is no other user's."""
        flags, tail = 0x02, b""
        if self.will is not None:
            will_flags, topic, message = self.will
            flags |= 0x04 | will_flags & ~_WILL_RETAINED
            tail = _text(topic) + _binary(message)
        body = _text("MQTT") + bytes((4, flags, 0, 0)) + _text(f"{self.user}/{self.client_id}") + tail
        return bytes((_CONNECT << 4,)) + _length(len(body)) + body


class Topics(NamedTuple):
    """The topics that a user has under the prefix."""

    prefix: str
    user: str

    def may_publish(self, topic: str) -> bool:
        """To its device, the gateway; as itself, a device."""
        device_id, leaf = self._parted(topic)
        if self.user == GATEWAY:
            return bool(device_id) and leaf == "down" and not set("+#/") & set(device_id)
        return device_id == self.user and leaf in ("up", "state")

    def may_read(self, topic_filter: str) -> bool:
        """What all devices say, the gateway; what is for it, a device."""
        device_id, leaf = self._parted(topic_filter)
        if self.user == GATEWAY:
            return device_id == "+" and leaf in ("up", "state")
        return device_id == self.user and leaf == "down"

    def _parted(self, topic: str) -> tuple[str, str]:
        head = f"{self.prefix}/"
        device_id, _, leaf = topic[len(head) :].rpartition("/") if topic.startswith(head) else ("", "", "")
        return device_id, leaf


class _Place(NamedTuple):
    """One client that is in."""

    writer: asyncio.StreamWriter
    left: asyncio.Event


class BrokerDoor:
    """Who is in, and who stands before it."""

    def __init__(self, passwords: Passwords, prefix: str, serve: Serve) -> None:
        self._passwords = passwords
        self._prefix = prefix
        self._serve = serve
        self._strangers: dict[asyncio.StreamWriter, None] = {}
        self._inside: dict[str, dict[str, _Place]] = {}

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its end."""
        try:
            connect = await self._introduced(reader, writer)
        except _CutOff as cut_off:
            with suppress(OSError):
                writer.write(cut_off.answer)
                writer.close()
            return
        place = await self._placed(connect, writer)
        try:
            packets = Packets(reader, writer, connect, Topics(self._prefix, connect.user))
            await self._serve(packets, ClientWriter(writer))
        finally:
            writer.transport.abort()
            place.left.set()
            self._give_up(connect, place)

    async def _placed(self, connect: ConnectPacket, writer: asyncio.StreamWriter) -> _Place:
        """A place of its own; of those with its name, or too many of its user, the older one goes first."""
        places = self._inside.setdefault(connect.user, {})
        place = _Place(writer, asyncio.Event())
        older = places.pop(connect.client_id, None)
        if older is None and len(places) >= MAX_OF_ONE:
            older = places.pop(next(iter(places)))
        places[connect.client_id] = place
        if older is not None:
            older.writer.transport.abort()
            with suppress(TimeoutError):
                async with asyncio.timeout(TAKE_OVER_SECONDS):
                    await older.left.wait()
        return place

    def _give_up(self, connect: ConnectPacket, place: _Place) -> None:
        places = self._inside.get(connect.user, {})
        if places.get(connect.client_id) is place:
            del places[connect.client_id]
        if not places:
            self._inside.pop(connect.user, None)

    async def _introduced(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> ConnectPacket:
        """Who it is. Raises _CutOff."""
        if len(self._strangers) >= MAX_STRANGERS:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.transport.abort()
        self._strangers[writer] = None
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                kind, body = await _packet(reader)
        except TimeoutError:
            raise _CutOff from None
        finally:
            self._strangers.pop(writer, None)
        if kind >> 4 != _CONNECT:
            raise _CutOff
        connect = read_connect(body)
        if not self._passwords.let_in(connect.user, connect.password):
            raise _CutOff(_BAD_LOGIN)
        if connect.will and not Topics(self._prefix, connect.user).may_publish(connect.will[1]):
            raise _CutOff(_BAD_LOGIN)
        if sum(map(len, self._inside.values())) >= MAX_CONNECTIONS:
            raise _CutOff(_NO_PLACE)
        return connect


class Packets:
    """What the broker reads of a client: its packets, once they are sound and its own. Empty at their end."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connect: ConnectPacket,
        topics: Topics,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._topics = topics
        self._idle = min(1.5 * connect.keep_alive or IDLE_SECONDS, IDLE_SECONDS)
        self._left = memoryview(connect.to_bytes())

    async def read(self, n: int = -1) -> bytes:
        """The next ``n`` bytes of a packet."""
        while not self._left and n:
            try:
                self._left = memoryview(await self._next())
            except _CutOff:
                return b""
        taken = self._left[: n if n >= 0 else None]
        self._left = self._left[len(taken) :]
        return bytes(taken)

    def feed_eof(self) -> None:
        """The broker reads no more."""

    async def _next(self) -> bytes:
        """One packet, or nothing of one that was answered here. Raises _CutOff."""
        try:
            async with asyncio.timeout(self._idle):
                first = await self._reader.readexactly(1)
            async with asyncio.timeout(PACKET_SECONDS):
                kind, body = await _packet(self._reader, first)
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            raise _CutOff from None
        if kind >> 4 not in _TAKEN or not self._is_allowed(kind, body):
            raise _CutOff
        if kind >> 4 == _SUBSCRIBE and (refusal := self._refusal(body)):
            self._writer.write(refusal)
            return b""
        if kind >> 4 == _PUBLISH:
            kind &= ~_RETAINED
        return bytes((kind,)) + _length(len(body)) + body

    def _is_allowed(self, kind: int, body: bytes) -> bool:
        if kind >> 4 == _PUBLISH:
            cursor = _Cursor(body)
            topic = cursor.text()
            if kind & 0x06:
                cursor.number()
            return kind & 0x06 != 0x06 and self._topics.may_publish(topic)
        if kind >> 4 in (_SUBSCRIBE, _UNSUBSCRIBE):
            return kind & 0x0F == 0x02 and 0 < len(_filters(kind >> 4, body)) <= MAX_FILTERS
        return len(body) == (0 if kind >> 4 in (12, 14) else 2)

    def _refusal(self, body: bytes) -> bytes:
        """The answer to a subscription to what is not the client's."""
        filters = _filters(_SUBSCRIBE, body)
        if all(self._topics.may_read(one) for one in filters):
            return b""
        return bytes((0x90, 2 + len(filters))) + body[:2] + b"\x80" * len(filters)


class ClientWriter:
    """What the broker writes to a client. It waits for nobody: who does not read is cut off."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Hand bytes over."""
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            self._writer.transport.abort()

    async def drain(self) -> None:
        """Nothing is waited for."""

    def get_peer_info(self) -> tuple[str, int]:
        """Where it comes from."""
        address, port = self._writer.get_extra_info("peername")[:2]
        return address, port

    def get_ssl_info(self) -> None:
        """There is no TLS on the loopback."""

    async def close(self) -> None:
        """The broker has ended it."""
        self._writer.close()


def read_connect(body: bytes) -> ConnectPacket:
    """What stands in a CONNECT. Raises _CutOff."""
    cursor = _Cursor(body)
    name, version, flags = cursor.text(), cursor.byte(), cursor.byte()
    if (name, version) != ("MQTT", 4):
        raise _CutOff(_NEW_VERSION if version == 5 else _OLD_VERSION)
    keep_alive, client_id = cursor.number(), cursor.text()
    will = (flags & 0x38, cursor.text(), cursor.binary()) if flags & 0x04 else None
    user = cursor.text() if flags & 0x80 else ""
    password = cursor.binary() if flags & 0x40 else b""
    if flags & 0x01 or (will and will[0] & 0x18 == 0x18) or cursor.rest:
        raise _CutOff
    return ConnectPacket(user, password, client_id, keep_alive, will)


class _Cursor:
    """Fields one after the other. Each raises _CutOff where there is none."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def byte(self) -> int:
        return self._take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def binary(self) -> bytes:
        return self._take(self.number())

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise _CutOff from None
        if "\0" in text:
            raise _CutOff
        return text

    def _take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        if len(taken) < size:
            raise _CutOff
        return taken


def _filters(kind: int, body: bytes) -> list[str]:
    """Those of a SUBSCRIBE or an UNSUBSCRIBE. Raises _CutOff."""
    cursor = _Cursor(body)
    cursor.number()
    filters = []
    while cursor.rest:
        filters.append(cursor.text())
        if kind == _SUBSCRIBE and cursor.byte() > 2:
            raise _CutOff
    return filters


async def _packet(reader: asyncio.StreamReader, first: bytes = b"") -> tuple[int, bytes]:
    """First byte and body of the next packet. Raises _CutOff where it is none, or too large."""
    try:
        kind = (first or await reader.readexactly(1))[0]
        length = shift = 0
        while True:
            (part,) = await reader.readexactly(1)
            length |= (part & 0x7F) << shift
            shift += 7
            if length > MAX_PACKET_BYTES or shift > 28:
                raise _CutOff
            if part < 0x80:
                return kind, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        raise _CutOff from None


def _length(length: int) -> bytes:
    """As it stands in a packet; below 2^14."""
    return bytes((length,)) if length < 0x80 else bytes((length & 0x7F | 0x80, length >> 7))


def _binary(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _text(text: str) -> bytes:
    return _binary(text.encode())
