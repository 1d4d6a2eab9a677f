"""Messages over a pipe between two processes of ours.

A message is a header of eight bytes (``b"Ear1"`` and the length of the rest, little-endian) and the
message itself as msgpack. Audio is in it as the bytes it is, so that handing over 30 s costs a
millisecond. Either end is gone when its pipe is closed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from transcription.audio import Samples

LONGEST_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes; the longest utterance (30 s) has one million."""

_MAGIC: Final = b"Ear1"
_HEADER: Final = struct.Struct("<4sI")

Message = TypeVar("Message")


class Garbled(Exception):
    """What came is no message of this pipe."""


class CannotSend(Exception):
    """The message is too long, or holds what is not audio."""


def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Of one of these messages."""
    return msgspec.msgpack.Decoder(kind, dec_hook=_audio_from_bytes)


def packed(message: Struct) -> bytes:
    """A message as it goes over the pipe. Raises CannotSend."""
    body = _ENCODER.encode(message)
    if len(body) > LONGEST_MESSAGE:
        raise CannotSend(f"{len(body)} bytes are more than {LONGEST_MESSAGE}")
    return _HEADER.pack(_MAGIC, len(body)) + body


def write(fd: int, message: Struct) -> None:
    """Send; blocks until it is taken. Raises CannotSend, and BrokenPipeError when the other end is gone."""
    rest = memoryview(packed(message))
    while rest:
        rest = rest[os.write(fd, rest) :]


def read(
    fd: int, of: msgspec.msgpack.Decoder[Message], wait: Callable[[], None] = lambda: None
) -> Message | None:
    """The next message; None when the other end is gone. ``wait``: before each look. Raises Garbled."""
    header = _read_exactly(fd, _HEADER.size, wait)
    if header is None:
        return None
    magic, length = _HEADER.unpack(header)
    if magic != _MAGIC or length > LONGEST_MESSAGE:
        raise Garbled(f"no message begins with {header.hex()}")
    body = _read_exactly(fd, length, wait)
    if body is None:
        return None
    try:
        return of.decode(body)
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: half a sample
        raise Garbled(str(error)) from error


def _read_exactly(fd: int, size: int, wait: Callable[[], None]) -> bytearray | None:
    data = bytearray()
    while len(data) < size:
        wait()
        got = os.read(fd, size - len(data))
        if not got:
            return None
        data += got
    return data


def _audio_to_bytes(value: object) -> memoryview:
    if not isinstance(value, np.ndarray) or value.dtype != np.int16 or value.ndim != 1:
        shape = getattr(value, "shape", "")
        raise CannotSend(f"{getattr(value, 'dtype', type(value).__name__)}{shape} is not PCM16 audio")
    return np.ascontiguousarray(value).data.cast("B")


def _audio_from_bytes(_kind: type, data: bytes) -> Samples:
    return np.frombuffer(data, np.int16)


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_audio_to_bytes)
