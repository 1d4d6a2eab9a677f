"""Hubs and gateways of one house in this process, over one memory broker: all real but for devices and speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import structs

from gateway.broker.base import MessageBroker
from gateway.contract.events import HubEvent, ReplyEvent, SnapshotEvent, Subscribe, TranscriptionEvent
from gateway.contract.house import GatewayPresence
from gateway.contract.messages import new_id
from gateway.house.presence import HousePresence
from gateway.house.sharing import Sharing
from gateway.hub.fanout import Serialized
from gateway.hub.hub import Hub, ListenerQueue
from gateway.process.ending import until_done
from gateway.process.mishaps import Mishaps
from gateway.settings.web import WebSettings
from tests.record import passes

SETTINGS = WebSettings(history_events=500, outbox_messages=4_000)


class Box:
    """A gateway, or (``is_hub``) a hub, as far as the house sees it."""

    def __init__(
        self,
        name: str,
        broker: MessageBroker,
        *,
        is_hub: bool = False,
        settings: WebSettings = SETTINGS,
        redact: bool = False,
    ) -> None:
        self.name = name
        self.broker = broker
        self.mishaps = Mishaps()
        self.hub = Hub(settings, epoch=new_id("h") if is_hub else "", mishaps=self.mishaps, redact=redact)
        self.sharing = Sharing(name, self.hub)
        role = "hub" if is_hub else "gateway"
        facts = GatewayPresence(gateway=name, instance=new_id("i"), role=role)
        self.presence = HousePresence(broker, lambda: self.sharing.told(facts))
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """As a process that begins."""
        self._tasks.append(asyncio.create_task(self.presence.run()))
        for name, work in self.sharing.work(self.broker, self.presence):
            self._tasks.append(asyncio.ensure_future(work()))  # type: ignore[arg-type]
            self._tasks[-1].set_name(f"{self.name}: {name}")

    async def kill(self) -> None:
        """As a process that dies: no goodbye."""
        for task in self._tasks:
            task.cancel()
        await until_done(self._tasks)
        self._tasks.clear()
        self.hub.close()

    async def stop(self) -> None:
        """As a process that is stopped."""
        await self.sharing.drain()
        await self.kill()

    @property
    def is_ready(self) -> bool:
        """Whether it knows what there is."""
        return self.sharing.told(GatewayPresence(gateway=self.name)).ready

    def say(self, *events: HubEvent) -> None:
        """Its devices do something."""
        for event in events:
            self.hub.publish(event)

    def snapshot(self) -> SnapshotEvent:
        """What its page shows at first."""
        return self.hub.standing()

    def states(self) -> dict[str, str]:
        """Of all devices, as its page shows them."""
        return {event.device_id: event.state for event in self.snapshot().devices}


@asynccontextmanager
async def house(broker: MessageBroker, *names: str) -> AsyncIterator[list[Box]]:
    """Boxes that know of each other; a name that begins with ``hub`` is one."""
    boxes = [Box(name, broker, is_hub=name.startswith("hub")) for name in names]
    for box in boxes:
        box.start()
    try:
        await passes(lambda: all(know_each_other(box, len(boxes)) for box in boxes))
        yield boxes
    finally:
        for box in boxes:
            await box.kill()
        assert all(not box.mishaps.counts for box in boxes)


def know_each_other(box: Box, count: int) -> bool:
    """Whether a box has heard of all others, and is ready."""
    return box.is_ready and len(box.presence.neighbours.here()) >= count - 1


class Ear:
    """A listener that keeps cursors, as pages do, and goes from hub to hub."""

    def __init__(self, wanted: Subscribe | None = None) -> None:
        self.cursors: dict[str, int] = {}
        self.events: list[HubEvent] = []
        self.snapshots = 0
        self.wanted = wanted or Subscribe()
        self._queue: ListenerQueue | None = None
        self._reading: asyncio.Task[None] | None = None

    async def listen(self, box: Box) -> None:
        """At this hub, from where it is."""
        subscribe = structs.replace(self.wanted, cursors=self.cursors)
        await box.hub.catch_up(subscribe)
        queue = self._queue = box.hub.attach(subscribe)
        self._reading = asyncio.create_task(self._read(queue))

    async def leave(self) -> None:
        """Its connection ends; what it had not read it has not had."""
        assert self._reading is not None
        assert self._queue is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        with self._queue:
            pass

    async def move(self, box: Box) -> None:
        """To another hub."""
        await self.leave()
        await self.listen(box)

    @property
    def finals(self) -> list[str]:
        """What it heard that has an end, in order, as texts."""
        return [
            event.text
            for event in self.events
            if isinstance(event, TranscriptionEvent) or (isinstance(event, ReplyEvent) and event.final)
        ]

    async def _read(self, queue: ListenerQueue) -> None:
        async for item in queue:
            self._take(item)

    def _take(self, item: Serialized) -> None:
        event = item.event
        cursors = getattr(event, "cursors", None)
        if cursors is not None:
            self.cursors = dict(cursors)
        self.cursors[event.epoch] = event.seq
        if isinstance(event, SnapshotEvent):
            self.snapshots += 1
        elif not hasattr(event, "cursors"):
            self.events.append(event)  # type: ignore[arg-type]
