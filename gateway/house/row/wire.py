"""What gateways tell each other of devices that go from one to another. Rows are as their journals have them.

It is msgpack (``application/msgpack``). What cannot be read is dropped: whoever waits for it does not wait for long.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.contract.house import Name
from gateway.contract.messages import Id, Line, decoded
from gateway.journal.records import RequestRow, StreamRow, TurnRow
from gateway.pipeline.moving import Having
from gateway.pipeline.sessions.names import SpeechPlace

MSGPACK: Final = "application/msgpack"

MOVES_TOPIC: Final = "house.moves"
"""For all gateways, each under the key (``house``, who tells, ``moves``)."""
HANDED_TOPIC: Final = "house.handed"
"""For one gateway, each under the key (``house``, for whom, who tells)."""

MOST_SOUGHT: Final = 1_000
"""Devices that are asked for at once."""
MOST_SPEECH: Final = 500
"""Utterances that are."""

Number: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
DeviceId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class DeviceHere(Struct, frozen=True, kw_only=True, tag="here"):
    """A device has said HELLO to ``gateway``; whoever has had it lets it go, and tells what it knows.

    ``greeted_at``: when, by the device's own clock, in milliseconds since it was switched on. ``ask``: what the answer
    is to name; empty: none is waited for.
    """

    gateway: Name
    device_id: DeviceId
    boot: Number
    greeted_at: Number
    ask: Id = ""


class DeviceGiven(Struct, frozen=True, kw_only=True, tag="given"):
    """What ``gateway`` knows of a device. ``speaks``: another one of that id speaks there just now."""

    gateway: Name
    device_id: DeviceId
    ask: Id
    speaks: bool = False
    streams: Annotated[tuple[StreamRow, ...], Meta(max_length=1_000)] = ()
    turns: Annotated[tuple[TurnRow, ...], Meta(max_length=1_000)] = ()


class DeviceSought(Struct, frozen=True, kw_only=True, tag="sought"):
    """``gateway`` owes these devices something, and does not know where they are: it has begun since, or missed it."""

    gateway: Name
    device_ids: Annotated[tuple[DeviceId, ...], Meta(max_length=MOST_SOUGHT)]


class AnswerFollows(Struct, frozen=True, kw_only=True, tag="answer"):
    """An answer for a device that is with whom this is told; told again until it is taken."""

    gateway: Name
    row: RequestRow


class AnswerTaken(Struct, frozen=True, kw_only=True, tag="taken"):
    """It is safe with who tells this."""

    gateway: Name
    correlation_id: Line


class SpeechSought(Struct, frozen=True, kw_only=True, tag="speech sought"):
    """``gateway`` has begun again and finds this speech without a text; since it died, others may have heard it."""

    gateway: Name
    ask: Id
    speech: Annotated[tuple[SpeechPlace, ...], Meta(max_length=MOST_SPEECH)] = ()


class SpeechFound(Struct, frozen=True, kw_only=True, tag="speech found"):
    """What ``gateway`` has of it, in the order in which it was asked."""

    gateway: Name
    ask: Id
    having: Annotated[tuple[Having, ...], Meta(max_length=MOST_SPEECH)] = ()


Told: TypeAlias = (
    DeviceHere | DeviceGiven | DeviceSought | AnswerFollows | AnswerTaken | SpeechSought | SpeechFound
)

encode: Final = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)


def decode(payload: bytes) -> Told:
    """Raises BadMessage."""
    return decoded(_decoder.decode, payload, "what a gateway tells of a device")
