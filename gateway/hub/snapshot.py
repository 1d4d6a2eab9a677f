"""What a listener sees: its wishes as a predicate, and how things stand as one event.

Both are plain functions of the events so far; no I/O, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from msgspec import structs

from gateway.access.principals import LOCAL, WEB_DEVICE, Principal
from gateway.contract import events
from gateway.contract.events import (
    CursorEvent,
    DeliveryEvent,
    DeviceEvent,
    HealthEvent,
    HubEvent,
    HubEventBase,
    ReplyEvent,
    SnapshotEvent,
    StatusEvent,
    Subscribe,
    TranscriptionEvent,
)

KEPT_NAMES = 1_024
"""Devices, open sessions and components in a picture, of each so many; those unheard of longest go first."""
KEPT_CONVERSATION = 150
"""Transcripts, replies and deliveries in a picture: some fifty turns."""
KEPT_REPLY_CHARACTERS = 16_384
"""How much of a reply that is still streaming a picture holds."""

_Talk: TypeAlias = TranscriptionEvent | ReplyEvent | DeliveryEvent
_Key = TypeVar("_Key")
_Event = TypeVar("_Event", bound=HubEvent)


class Reach(NamedTuple):
    """Whose events alone can pass: those of any of these users, and of any of these devices, a page's own with it."""

    users: frozenset[str]
    devices: frozenset[str]


class Filter:
    """Whether a listener asked for an event (the rule is :class:`Subscribe`'s) and may see it. Compared by value."""

    def __init__(self, subscribe: Subscribe, principal: Principal = LOCAL) -> None:
        self._kinds = frozenset(subscribe.kinds)
        self._levels = subscribe.levels
        lists = (
            ("session_id", subscribe.sessions),
            ("device_id", subscribe.devices),
            ("user_id", subscribe.users),
        )
        self._sees = principal.sees if principal.users or principal.devices else None
        self._fields = tuple((field, frozenset(values)) for field, values in lists if values)
        self._keeps_cursors = subscribe.cursors is not None
        scope = (principal.users, principal.devices, principal.own_device) if self._sees else None
        self.reach = _reach(subscribe, principal)
        """Of events that are anybody's; None: everybody's can pass."""
        self._key = (self._kinds, self._levels, self._fields, scope, self._keeps_cursors)

    @property
    def wants_partials(self) -> bool:
        """Whether partials pass, of some device."""
        return not self._kinds or "partial" in self._kinds

    @property
    def wants_levels(self) -> bool:
        """Whether levels pass, of some device."""
        return self._levels and (not self._kinds or "device" in self._kinds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __call__(self, event: HubEventBase) -> bool:
        """True when ``event`` passes every list, and is within the principal's scope."""
        if isinstance(event, CursorEvent):
            return self._keeps_cursors
        if self._kinds and event.__struct_config__.tag not in self._kinds:
            return False
        if isinstance(event, DeviceEvent) and event.notice == "level" and not self._levels:
            return False
        if not all(getattr(event, field, None) in values for field, values in self._fields):
            return False
        return self._sees is None or self._sees(
            user_id=getattr(event, "user_id", None),
            device_id=getattr(event, "device_id", None) or getattr(event, "about", None) or None,
        )


def _reach(subscribe: Subscribe, principal: Principal) -> Reach | None:
    if principal.is_scoped:
        others = frozenset() if principal.users else principal.devices
        return Reach(principal.users, others | {principal.own_device})
    if subscribe.users:
        return Reach(frozenset(subscribe.users), frozenset())
    return Reach(frozenset(), frozenset(subscribe.devices)) if subscribe.devices else None


EVERYTHING = Filter(Subscribe())


class Picture:
    """The house after every event so far, in bounded memory."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, DeviceEvent] = OrderedDict()
        self._sessions: OrderedDict[str, StatusEvent] = OrderedDict()
        self._health: OrderedDict[tuple[str, str], HealthEvent] = OrderedDict()
        self._talk: OrderedDict[tuple[str, ...], _Talk] = OrderedDict()

    def apply(self, event: HubEvent) -> None:
        """Paint ``event`` in. Partials and what a device reported are not part of the picture."""
        match event:
            case DeviceEvent(notice="") if _has_left(event):
                self._devices.pop(event.device_id, None)
            case DeviceEvent(notice=""):
                _keep(self._devices, event.device_id, event, KEPT_NAMES)
            case StatusEvent(status="idle"):
                self._sessions.pop(event.session_id, None)
            case StatusEvent():
                _keep(self._sessions, event.session_id, event, KEPT_NAMES)
            case HealthEvent(state=events.FORGOTTEN):
                self._health.pop((event.gateway, event.component), None)
            case HealthEvent():
                _keep(self._health, (event.gateway, event.component), event, KEPT_NAMES)
            case ReplyEvent():
                self._reply(event)
            case TranscriptionEvent():
                _keep(self._talk, ("text", event.utterance_id), event, KEPT_CONVERSATION)
            case DeliveryEvent():
                _keep(self._talk, ("delivery", event.correlation_id), event, KEPT_CONVERSATION)
            case _:
                pass

    def forget(self, is_gone: Callable[[HubEvent], bool]) -> None:
        """Leave these out of what was said and answered."""
        for key in [key for key, event in self._talk.items() if is_gone(event)]:
            del self._talk[key]

    def snapshot(
        self, wanted: Filter, epoch: str, seq: int, cursors: dict[str, int] | None = None
    ) -> SnapshotEvent:
        """The picture as it stands, as far as a listener wants it. ``cursors``, where there are several gateways."""
        talk = list(self._talk.values())
        if cursors:  # what each said came in its order, and what all said as it was heard of
            talk.sort(key=lambda event: event.timestamp)
        return SnapshotEvent(
            epoch=epoch,
            seq=seq,
            devices=tuple(filter(wanted, self._devices.values())),
            sessions=tuple(filter(wanted, self._sessions.values())),
            conversation=tuple(filter(wanted, talk)),
            health=tuple(filter(wanted, self._health.values())),
            cursors=cursors or {},
        )

    def _reply(self, event: ReplyEvent) -> None:
        """The pieces of a reply become one event, which the final one replaces."""
        key = ("reply", event.correlation_id, event.agent, str(event.late))
        said = self._talk.get(key)
        if event.final and not event.late:
            self._end_others(event)
        if isinstance(said, ReplyEvent) and not event.final and not event.interim:
            event = structs.replace(event, text=(said.text + event.text)[:KEPT_REPLY_CHARACTERS])
        _keep(self._talk, key, event, KEPT_CONVERSATION)

    def _end_others(self, event: ReplyEvent) -> None:
        """What others have said before is not the reply."""
        for key, one in list(self._talk.items()):
            if key[:2] == ("reply", event.correlation_id) and isinstance(one, ReplyEvent) and not one.final:
                del self._talk[key]


def _has_left(event: DeviceEvent) -> bool:
    """Whether it is nobody that is away: forgotten, or a visitor."""
    visitor = event.device_id.startswith(WEB_DEVICE)
    return event.state == events.FORGOTTEN or (visitor and event.state != "connected")


def _keep(table: OrderedDict[_Key, _Event], key: _Key, event: _Event, bound: int) -> None:
    table[key] = event
    table.move_to_end(key)
    if len(table) > bound:
        table.popitem(last=False)
