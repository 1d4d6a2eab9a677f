"""A hub that is one of several in a house: what it shows goes to the others, and what they show is shown here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress

from msgspec import structs

from gateway.broker.base import BrokerClosed, BrokerError, BufferPolicy, MessageBroker
from gateway.contract.events import HUB_EPOCH, DeviceEvent, HubEvent, HubEventBase, Subscribe
from gateway.contract.house import (
    EVENTS_TOPIC,
    GATEWAY_SECONDS,
    GatewayPresence,
    HouseCommand,
    HouseDone,
)
from gateway.contract.messages import is_device_token
from gateway.house.asks import HouseAsks
from gateway.house.commands import Do, HouseCommands, problem
from gateway.house.incoming import Incoming
from gateway.house.neighbours import Neighbour
from gateway.house.outgoing import Outgoing
from gateway.house.presence import HousePresence
from gateway.house.statements import Statements
from gateway.hub.fanout import Serialized
from gateway.hub.hub import Hub
from gateway.hub.snapshot import Filter

CATCH_UP_SECONDS = 15.0
"""A listener that comes from another hub waits no longer for what this one finds out."""
CURSOR_SECONDS = 2.0
"""How often listeners are told how far they are."""
LISTEN_BEATS = 2
"""A hub that begins has heard of everybody once it has heard itself so often."""
RETIRED_BEATS = round(600 / GATEWAY_SECONDS)
"""Of a gateway's run that has ended nothing is kept after so long."""


class Sharing:
    """Of one hub, from its gateway's start to its end."""

    def __init__(self, name: str, hub: Hub) -> None:
        self._name = name
        self._hub = hub
        self.statements = Statements(hub)
        self.outgoing = Outgoing(name, hub.epoch, self.wants)
        self.incoming = Incoming(hub, {hub.epoch, self.statements.epoch}, self._alive)
        self._presence: HousePresence | None = None
        self._asks: HouseAsks | None = None
        self.commands: HouseCommands | None = None
        self.do: Do | None = None
        """What others ask of this one; None: nothing can be."""
        self._ready = asyncio.Event()
        self._lagging: dict[str, int] = {}
        hub.house = self

    @property
    def name(self) -> str:
        """What this one is called in the house."""
        return self._name

    # -- as the hub sees it

    def published(self, item: Serialized) -> None:
        """To the others."""
        if not item.event.epoch.startswith(HUB_EPOCH):
            self.outgoing.put(item)

    def wants(self, event: HubEventBase) -> bool:
        """Whether somebody elsewhere is shown ``event``, which may be missed."""
        is_level = isinstance(event, DeviceEvent)
        return any(one.facts.levels if is_level else one.facts.watches for one in self._here())

    def is_so(self, event: HubEvent) -> bool:
        """Whether it is to be shown."""
        return self.statements.is_so(event)

    def resumed(self, news: list[Serialized], had: Mapping[str, int], wanted: Filter) -> list[Serialized]:
        """With how far the listener is after each; and, from another hub, with how things are here."""
        walked = {epoch: had.get(epoch, 0) for epoch in self._hub.history.cursors}
        first = []
        for item in news:
            walked[item.event.epoch] = item.event.seq
            first.append(item.beside(tuple(walked.items())))
        if self.statements.epoch in had:
            return first
        picture = self._hub.standing(wanted)
        now = tuple({**had, **{epoch: max(seq, had.get(epoch, 0)) for epoch, seq in walked.items()}}.items())
        standing: tuple[HubEvent, ...] = (*picture.devices, *picture.health)
        return [*first, *(self.statements.restated(event).beside(now) for event in standing)]

    async def catch_up(self, subscribe: Subscribe) -> None:
        """Wait for what this hub is about to learn, where the listener comes from another."""
        known = self._hub.history.cursors
        if all(epoch in known or epoch.startswith(HUB_EPOCH) for epoch in subscribe.cursors or ()):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._ready.wait()

    async def known(self) -> None:
        """Wait until this hub knows what there was in the house before it came."""
        await self._ready.wait()

    # -- as the others see it

    def told(self, facts: GatewayPresence) -> GatewayPresence:
        """What is said of this one each second."""
        watches, levels = self._hub.is_watched()
        return structs.replace(
            facts,
            epoch="" if self._hub.epoch.startswith(HUB_EPOCH) else self._hub.epoch,
            seq=self.outgoing.seq,
            listeners=self._hub.listeners,
            watches=watches,
            levels=levels,
            ready=self._ready.is_set(),
        )

    def at(self, device_id: str) -> Neighbour | None:
        """The other gateway that has a device; None: this one, or nobody."""
        if self._presence is None:
            return None
        return self._presence.neighbours.of_epoch(self.statements.at(device_id))

    def gateways(self) -> list[Neighbour]:
        """The others that are there and have devices."""
        return sorted((one for one in self._here() if one.facts.role == "gateway"), key=lambda one: one.name)

    async def carry(self, to: Neighbour, command: HouseCommand) -> HouseDone:
        """What another gateway makes of a command, or a problem in its place."""
        if self.commands is None:
            return problem("the house is not known yet", "try again soon")
        return await self.commands.carry(to, command)

    def figures(self) -> dict[str, float]:
        """What was told and heard so far, by fixed names."""
        found: dict[str, float] = {
            "events shown": self.incoming.shown,
            "events not sent": self.outgoing.dropped,
            "events refused": self.incoming.refused.total(),
        }
        if self.commands is not None:
            found |= {f"commands {name}": count for name, count in self.commands.counts.items()}
        if self._asks is not None:
            found |= {f"asks {name}": count for name, count in self._asks.counts.items()}
        if self._presence is not None:
            found["presences unreadable"] = self._presence.unreadable
            found["neighbours refused"] = self._presence.neighbours.refused
        return found

    # -- at work

    def work(
        self, broker: MessageBroker, presence: HousePresence
    ) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What goes on as long as the broker is there; ``presence`` is kept by whoever asks for it."""
        self._presence = presence
        asks = self._asks = HouseAsks(self._hub, self.incoming, self.outgoing, self.statements, presence)
        self.incoming.on_gap = asks.missed
        self.commands = HouseCommands(self._name, presence.instance)
        self.commands.do = self.do
        commands = self.commands
        presence.neighbours.on_change.append(self._heard_of)
        yield "events for the house", lambda: self.outgoing.run(broker)
        yield "events of the house", lambda: self._hear(broker)
        yield "asks in the house", lambda: asks.run(broker, self._name)
        yield "commands in the house", lambda: commands.run(broker)
        yield "beginning in the house", self._begin
        yield "cursors", self._tell_cursors

    async def drain(self) -> None:
        """The last of it leaves."""
        await self.outgoing.drain()
        if self._presence is not None:
            await self._presence.leave()

    async def _hear(self, broker: MessageBroker) -> None:
        with suppress(BrokerClosed):
            async with broker.subscribe(EVENTS_TOPIC, policy=BufferPolicy.DROP_OLDEST) as batches:
                async for delivery in batches:
                    message = delivery.message
                    self.incoming.hear(message.routing_key.device, message.payload)
                    with suppress(BrokerError):
                        await delivery.ack()

    async def _begin(self) -> None:
        """Learn what there was: of one that knows, where there is any."""
        assert self._presence is not None
        assert self._asks is not None
        neighbours = self._presence.neighbours
        while neighbours.beats < LISTEN_BEATS:  # noqa: ASYNC110 - they come each second, and wake nobody
            await asyncio.sleep(0.05)
        whom = [one for one in neighbours.here() if one.facts.ready]
        for one in [*whom, *whom]:
            if await self._asks.whole(one):
                break
        self._asks.is_ready = True
        self._ready.set()
        for epoch, followed in list(self.incoming.seqs().items()):
            if not self.incoming.release(epoch):
                self._asks.missed(epoch)
            self._lagging[epoch] = followed

    async def _tell_cursors(self) -> None:
        while True:
            await asyncio.sleep(CURSOR_SECONDS)
            if self._hub.listeners:
                self._hub.tell_cursors()
            self._retire()

    def _retire(self) -> None:
        assert self._presence is not None
        neighbours = self._presence.neighbours
        for one in neighbours.known():
            if one.gone and one.facts.epoch and neighbours.beats - one.heard_at > RETIRED_BEATS:
                self.incoming.retire(one.facts.epoch)

    # -- who is there

    def _here(self) -> list[Neighbour]:
        return [] if self._presence is None else self._presence.neighbours.here()

    def _alive(self) -> set[str]:
        return {one.facts.epoch for one in self._here()}

    def _heard_of(self, one: Neighbour) -> None:
        """Somebody said something of itself, or says nothing any more."""
        facts = one.facts
        if not facts.epoch or not is_device_token(facts.epoch):
            return  # a hub: it has nothing to show
        if one.is_here:
            self.statements.here(facts.gateway, facts.epoch)
            self._look_behind(facts)
        else:
            replaced = any(other.name == one.name for other in self._here())
            self.statements.went(facts.gateway, facts.epoch, one.gone, replaced=replaced)

    def _look_behind(self, facts: GatewayPresence) -> None:
        """What it had published a second ago should be here by now."""
        if self.incoming.seq(facts.epoch) < self._lagging.get(facts.epoch, 0) and self._asks is not None:
            self._asks.missed(facts.epoch)
        self._lagging[facts.epoch] = facts.seq
