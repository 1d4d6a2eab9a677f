"""What the gateway and a process that works with sound devices say to each other. No I/O.

The process is told on its command line what to do (an order, as JSON), and answers with records, each one message of a
socket that keeps messages apart.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

PERIOD_SECONDS: Final = 0.020
"""Sound is read, looked at and handed on in pieces of so long."""
MEASURED_SECONDS: Final = 2.0
"""So often a process that listens says how it is, also in silence."""


class Look(Struct, frozen=True, tag=True):
    """Say which sound devices there are."""


class Listen(Struct, frozen=True, tag=True, kw_only=True):
    """Hand on what a microphone hears; ``name`` is exact, the others as in ``MicrophoneSettings``.

    ``hold_seconds``: what is loud is followed by so much of what is not. ``meter``: hand on nothing, and tell often how
    loud it is.
    """

    name: str
    channel: int = 1
    rate: int = 0
    gate_db: float = 6.0
    hold_seconds: float = 8.0
    meter: bool = False


class Play(Struct, frozen=True, tag=True):
    """Play a test tone; ``name`` is exact."""

    name: str
    seconds: float = 1.0


Order: TypeAlias = Look | Listen | Play


class SoundDevice(Struct, frozen=True):
    """``inputs`` and ``outputs``: channels. ``rate``: its own, in Hz. ``first``: who is meant where nobody is named."""

    name: str
    inputs: int
    outputs: int
    rate: int
    first_input: bool = False
    first_output: bool = False


class SoundDevices(Struct, frozen=True, tag=True):
    """The sound devices that can be opened now."""

    devices: tuple[SoundDevice, ...]


class Listening(Struct, frozen=True, tag=True):
    """The microphone is open; at which rate, and with how many channels."""

    rate: int
    channels: int


class Sound(Struct, frozen=True, tag=True):
    """PCM16 little-endian, mono, 16 kHz. ``lost``: samples that were lost right before."""

    pcm: bytes
    lost: int = 0


class Hush(Struct, frozen=True, tag=True):
    """It is quiet from now on; what comes next is another stretch of sound."""


class Measured(Struct, frozen=True, tag=True, kw_only=True):
    """How it goes: ``level_db`` is the loudest 20 ms since the last time, in dB below the greatest that there is.

    ``overruns`` and ``lost_ms``: how often and how much sound was lost since the beginning. ``drift_ppm``: by how many
    millionths the microphone's clock is fast; None: not known yet.
    """

    level_db: float
    overruns: int
    lost_ms: int
    drift_ppm: float | None


class GaveUp(Struct, frozen=True, tag=True):
    """It does not work (any more): why, and what to do about it. The last word."""

    reason: str
    remedy: str


class Played(Struct, frozen=True, tag=True):
    """The tone has been heard. The last word."""


SoundRecord: TypeAlias = SoundDevices | Listening | Sound | Hush | Measured | GaveUp | Played

encode_record: Final = msgspec.msgpack.Encoder().encode
decode_record: Final = msgspec.msgpack.Decoder(SoundRecord).decode
"""Raises msgspec.ValidationError or msgspec.DecodeError."""


def order_line(order: Order) -> str:
    """An order as a command line has it."""
    return msgspec.json.encode(order).decode()


def read_order(line: str) -> Order:
    """The same back."""
    return msgspec.json.decode(line, type=Order)
