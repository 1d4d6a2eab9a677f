"""All devices as Home Assistant is to see them, kept up with the gateway's events. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.access.principals import WEB_DEVICE
from gateway.adapters.home_assistant.discovery import DeviceFacts, Discovery
from gateway.adapters.home_assistant.states import ShownDevice, ShownGateway
from gateway.adapters.home_assistant.topics import GATEWAY, thing
from gateway.contract.events import (
    FORGOTTEN,
    DeviceEvent,
    HealthEvent,
    HubEvent,
    ReplyEvent,
    SnapshotEvent,
    TranscriptionEvent,
)

ONLINE, OFFLINE = b"online", b"offline"
_BADNESS = ("healthy", "degraded", "unhealthy")


class ShownHouse:
    """The devices, by their parts of topics, and the gateway. ``changed`` hears of whom there is something to tell."""

    def __init__(
        self, origin: Discovery, facts: Callable[[str], DeviceFacts | None], changed: Callable[[str], None]
    ) -> None:
        """``facts``: what is known of a device; None: nobody knows it any more."""
        self._origin = origin
        self._facts = facts
        self._changed = changed
        self._devices: dict[str, tuple[str, ShownDevice]] = {}
        self._health: dict[str, HealthEvent] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, here: object) -> bool:
        return here in self._devices

    def device_id(self, here: str) -> str:
        """Whose part of a topic that is; empty: nobody's."""
        return self._devices[here][0] if here in self._devices else ""

    # -- what happens

    def begin(self, devices: Iterable[tuple[str, bool]], snapshot: SnapshotEvent) -> None:
        """How all stands: which devices there are, each with whether it is here, and what was said lately."""
        there_are = dict(devices)
        for here, (device_id, _) in list(self._devices.items()):
            if device_id not in there_are:
                self._forget(here)
        for device_id, is_here in there_are.items():
            if not device_id.startswith(WEB_DEVICE):
                self._meet(device_id).begin(is_here=is_here)
        for event in snapshot.sessions:
            if known := self._state(event.device_id):
                known.take(event)
        self._health = {event.component: event for event in snapshot.health}
        self.recall(snapshot)

    def recall(self, snapshot: SnapshotEvent) -> None:
        """What was said lately, and nothing that was erased since."""
        for _, known in self._devices.values():
            known.forget_words()
        for event in snapshot.conversation:
            about = self._state(event.device_id)
            if about is not None and isinstance(event, TranscriptionEvent | ReplyEvent):
                about.recall(event)
        for here in (GATEWAY, *self._devices):
            self._changed(here)

    def take(self, event: HubEvent) -> tuple[str, dict[str, Any]] | None:
        """Note it; to whom something happened, and what, for who waits for such things to happen."""
        if isinstance(event, HealthEvent):
            self._note_health(event)
            return None
        if isinstance(event, DeviceEvent) and event.notice == "" and not self._goes_on(event):
            return None
        here = thing(event.device_id)
        if here not in self._devices:
            return None
        _, state = self._devices[here]
        happened = state.take(event)
        self._changed(here)
        return (here, happened) if happened else None

    # -- what is told

    def telling(self, here: str) -> Iterator[tuple[str, bytes, bool]]:
        """What there is to tell of somebody: topic, payload, and whether the broker keeps it."""
        topics = self._origin.topics
        if here == GATEWAY:
            yield topics.config(GATEWAY), self._origin.gateway(), True
            yield topics.gateway_available, ONLINE, True
            yield topics.gateway_state, self._gateway().state(), True
        elif here in self._devices:
            device_id, state = self._devices[here]
            yield (
                topics.config(here),
                self._origin.device(self._facts(device_id) or DeviceFacts(device_id=device_id)),
                True,
            )
            yield topics.available(here), ONLINE if state.is_here else OFFLINE, True
            yield topics.state(here), state.state(), True
            yield topics.words(here), state.words(), False
        else:
            yield from self.nothing(here)

    def nothing(self, here: str) -> Iterator[tuple[str, bytes, bool]]:
        """What takes somebody away."""
        topics = self._origin.topics
        for topic in (topics.config(here), topics.available(here), topics.state(here)):
            yield topic, b"", True

    # -- within

    def _goes_on(self, event: DeviceEvent) -> bool:
        """Whether there is such a device (still, or from now on)."""
        if event.device_id.startswith(WEB_DEVICE):
            return False
        if event.state == FORGOTTEN and self._facts(event.device_id) is None:
            self._forget(thing(event.device_id))
            return False
        self._meet(event.device_id)
        self._changed(GATEWAY)  # which counts them
        return event.state != FORGOTTEN

    def _meet(self, device_id: str) -> ShownDevice:
        here = thing(device_id)
        if here not in self._devices:
            self._devices[here] = device_id, ShownDevice()
        return self._devices[here][1]

    def _forget(self, here: str) -> None:
        if self._devices.pop(here, None) is not None:
            self._changed(here)
            self._changed(GATEWAY)

    def _state(self, device_id: str) -> ShownDevice | None:
        found = self._devices.get(thing(device_id))
        return found[1] if found else None

    def _note_health(self, event: HealthEvent) -> None:
        if event.state == FORGOTTEN:
            self._health.pop(event.component, None)
        else:
            self._health[event.component] = event
        self._changed(GATEWAY)

    def _gateway(self) -> ShownGateway:
        states = [event.state for event in self._health.values()]
        worst = max(
            states, key=lambda state: _BADNESS.index(state) if state in _BADNESS else 0, default="unhealthy"
        )
        here = sum(state.is_here for _, state in self._devices.values())
        wrong = {name: event.reason for name, event in self._health.items() if event.state != "healthy"}
        return ShownGateway(worst, here, wrong)
