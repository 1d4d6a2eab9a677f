"""Which devices there are: here, away, refused, or only visiting; and what of that is a matter of the gateway's health.

A device that was here stays known until it is forgotten. A port that was found by a pattern and is gone matters only
as long as a device is missed with it. Pages and programs that speak (``web-...``) are visitors: once they have left,
they are nobody that is away. No I/O.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from firmware_bridge.link.events import DeviceConnected, DeviceDisconnected, HelloRefused, LinkChanged
from firmware_bridge.link.frames import FaultCode
from firmware_bridge.link.wires import MQTT, WEB
from firmware_bridge.settings import DeviceSettings
from gateway.access.principals import WEB_DEVICE
from gateway.observing.health import Health, HealthState
from gateway.pipeline.telling.announcer import Announcer

KEPT_DEVICES = 1_024
"""Devices that are known beside those that are here; those that are away for longest go first."""
KEPT_REFUSALS = 64
REFUSAL_SECONDS = 30.0
"""A refused device says HELLO again every 10 s: one that is silent for so long has given up, or was let in."""
TOLD_REFUSALS = 3
REFUSED = "devices"
"""The component that tells of devices that are refused; there is none as long as nobody is."""

_REMEDIES = {
    FaultCode.DUPLICATE_ID: "give one of the two devices another id",
    FaultCode.BAD_ID: "give it an id of 1 to 64 of A-Z a-z 0-9 _ -, single dots between, the same in its topic",
    FaultCode.REFUSED: "raise devices.max_devices, or forget devices that are gone (earshot devices forget)",
    FaultCode.UNSUPPORTED_VERSION: "bring its firmware and the gateway to the same version of the protocol",
}
_OTHER_REMEDY = "correct the HELLO of its firmware (docs/protocol.md, 3.3)"
_WEB_REMEDY = (
    "give it the id that its token allows, or a token for its id (earshot token create --role device)"
)


@dataclass(frozen=True, slots=True)
class Presence:
    """A device, as it said HELLO last; ``gone`` says why it is away (None: it is here). ``since`` is Unix time."""

    hello: DeviceConnected
    since: float
    gone: DeviceDisconnected | None = None


@dataclass(slots=True)
class Refusal:
    """A HELLO that was refused, and is said again and again. Unix times, and ``heard`` of the clock."""

    event: HelloRefused
    since: float
    heard: float
    times: int = field(default=1)


class Roster:
    """To be told what the links report, in order."""

    def __init__(
        self, health: Health, announcer: Announcer, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` counts seconds."""
        self._health = health
        self._announce = announcer
        self._clock = clock
        self._devices: OrderedDict[str, Presence] = OrderedDict()
        self._links: dict[str, LinkChanged] = {}
        self._refusals: OrderedDict[tuple[str, str, int], Refusal] = OrderedDict()

    # -- what there is

    def devices(self) -> tuple[Presence, ...]:
        """All that are here or away; those that changed last are last."""
        return tuple(self._devices.values())

    def device(self, device_id: str) -> Presence | None:
        """One that is here or away."""
        return self._devices.get(device_id)

    def refusals(self) -> tuple[Refusal, ...]:
        """Who says HELLO in vain just now."""
        return tuple(self._refusals.values())

    def knows(self, device_id: str) -> bool:
        """Whether it is here, or was and is not forgotten."""
        return device_id in self._devices

    # -- what the links report

    def connected(self, event: DeviceConnected) -> None:
        """A device is there; where it was before, nobody misses it any more."""
        before = self._devices.pop(event.device_id, None)
        self._devices[event.device_id] = Presence(event, time.time())
        for key in [key for key in self._refusals if key[1] == event.device_id or key[0] == _own(event.link)]:
            del self._refusals[key]
        self._tell_refusals()
        self._announce.connected(event)
        if before is not None and before.hello.link != event.link:
            self._leave(before.hello.link)
        line = self._links.get(event.link)
        if line is not None and line.up and line.reason:
            self.link_changed(line)  # a device comes through, in spite of it
        self._make_room()

    def disconnected(self, event: DeviceDisconnected) -> None:
        """It is gone, perhaps only for now; a visitor is gone for good, and so is who is at another gateway."""
        known = self._devices.pop(event.device_id, None)
        if known is None:
            return
        if event.moved_to:
            self._leave(known.hello.link)
        elif not event.device_id.startswith(WEB_DEVICE):
            self._devices[event.device_id] = Presence(known.hello, time.time(), event)
        self._announce.disconnected(event, known.hello)

    def link_changed(self, event: LinkChanged) -> None:
        """A carrier came, went, or works badly."""
        self._links[event.link] = event
        if event.up and event.reason:
            works = any(one.gone is None and one.hello.link == event.link for one in self._devices.values())
            self._health.set(event.link, HealthState.DEGRADED, event.reason, event.remedy, works=works)
        elif event.up:
            self._health.set(event.link, HealthState.HEALTHY)
        elif event.passing and not self._missed(event.link):
            self._drop(event.link)
        else:
            self._tell_down(event)

    def refused(self, event: HelloRefused) -> None:
        """Somebody said HELLO and was not taken on."""
        key = (event.link, event.device_id, event.code)
        refusal = self._refusals.get(key)
        if refusal is None:
            self._refusals[key] = Refusal(event, time.time(), self._clock())
            if len(self._refusals) > KEPT_REFUSALS:
                self._refusals.popitem(last=False)
        else:
            refusal.event, refusal.heard = event, self._clock()
            refusal.times += 1
        self._tell_refusals()

    def readmitted(self, why_not: Callable[[str], str]) -> None:
        """Who may come in has changed: whoever was turned away for another reason than now is heard anew."""
        told = {key: one.event for key, one in self._refusals.items() if one.event.remedy}
        self._drop_refusals(key for key, one in told.items() if one.reason != why_not(one.device_id))

    def tick(self) -> None:
        """Let go of refusals that are not heard any more."""
        now = self._clock()
        self._drop_refusals(key for key, one in self._refusals.items() if now - one.heard > REFUSAL_SECONDS)

    def _drop_refusals(self, which: Iterable[tuple[str, str, int]]) -> None:
        over = list(which)
        for key in over:
            del self._refusals[key]
        if over:
            self._tell_refusals()

    # -- what people want

    def forget(self, device_id: str) -> bool:
        """Nobody misses a device that is away any more; False when it is here, or nobody knows it."""
        known = self._devices.get(device_id)
        if known is None or known.gone is None:
            return False
        del self._devices[device_id]
        self._announce.forgotten(device_id)
        self._leave(known.hello.link)
        return True

    def reconfigure(self, devices: DeviceSettings) -> None:
        """Devices may be somebody else's, and in other rooms: who watches is told of each that is."""
        before = {device_id: self._announce.place(device_id) for device_id in self._devices}
        self._announce.reconfigure(devices)
        for device_id, (user, room) in before.items():
            if self._announce.place(device_id) == (user, room):
                continue
            known = self._devices[device_id]
            if self._announce.user(device_id) != user:
                self._announce.forgotten(device_id, user)  # for those who may see only that user's
            if known.gone is None:
                self._announce.connected(replace(known.hello, lost_frames=0))
            else:
                self._announce.disconnected(known.gone, known.hello)

    # -- health

    def _missed(self, link: str) -> list[str]:
        """The devices that were on it last, and are nowhere else."""
        return [
            name for name, one in self._devices.items() if one.gone is not None and one.hello.link == link
        ]

    def _leave(self, link: str) -> None:
        """One device less is missed there."""
        change = self._links.get(link)
        if change is None or change.up or not _own(link):
            return
        if self._missed(link):
            self._tell_down(change)
        else:
            self._drop(link)

    def _drop(self, link: str) -> None:
        del self._links[link]
        self._health.forget(link)

    def _tell_down(self, change: LinkChanged) -> None:
        missed = self._missed(change.link)
        about = missed[0] if len(missed) == 1 and _own(change.link) else ""
        remedy = f"{change.remedy}; or forget it: earshot devices forget {about}" if about else change.remedy
        self._health.set(change.link, HealthState.DEGRADED, change.reason, remedy, works=False, about=about)

    def _tell_refusals(self) -> None:
        told = [one.event for one in list(self._refusals.values())[-TOLD_REFUSALS:]]
        if not told:
            self._health.forget(REFUSED)
            return
        more = len(self._refusals) - len(told)
        reasons = [f"{one.device_id or 'a device'} on {one.link} is refused: {one.reason}" for one in told]
        self._health.set(
            REFUSED,
            HealthState.DEGRADED,
            "; ".join(reasons) + (f"; and {more} more" if more else ""),
            "; ".join(dict.fromkeys(_remedy(one) for one in told)),
        )

    def _make_room(self) -> None:
        away = [name for name, one in self._devices.items() if one.gone is not None]
        for name in away[: max(0, len(away) - KEPT_DEVICES)]:
            self.forget(name)


def _own(link: str) -> str:
    """A line that has one device only, and so one refusal less once somebody is welcome on it; "" for others."""
    return "" if link in (MQTT, WEB) else link


def _remedy(event: HelloRefused) -> str:
    if event.remedy:
        return event.remedy
    if event.link == WEB and event.code == FaultCode.REFUSED:
        return _WEB_REMEDY
    return next((remedy for code, remedy in _REMEDIES.items() if code == event.code), _OTHER_REMEDY)
