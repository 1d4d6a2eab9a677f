"""What travels between the gateways and hubs of one house, where there are several (``house`` in config.yaml).

``docs/messages.md`` is this file for people who do not read Python.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.contract.events import ErasureEvent, HubEvent
from gateway.contract.messages import UNREADABLE, BadMessage, Id, Line, decoded

HOUSE_SCHEMA: Final = 1

EVENTS_TOPIC: Final = "house.events"
"""What listeners are shown, each batch under the key (``house``, gateway, ``events``)."""
GATEWAYS_TOPIC: Final = "house.gateways"
"""Each under the key (``house``, gateway, ``presence``)."""
ASKS_TOPIC: Final = "house.asks"
"""What one wants to know of another, each under the key (``house``, whom it asks, who asks)."""
TOLD_TOPIC: Final = "house.told"
"""What it is told, each under the key (``house``, who asked, who tells)."""

COMMANDS_TOPIC: Final = "house.commands"
"""What is asked of the API at one hub and done by another gateway, under the key (``house``, who does, who asks)."""
DONE_TOPIC: Final = "house.done"
"""What came of it, under the key (``house``, who asked, who did)."""

GATEWAY_SECONDS: Final = 1.0
"""How often a gateway or hub says that it is there."""
GATEWAY_GONE_SECONDS: Final = 4 * GATEWAY_SECONDS
"""One that has been silent for so long is not."""
MOST_IN_BATCH: Final = 1_000
MOST_EPOCHS_ASKED: Final = 256
MOST_STANDING: Final = 4_096

LATEST: Final = 1e11
"""Of timestamps, which every calendar knows."""

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Sequence: TypeAlias = Annotated[int, Meta(ge=0)]


class EventBatch(Struct, frozen=True, kw_only=True):
    """Events of one gateway as its own listeners get them, in order; each has ``epoch`` and ``seq`` of its own.

    ``after``: the ``seq`` of the last event before the first of these that nobody may miss: a hub that has not had that
    one asks for what it lacks.
    """

    gateway: Name
    epoch: Id
    after: Sequence = 0
    events: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MOST_IN_BATCH)] = ()
    schema: int = HOUSE_SCHEMA


class GatewayPresence(Struct, frozen=True, kw_only=True):
    """That a gateway or hub is there, told every second on ``house.gateways``.

    ``instance`` names this process: another one after each start, a hub's, too. ``role``: ``gateway``, ``standby`` or
    ``hub``. ``state`` ``leaving``: it is being stopped on purpose. ``epoch`` names its run, ``seq`` is that of its last
    event that nobody may miss. ``url``: where its page is, as it knows it. ``listeners``: of its hub, now; ``watches``:
    somebody there is shown what may be missed, too (partials), and with ``levels`` the levels of devices. ``ready``: it
    knows what there was in the house, and can be asked. ``standby_for``: whose place it takes when that one dies.
    ``timestamp`` is by its own clock.
    """

    gateway: Name
    instance: Id = ""
    role: Annotated[str, Meta(pattern=r"^(gateway|standby|hub)$")] = "gateway"
    state: Annotated[str, Meta(pattern=r"^(here|leaving)$")] = "here"
    epoch: Id = ""
    seq: Sequence = 0
    url: Line = ""
    version: Line = ""
    listeners: Sequence = 0
    watches: bool = False
    levels: bool = False
    ready: bool = False
    devices: Sequence = 0
    standby_for: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    timestamp: float = 0.0
    schema: int = HOUSE_SCHEMA


class HouseAsk(Struct, frozen=True, kw_only=True):
    """What a hub has missed: on ``house.asks``, to the one whose ``instance`` is ``to``.

    ``after``: by epoch, the last event that it had. ``whole``: and all else that there is in the house.
    """

    ask: Id
    gateway: Name
    to: Id
    after: Annotated[dict[Id, Sequence], Meta(max_length=MOST_EPOCHS_ASKED)] = {}
    whole: bool = False
    schema: int = HOUSE_SCHEMA


class HouseTold(Struct, frozen=True, kw_only=True):
    """What a hub knows of one epoch, in answer to an ask; in several parts where it is much.

    ``events``: those after the one that was asked about, in order. Up to ``forgotten`` it does not have them: then
    ``standing`` is what is left of those (devices, open sessions, components, what was said last). ``seq``: of the last
    event that nobody may miss. ``last``: the ask is answered with this. Without an epoch ``standing`` is what the hub
    itself says of gateways that are not there.
    """

    ask: Id
    gateway: Name
    epoch: Id = ""
    of: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    forgotten: Sequence = 0
    seq: Sequence = 0
    events: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MOST_IN_BATCH)] = ()
    standing: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MOST_STANDING)] = ()
    last: bool = False
    schema: int = HOUSE_SCHEMA


class WhoAsks(Struct, frozen=True, kw_only=True):
    """Who asks, as the hub has let them in: that is believed, as everything is that comes over the house's broker."""

    name: Line
    role: Annotated[str, Meta(pattern=r"^[a-z]{1,32}$")]
    users: Annotated[tuple[Line, ...], Meta(max_length=1_000)] = ()
    devices: Annotated[tuple[Line, ...], Meta(max_length=1_000)] = ()
    token_id: Line = ""


class HouseCommand(Struct, frozen=True, kw_only=True):
    """One operation of the API, for the gateway whose ``instance`` is ``to``. ``timestamp``: by the asking hub's clock.

    ``path``, ``query`` and ``body`` are the request's, as the API's description has them.
    """

    ask: Id
    gateway: Name
    to: Id
    operation: Name
    asker: WhoAsks
    path: Annotated[dict[str, str], Meta(max_length=10)] = {}
    query: Annotated[dict[str, str], Meta(max_length=50)] = {}
    body: msgspec.Raw = msgspec.Raw(b"null")
    correlation_id: Line = ""
    timestamp: float = 0.0
    schema: int = HOUSE_SCHEMA


class HouseDone(Struct, frozen=True, kw_only=True):
    """What came of a command: the API's ``status`` and JSON, or from 400 on its problem."""

    ask: Id
    gateway: Name
    status: Annotated[int, Meta(ge=200, le=599)]
    body: msgspec.Raw = msgspec.Raw(b"null")
    schema: int = HOUSE_SCHEMA


class _Numbered(Struct, frozen=True):
    """As much of an event as every version has."""

    epoch: str = ""
    seq: Sequence = 0


_batch_decoder = msgspec.json.Decoder(EventBatch)
_gateway_decoder = msgspec.json.Decoder(GatewayPresence)
_ask_decoder = msgspec.json.Decoder(HouseAsk)
_told_decoder = msgspec.json.Decoder(HouseTold)
_command_decoder = msgspec.json.Decoder(HouseCommand)
_done_decoder = msgspec.json.Decoder(HouseDone)
_number_decoder = msgspec.json.Decoder(_Numbered)
_event_decoder: msgspec.json.Decoder[HubEvent | ErasureEvent] = msgspec.json.Decoder(HubEvent | ErasureEvent)


def decode_batch(payload: bytes) -> EventBatch:
    """Raises BadMessage with the place of the mistake; the events in it are not looked at."""
    return decoded(_batch_decoder.decode, payload, "a batch of events")


def decode_gateway(payload: bytes) -> GatewayPresence:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_gateway_decoder.decode, payload, "a gateway's presence")


def decode_ask(payload: bytes) -> HouseAsk:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_ask_decoder.decode, payload, "a hub's ask")


def decode_told(payload: bytes) -> HouseTold:
    """Raises BadMessage with the place of the mistake; the events in it are not looked at."""
    return decoded(_told_decoder.decode, payload, "what a hub tells")


def decode_command(payload: bytes) -> HouseCommand:
    """Raises BadMessage with the place of the mistake; its body is not looked at."""
    return decoded(_command_decoder.decode, payload, "a command")


def decode_done(payload: bytes) -> HouseDone:
    """Raises BadMessage with the place of the mistake; its body is not looked at."""
    return decoded(_done_decoder.decode, payload, "what came of a command")


def decode_shown(raw: msgspec.Raw) -> tuple[HubEvent | ErasureEvent, bytes]:
    """An event of another gateway, and its JSON as listeners may have it. Raises BadMessage."""
    data = bytes(raw)
    try:
        event = _event_decoder.decode(data)
        data.decode()
    except UNREADABLE as error:
        raise BadMessage(f"not an event: {error}") from error
    if b"\n" in data or b"\r" in data:  # they would end a line of an event stream
        raise BadMessage("not an event: it has line breaks")
    if not 0 <= event.timestamp < LATEST:
        raise BadMessage("not an event: its timestamp is none")
    return event, data


def number_of(epoch: str, raw: msgspec.Raw) -> int:
    """The ``seq`` of an event of that epoch of which nothing else can be read here; 0: not even that can."""
    try:
        one = _number_decoder.decode(raw)
    except UNREADABLE:
        return 0
    return one.seq if one.epoch == epoch else 0
