"""A broker on a network in a few lines, for the tests of what all of them have in common.

It keeps what its groups have not settled, gives it to their consumers in order, and does mischief:
it can be away, swallow attempts and pings, break a connection before or after it has taken a message,
be slow, and send what it sent.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

from gateway.broker.address import Address, Scheme
from gateway.broker.base import BrokerRefused, BrokerUnavailable, Durability, Message
from gateway.broker.envelope import one_token
from gateway.broker.network import NetworkBroker, OnStatus
from gateway.broker.wire import Demand, Intake, RawMessage, ServerFacts
from gateway.settings.broker import BrokerSettings


class Loft:
    """The server."""

    def __init__(self, *, lease_seconds: float | None = None, mischief: random.Random | None = None) -> None:
        self.facts = ServerFacts(
            name="Loft", version="1", durability=Durability.OS, lease_seconds=lease_seconds
        )
        self.mischief = mischief
        self.away = False
        self.refuses = ""
        self.silent = False
        self.deaf = False
        self.swallows = 0
        self.lingers: asyncio.Event | None = None
        """A consumer that is closed waits for it."""
        self.lingering = 0
        """So many attempts to connect are never answered."""
        self.raises: type[BaseException] | None = None
        """What an attempt to connect raises."""
        self.closes_with: type[BaseException] | None = None
        """What closing a connection raises."""
        self.mute = False
        """No ping is answered."""
        self.attempts = 0
        self.numbers = 0
        self.kept: dict[str, dict[int, RawMessage]] = {}
        self.tries: Counter[tuple[str, int]] = Counter()
        self.wires: list[Pigeon] = []
        self.returned: list[int] = []
        self.renewed: set[int] = set()
        self.dead: list[Message] = []

    async def connect(self, _address: Address, on_lost: Callable[[str], None]) -> Pigeon:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.raises is not None:
            raise self.raises
        if self.swallows:
            self.swallows -= 1
            await asyncio.Event().wait()
        if self.refuses:
            raise BrokerRefused(self.refuses, "let us in")
        if self.away:
            raise BrokerUnavailable("nobody is here", "come back")
        self.wires.append(Pigeon(self, on_lost))
        return self.wires[-1]

    def broker(
        self, settings: BrokerSettings | None = None, on_status: OnStatus | None = None
    ) -> NetworkBroker:
        return NetworkBroker(
            "pigeon://loft", Scheme(1), self.connect, settings or BrokerSettings(), on_status
        )

    def drop(self) -> None:
        """All connections break."""
        for wire in list(self.wires):
            wire.lose()

    def put(self, topic: str, received: RawMessage) -> None:
        self.numbers += 1
        for name, kept in self.kept.items():
            if name.split(" ")[0] == topic:
                kept[self.numbers] = received
        for wire in self.wires:
            wire.deliver()

    def chance(self, probability: float) -> bool:
        return self.mischief is not None and self.mischief.random() < probability


class Pigeon:
    """``Wire``."""

    def __init__(self, loft: Loft, on_lost: Callable[[str], None]) -> None:
        self.loft, self.on_lost = loft, on_lost
        self.consumers: list[Basket] = []

    @property
    def facts(self) -> ServerFacts:
        return self.loft.facts

    def lose(self) -> None:
        if self in self.loft.wires:
            self.loft.wires.remove(self)
            self.on_lost("a hawk")

    def check(self) -> None:
        if self not in self.loft.wires:
            raise BrokerUnavailable("a hawk")

    async def publish(self, message: Message) -> Durability:
        self.check()
        if self.loft.silent:
            await asyncio.Event().wait()
        if self.loft.chance(0.05):
            self.lose()
            raise BrokerUnavailable("lost before it was taken")
        key = message.routing_key
        received = RawMessage(
            key=f"{key.user}.{one_token(key.device)}.{key.session}",
            payload=message.payload,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            content_type=message.content_type,
            timestamp=message.timestamp,
            headers=message.headers,
        )
        self.loft.put(message.topic, received)
        if message.topic == "dead.letters":
            self.loft.dead.append(message)
        while self.loft.chance(0.3):  # noqa: ASYNC110 - a slow network, not a condition
            await asyncio.sleep(0)
        if self.loft.chance(0.05):
            self.lose()
            raise BrokerUnavailable("lost before it was confirmed")
        return Durability.OS

    async def consume(self, demand: Demand, intake: Intake) -> Basket:
        self.check()
        readership = demand.readership
        name = f"{readership.topic} {readership.pattern} {readership.group or demand.name}"
        self.loft.kept.setdefault(name, {})
        self.consumers.append(Basket(self, name, demand, intake))
        asyncio.get_running_loop().call_soon(self.deliver)
        return self.consumers[-1]

    def deliver(self) -> None:
        if self in self.loft.wires:
            for consumer in self.consumers:
                consumer.deliver()

    async def ping(self) -> None:
        self.check()
        if self.loft.mute:
            await asyncio.Event().wait()

    async def close(self) -> None:
        if self in self.loft.wires:
            self.loft.wires.remove(self)
        if self.loft.closes_with is not None:
            raise self.loft.closes_with


class Basket:
    """``Consumer``; its tokens are the messages' numbers."""

    place = ""

    def __init__(self, wire: Pigeon, name: str, demand: Demand, intake: Intake) -> None:
        self.wire, self.name, self.demand, self.intake = wire, name, demand, intake
        self.out: set[int] = set()

    @property
    def loft(self) -> Loft:
        return self.wire.loft

    def deliver(self) -> None:
        kept, leased = self.loft.kept[self.name], self.loft.facts.lease_seconds is not None
        others = {
            number
            for wire in self.loft.wires
            for other in wire.consumers
            if other.name == self.name and other is not self
            for number in other.out
        }
        for number, received in list(kept.items()):
            again = number in self.out and self.loft.chance(0.05)
            if number in others or (number in self.out and not again):
                continue
            if len(self.out) >= self.demand.prefetch and not again:
                return
            if leased and not again and self.loft.tries[self.name, number]:
                self.out.add(number)  # leased to a connection before this one: it is still theirs
                continue
            self.out.add(number)
            self.loft.tries[self.name, number] += 1
            self.take(number, received)

    def take(self, number: int, received: RawMessage) -> None:
        attempt = self.loft.tries[self.name, number]
        fields = {name: getattr(received, name) for name in received.__struct_fields__}
        self.intake.take(
            RawMessage(**{**fields, "token": number, "attempt": attempt, "place": f"at {number}"})
        )

    async def settle(self, tokens: Sequence[int]) -> None:
        await asyncio.sleep(0)
        self.wire.check()
        if self.loft.deaf:
            raise BrokerUnavailable("what?")
        for number in tokens:
            self.loft.kept[self.name].pop(number, None)
            self.out.discard(number)
        self.deliver()

    async def renew(self, tokens: Sequence[int]) -> None:
        self.wire.check()
        self.loft.renewed.update(tokens)

    async def close(self, unsettled: Sequence[int]) -> None:
        if self.loft.lingers is not None:
            self.loft.lingering += 1
            await self.loft.lingers.wait()
        self.wire.check()
        self.wire.consumers.remove(self)
        self.loft.returned += unsettled
        for number in unsettled:
            self.loft.tries[self.name, number] = 0
        if not self.demand.readership.group:
            del self.loft.kept[self.name]
