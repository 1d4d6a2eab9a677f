"""Frames on their two carriers, without I/O: bytes in, frames out.

Serial: ``COBS(header payload crc32) 0x00``. MQTT: header and payload, one frame per message.
Nothing here raises on what arrives: what is no frame comes out as :class:`FrameRejected` or
:class:`Noise` and is counted, and the next good frame is always found.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from firmware_bridge.link.frames import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    DeviceFrame,
    FaultCode,
    FrameError,
    Header,
    decode,
)

NOISE_BYTES: Final = 512
"""What is kept of one stretch of text outside frames."""

_CRC_SIZE: Final = 4
_CRC_RESIDUE: Final = 0x2144DF1C  # CRC-32 of anything followed by its own CRC-32
_XON: Final = 0x11
_XOFF: Final = 0x13
_TELLING_BYTES: Final = 16  # so many random bytes all have their top bit clear once in 65,536 times
_FULL_GROUP: Final = 255  # the COBS code byte of 254 bytes without a zero

# Text before a frame ends with its last newline. While a block is incomplete, only two characters or
# more count: a frame's first byte may look like one, but its second is its version, which does not.
_TEXT: Final = re.compile(rb"[\t\r\n\x1b -~]+")
_LINES: Final = re.compile(rb"[\t\r\n\x1b -~]*\n")
_SURE_LINES: Final = re.compile(rb"[\t\r\n\x1b -~]+\n")


@dataclass(frozen=True, slots=True)
class FrameRejected:
    """Bytes that were no acceptable frame.

    ``code`` says what to answer; None when there is nobody to answer (line noise). ``header`` and
    ``type_byte`` are known when the fault lies behind a sound header: pass it to the link's
    ``receive`` then, which answers it and does not ask for its number again.
    """

    code: FaultCode | None
    message: str
    header: Header | None = None
    type_byte: int | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """Text outside frames: a boot ROM, a printf. The first NOISE_BYTES of each stretch."""

    data: bytes


@dataclass(slots=True)
class DecoderCounters:
    """What a decoder has seen so far."""

    frames: int = 0
    bytes: int = 0
    crc_errors: int = 0
    cobs_errors: int = 0
    oversized: int = 0
    unknown_type: int = 0
    unknown_version: int = 0
    malformed: int = 0
    noise_bytes: int = 0
    seven_bit: int = 0
    """Of the blocks with wrong codes or CRC, those without any byte above 0x7F though they were long."""
    flow_control_bytes: int = 0
    """XON and XOFF (0x11, 0x13) wherever they stood: frames are full of them."""

    @property
    def broken(self) -> int:
        """Blocks that were neither a frame nor text."""
        return self.crc_errors + self.cobs_errors + self.oversized


Decoded: TypeAlias = DeviceFrame | FrameRejected | Noise


def encode_serial(frame: DeviceFrame) -> bytes:
    """One frame as it goes over a serial line, its delimiter included. Raises FrameError."""
    body = frame.to_bytes()
    return stuff(body + zlib.crc32(body).to_bytes(_CRC_SIZE, "little"))


def stuff(data: bytes) -> bytes:
    """COBS: ``data`` without its zero bytes, and the delimiter, the only zero, at its end.

    Each zero, and one byte put in front, becomes a code byte: how far it is to the next one. 255
    is a full group: 254 bytes without a zero, after which a code byte is put in. No group is put
    after a full one that ends the data.
    """
    out = bytearray(b"\0%b\0" % data)
    code_at, zero = 0, out.find(0, 1)
    while zero >= 0:
        distance = zero - code_at
        if distance < _FULL_GROUP or (distance == _FULL_GROUP and zero == len(out) - 1):
            out[code_at] = distance
            code_at, zero = zero, out.find(0, zero + 1)
        else:
            out[code_at] = _FULL_GROUP
            code_at += _FULL_GROUP
            out.insert(code_at, 0)
            zero += 1
    return bytes(out)


def unstuff(block: bytes) -> bytearray | None:
    """What was stuffed into ``block``, which holds no zero and no delimiter; None if nothing was.

    Goes from code byte to code byte and puts the zeros back. Where a group was full there was
    none: those places are taken out at the end.
    """
    end = len(block)
    data = bytearray(block)
    data.append(_FULL_GROUP)  # ends the inner loop, which is the hot one, at the end of the block
    surplus = [0]
    at = 0
    try:
        while True:
            while (step := data[at]) != _FULL_GROUP:
                data[at] = 0
                at += step
            if at == end:
                break
            data[at] = 0
            at += _FULL_GROUP
            surplus.append(at)
    except IndexError:
        return None
    if surplus[-1] != end:
        surplus.append(end)
    for place in reversed(surplus):
        del data[place]
    return data


class _Decoder:
    """What both carriers share: a frame's bytes are judged and counted."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        """``max_payload``: larger ones are rejected."""
        self.counters = DecoderCounters()
        self._max_payload = max_payload

    def _judge(self, data: bytes) -> DeviceFrame | FrameRejected:
        counters = self.counters
        try:
            frame = decode(data, self._max_payload)
        except FrameError as error:
            counter = _COUNTED_AS.get(error.code, "malformed")
            setattr(counters, counter, getattr(counters, counter) + 1)
            return FrameRejected(error.code, error.message, error.header, error.type_byte)
        counters.frames += 1
        return frame


_COUNTED_AS: Final = {
    FaultCode.UNKNOWN_TYPE: "unknown_type",
    FaultCode.UNSUPPORTED_VERSION: "unknown_version",
    FaultCode.TOO_LARGE: "oversized",
}


class DatagramDecoder(_Decoder):
    """Reads messages that hold one frame each (MQTT); same face as SerialDecoder, never Noise."""

    def feed(self, data: bytes) -> Iterator[Decoded]:
        """Take one message, yield its frame or its rejection."""
        self.counters.bytes += len(data)
        yield self._judge(data)


class SerialDecoder(_Decoder):
    """Finds the frames in what a serial line delivers, in chunks of any size.

    It keeps at most one frame of twice the allowed payload, so that a frame somewhat too large is
    still understood enough to be answered; longer stretches without a delimiter are dropped.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        """``max_payload``: larger ones are rejected."""
        super().__init__(max_payload)
        longest = HEADER_SIZE + 2 * max_payload + _CRC_SIZE
        self._limit = longest + 1 + longest // (_FULL_GROUP - 1)
        self._pending = b""
        self._discarding = False

    def seen(self) -> DecoderCounters:
        """The counters now; text that nothing has ended yet stands among the noise."""
        text = len(self._pending) if _TEXT.fullmatch(self._pending) else 0
        return dataclasses.replace(self.counters, noise_bytes=self.counters.noise_bytes + text)

    def feed(self, data: bytes) -> Iterator[Decoded]:
        """Take the next bytes, yield what they complete. Exhaust it before feeding more."""
        self.counters.bytes += len(data)
        self.counters.flow_control_bytes += data.count(_XON) + data.count(_XOFF)
        blocks = (self._pending + data).split(b"\0")
        self._pending = b""
        if self._discarding and len(blocks) > 1:
            del blocks[0]
            self._discarding = False
        tail = blocks.pop()
        for block in blocks:
            if block:
                body = self._body(block)
                if body is None:
                    yield from self._salvage(block)
                else:
                    yield self._judge(body)
        if not self._discarding:
            yield from self._tail(tail)

    def _body(self, block: bytes) -> bytes | None:
        """Header and payload, if that is what stood between two delimiters."""
        if len(block) > self._limit:
            return None
        data = unstuff(block)
        if data is None or zlib.crc32(data) != _CRC_RESIDUE:
            return None
        return bytes(data[:-_CRC_SIZE])

    def _salvage(self, block: bytes) -> Iterator[Decoded]:
        """What is no frame: perhaps text, and perhaps a frame right after it."""
        text = _TEXT.fullmatch(block) or _LINES.match(block)
        if text:
            yield self._noise(text[0])
            block = block[text.end() :]
        body = self._body(block)
        if body is not None:
            yield self._judge(body)
        elif block:
            yield self._broken(block)

    def _tail(self, tail: bytes) -> Iterator[Decoded]:
        """What no delimiter has ended yet: lines of text come out now, the rest waits."""
        text = _SURE_LINES.match(tail) or (len(tail) > self._limit and _TEXT.fullmatch(tail))
        if text:
            yield self._noise(text[0])
            tail = tail[text.end() :]
        if len(tail) > self._limit:
            self._discarding = True
            yield self._oversized(tail)
        else:
            self._pending = tail

    def _broken(self, block: bytes) -> FrameRejected:
        if len(block) > self._limit:
            return self._oversized(block)
        if len(block) >= _TELLING_BYTES and block.isascii():
            self.counters.seven_bit += 1
        if unstuff(block) is None:
            self.counters.cobs_errors += 1
            return FrameRejected(None, "COBS codes do not add up")
        self.counters.crc_errors += 1
        return FrameRejected(None, "CRC-32 does not match")

    def _oversized(self, block: bytes) -> FrameRejected:
        self.counters.oversized += 1
        return FrameRejected(None, f"{len(block)} bytes or more without a delimiter")

    def _noise(self, text: bytes) -> Noise:
        self.counters.noise_bytes += len(text)
        return Noise(text[:NOISE_BYTES])
