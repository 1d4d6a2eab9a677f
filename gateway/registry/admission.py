"""Who may come in, as the running gateway knows it: by the settings and by the registry's file, which it watches.

What stands in ``config.yaml`` is written by hand and wins; what was approved, named or given a key while the gateway
runs fills in what it does not say. Only that somebody is denied or revoked, no setting overrules.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.link.admission import TurnedAway
from firmware_bridge.link.frames import Hello
from firmware_bridge.settings import DeviceSettings
from gateway.access.principals import WEB_DEVICE
from gateway.access.private_files import Stamp
from gateway.observing.health import Health, HealthState
from gateway.registry.file import Registered, RegistryFile
from gateway.registry.in_effect import in_effect
from gateway.registry.records import RegisteredDevice, RegistryUnreadable, Standing

LOOK_SECONDS = 0.3
"""How often the file is looked at."""
KEPT_WAITING = 64
"""Devices that await approval; of more, those unheard of for longest are forgotten."""
WAITING_SECONDS = 600.0
"""Who awaits approval says HELLO every 10 s: one that is silent for so long is gone."""
COMPONENT = "device registry"
_UNREAD: Stamp = (0, 0, 0)
_UNREADABLE = TurnedAway(
    "the gateway cannot read its register of devices", "restore devices.json beside the journal, or remove it"
)


@dataclass(slots=True)
class Applicant:
    """A device that awaits approval. ``since`` and ``seen``: first and last HELLO, Unix time."""

    device_id: str
    link: str
    firmware: str
    since: float
    seen: float
    times: int = 1


class Register:
    """The devices of the house. Everything but reading the file happens on the event loop."""

    def __init__(
        self,
        folder: Path,
        settings: DeviceSettings,
        health: Health,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``on_change``: who may come in, or what devices are called, is not what it was."""
        self.file = RegistryFile(folder, clock)
        self.settings = in_effect(settings, {})
        """In effect: those of the configuration with what was registered (see :func:`in_effect`)."""
        self._by_hand = settings
        self._health = health
        self._on_change = on_change
        self._clock = clock
        self._devices: Registered = {}
        self._keys: dict[str, bytes] = {}
        self._stamp: Stamp = _UNREAD
        self._is_read = False
        self._looking = asyncio.Lock()
        self._waiting: OrderedDict[str, Applicant] = OrderedDict()

    # -- what the links ask (Admission)

    def objection(self, device_id: str) -> TurnedAway | None:
        """Why no device of this id is let in; pages and programs have tokens."""
        if device_id.startswith(WEB_DEVICE):
            return None
        if not self._is_read:
            return _UNREADABLE
        device = self._devices.get(device_id)
        if device is not None:
            return None if device.is_welcome else _cut_off(device)
        if self._by_hand.unknown == "open" or device_id in self.settings.known:
            return None
        awaits = self._by_hand.unknown == "approve"
        remedy = "approve it on the page (Health), or with earshot devices approve"
        remedy = remedy if awaits else "earshot devices approve lets it in, or devices.known"
        return TurnedAway(f"{device_id} {'awaits approval' if awaits else 'is not known here'}", remedy)

    def why_not(self, device_id: str) -> str:
        """The same as a text, empty where it is let in."""
        objection = self.objection(device_id)
        return "" if objection is None else objection.reason

    def key(self, device_id: str) -> bytes | None:
        """What a device of this id proves that it has."""
        return self._keys.get(device_id)

    def turned_away(self, hello: Hello, carrier: str) -> None:
        """If it can be approved, it is listed."""
        if not self._awaits(hello.device_id):
            return
        now = self._clock()
        one = self._waiting.pop(hello.device_id, None)
        if one is None:
            one = Applicant(hello.device_id, carrier, hello.firmware, now, now, 0)
        one.link, one.firmware, one.seen, one.times = carrier, hello.firmware, now, one.times + 1
        self._waiting[hello.device_id] = one
        if len(self._waiting) > KEPT_WAITING:
            self._waiting.popitem(last=False)

    # -- what people ask

    def registered(self) -> Registered:
        """What was approved, denied, named or given a key, by device."""
        return self._devices

    def waiting(self) -> tuple[Applicant, ...]:
        """Who awaits approval; the one heard last is the last."""
        now = self._clock()
        return tuple(
            one
            for one in self._waiting.values()
            if now - one.seen < WAITING_SECONDS and self._awaits(one.device_id)
        )

    # -- what changes while it runs

    def reconfigure(self, settings: DeviceSettings) -> None:
        """What is written by hand is this now. Its caller tells everybody."""
        self._by_hand = settings
        self.settings = in_effect(settings, self._devices)

    async def watch(self) -> None:
        """Look at the file again and again."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """What lies on the disk is what we know. A file that cannot be read changes nothing of what was known."""
        if self.file.stamp() == self._stamp:
            return
        async with self._looking:
            if (stamp := self.file.stamp()) == self._stamp:
                return
            try:
                devices = await asyncio.to_thread(self.file.read)
            except RegistryUnreadable as error:
                self._stamp = _UNREAD  # it is tried again, for it may be for want of a descriptor
                self._health.set(COMPONENT, HealthState.DEGRADED, str(error), _UNREADABLE.remedy)
                return
            self._stamp = stamp
            self._health.forget(COMPONENT)
            self._take(devices)

    def _take(self, devices: Registered) -> None:
        if self._is_read and devices == self._devices:
            return
        self._is_read = True
        self._devices = devices
        self._keys = {name: bytes.fromhex(device.key) for name, device in devices.items() if device.key}
        self.settings = in_effect(self._by_hand, devices)
        self._on_change()

    def _awaits(self, device_id: str) -> bool:
        return (
            self._is_read
            and self._by_hand.unknown == "approve"
            and self.objection(device_id) is not None
            and (device_id not in self._devices)
        )


def _cut_off(device: RegisteredDevice) -> TurnedAway:
    what = "was denied" if device.standing is Standing.DENIED else "was revoked"
    return TurnedAway(f"{device.device_id} {what}", "earshot devices approve lets it in again")
