"""What the gateway and the recognizer's process say to each other, over two pipes.

A message is a header of eight bytes (``b"Ear1"`` and the length of the rest, little-endian) and the
message itself as msgpack. Audio is in it as the bytes it is, so that handing over 30 s costs a
millisecond. Either end is gone when its pipe is closed.
"""

from __future__ import annotations

import os
import struct
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from transcription.audio import Samples
from transcription.segmenter import Utterance
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, Task, Transcript

LONGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes; the longest utterance (30 s) has one million."""

_MAGIC = b"Ear1"
_HEADER = struct.Struct("<4sI")


class Load(Struct, frozen=True, tag=True):
    """To the process, once and first: make the engine ``module:class`` of these settings and load it."""

    engine: str
    settings: TranscriptionSettings


class Transcribe(Struct, frozen=True, tag=True):
    """To the process: say what was spoken. The next one follows its answer."""

    utterance: Utterance
    hints: Hints = NO_HINTS


class TranscribeAll(Struct, frozen=True, tag=True):
    """To the process: the same for several utterances at once."""

    tasks: tuple[Task, ...]


class Loaded(Struct, frozen=True, tag=True):
    """The engine is ready; its own names, and whether it gains by batches."""

    engine: str
    model: str
    batches: bool = False


class Missing(Struct, frozen=True, tag=True):
    """The engine cannot be had: what a ModelUnavailable says."""

    reason: str
    remedy: str


class Done(Struct, frozen=True, tag=True):
    """What was spoken."""

    transcript: Transcript


class Failed(Struct, frozen=True, tag=True):
    """The engine could not do this utterance."""

    reason: str


class AllDone(Struct, frozen=True, tag=True):
    """What became of each of several."""

    outcomes: tuple[Done | Failed, ...]


class Progress(Struct, frozen=True, tag=True):
    """How far it is while it loads: what it is at, and how much of that is done, in [0, 1]."""

    what: str
    share: float


class Beat(Struct, frozen=True, tag=True):
    """The process is alive."""


Request: TypeAlias = Load | Transcribe | TranscribeAll
Answer: TypeAlias = Loaded | Missing | Done | Failed | AllDone
Said: TypeAlias = Answer | Progress | Beat
Message = TypeVar("Message")


class Garbled(Exception):
    """What came is no message of this page."""


class CannotSend(Exception):
    """The message is too long, or holds what is not audio."""


def read_request(fd: int) -> Request | None:
    """The next request; None when the gateway is gone. Raises Garbled."""
    return _decoded(_REQUESTS, _read(fd))


def read_said(fd: int) -> Said | None:
    """The next answer or beat; None when the process is gone. Raises Garbled."""
    return _decoded(_SAID, _read(fd))


def write(fd: int, message: Request | Said) -> None:
    """Send; blocks until it is taken. Raises CannotSend, and BrokenPipeError when the other end is gone."""
    body = _ENCODER.encode(message)
    if len(body) > LONGEST_MESSAGE:
        raise CannotSend(f"{len(body)} bytes are more than {LONGEST_MESSAGE}")
    rest = memoryview(_HEADER.pack(_MAGIC, len(body)) + body)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read(fd: int) -> bytearray | None:
    header = _read_exactly(fd, _HEADER.size)
    if header is None:
        return None
    magic, length = _HEADER.unpack(header)
    if magic != _MAGIC or length > LONGEST_MESSAGE:
        raise Garbled(f"no message begins with {header.hex()}")
    return _read_exactly(fd, length)


def _decoded(decoder: msgspec.msgpack.Decoder[Message], body: bytearray | None) -> Message | None:
    if body is None:
        return None
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: half a sample
        raise Garbled(str(error)) from error


def _read_exactly(fd: int, size: int) -> bytearray | None:
    data = bytearray()
    while len(data) < size:
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


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_audio_to_bytes)
_REQUESTS = msgspec.msgpack.Decoder(Load | Transcribe | TranscribeAll, dec_hook=_audio_from_bytes)
_SAID = msgspec.msgpack.Decoder(Loaded | Missing | Done | Failed | AllDone | Progress | Beat)
