"""What a hub itself says of gateways that it does not hear any more: their devices are away, until they are back.

Such words go by an epoch of the hub's own: no other hub hears them, and each says it of what it hears itself.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import structs

from gateway.contract.events import FORGOTTEN, HUB_EPOCH, DeviceEvent, HealthEvent, HubEvent, HubEventBase
from gateway.contract.messages import new_id
from gateway.hub.fanout import Serialized
from gateway.hub.hub import Hub
from gateway.hub.snapshot import KEPT_NAMES

COMPONENT = "gateway"
REMEDY = "start it again, or look at the network between it and the broker"


class Statements:
    """Of one hub: who has which device, and what is said in place of a gateway that is not there."""

    def __init__(self, hub: Hub) -> None:
        self.epoch = new_id(HUB_EPOCH.rstrip("_"))
        self._hub = hub
        self._seq = 0
        self._devices: OrderedDict[str, DeviceEvent] = OrderedDict()
        """The last word of each device, by whichever gateway."""
        self._parts: OrderedDict[tuple[str, str], HealthEvent] = OrderedDict()
        self._gone: dict[str, str] = {}
        self._here: set[str] = set()

    def is_so(self, event: HubEventBase) -> bool:
        """Whether an event counts: that a device has left one gateway does not while it is at another."""
        if event.epoch == self.epoch:
            return True
        if isinstance(event, HealthEvent) and event.gateway:
            self._keep(self._parts, (event.epoch, event.component), event)
        if not isinstance(event, DeviceEvent) or event.notice:
            return True
        before = self._devices.get(event.device_id)
        elsewhere = before is not None and before.epoch != event.epoch and before.epoch not in self._gone
        if before is not None and elsewhere and before.state == "connected" and event.state != "connected":
            return False
        self._keep(self._devices, event.device_id, event)
        return True

    def at(self, device_id: str) -> str:
        """The epoch of the gateway that has a device, or had it last; empty: none."""
        event = self._devices.get(device_id)
        return "" if event is None else event.epoch

    def went(self, gateway: str, epoch: str, why: str, *, replaced: bool = False) -> None:
        """A gateway is not there any more. ``replaced``: another run of it is."""
        if epoch in self._gone:
            return
        self._gone[epoch] = gateway
        self._here.discard(epoch)
        if len(self._gone) > KEPT_NAMES:
            del self._gone[next(iter(self._gone))]
        for event in list(self._devices.values()):
            if event.epoch == epoch and event.state == "connected":
                reason = f"the gateway {gateway} is not there: {why}"
                self.say(structs.replace(event, state="disconnected", reason=reason))
        for session in self._hub.standing().sessions:
            if session.epoch == epoch:
                self.say(structs.replace(session, status="idle", detail=""))
        there = {
            (part.gateway, name) for (whose, name), part in self._parts.items() if whose not in self._gone
        }
        for part in self._of(epoch):
            if (part.gateway, part.component) not in there:
                self.say(structs.replace(part, state=FORGOTTEN))
        if replaced:
            return
        self.say(
            HealthEvent(
                component=COMPONENT,
                gateway=gateway,
                state="unhealthy",
                reason=why,
                remedy=REMEDY,
                works=False,
                rank=4,
            )
        )

    def here(self, gateway: str, epoch: str) -> None:
        """It is there; perhaps again, and then its devices are as they were."""
        if epoch in self._here:
            return
        self._here.add(epoch)
        if self._gone.pop(epoch, None) is not None:
            for event in list(self._devices.values()):
                if event.epoch == epoch:
                    self.say(event)
            for part in self._of(epoch):
                self.say(part)
        self.say(HealthEvent(component=COMPONENT, gateway=gateway, state="healthy", rank=4))

    def forget(self, gateway: str) -> None:
        """Nobody misses it any more."""
        self.say(HealthEvent(component=COMPONENT, gateway=gateway, state=FORGOTTEN))

    def say(self, event: HubEvent) -> None:
        """To the listeners of this hub."""
        self._seq += 1
        self._hub.show(Serialized(structs.replace(event, epoch=self.epoch, seq=self._seq)))

    def restated(self, event: HubEvent) -> Serialized:
        """The same once more, for one listener: no number is used up."""
        return Serialized(structs.replace(event, epoch=self.epoch, seq=self._seq))

    def _of(self, epoch: str) -> list[HealthEvent]:
        return [event for (whose, _), event in self._parts.items() if whose == epoch]

    @staticmethod
    def _keep(table: OrderedDict, key: object, event: HubEvent) -> None:  # type: ignore[type-arg]
        table[key] = event
        table.move_to_end(key)
        if len(table) > KEPT_NAMES:
            table.popitem(last=False)
