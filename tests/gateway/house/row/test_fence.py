"""What a gateway may do on the broker while its place may be another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import (
    CANNOT_TELL,
    BrokerUnavailable,
    Deposits,
    Depths,
    Leases,
    MessageBroker,
    RoutingKey,
)
from gateway.broker.opening import open_broker
from gateway.contract.house import GATEWAYS_TOPIC
from gateway.house.row.fence import FencedBroker
from gateway.house.row.tenure import Tenure
from gateway.settings.broker import BrokerSettings
from tests.record import passes
from tests.servers.redis import Redis

KEY = RoutingKey("home", "kitchen", "s1")


class Place(Tenure):
    """A tenure that a test gives and takes away."""

    def __init__(self, broker: MessageBroker) -> None:
        super().__init__(cast("Leases", broker), "kitchen", "kitchen", lambda: False)
        self.has = True

    @property
    def holds(self) -> bool:
        return self.has


@asynccontextmanager
async def fenced(broker: MessageBroker) -> AsyncIterator[tuple[FencedBroker, Place]]:
    place = Place(broker)
    fence = FencedBroker(broker, place)
    yield fence, place
    await fence.close(0.1)


async def test_what_is_published_waits_for_the_place() -> None:
    async with fenced(MemoryBroker()) as (broker, place), broker.subscribe("transcription.results") as came:
        await broker.publish("transcription.results", KEY, b"one", correlation_id="c1")
        place.has = False
        with pytest.raises(BrokerUnavailable, match="another gateway may have the place"):
            await broker.publish("transcription.results", KEY, b"two")
        place.has = True
        await broker.publish("transcription.results", KEY, b"three")
        first, second = await anext(came), await anext(came)
        assert [first.message.payload, second.message.payload] == [b"one", b"three"]
        assert first.message.correlation_id == "c1"
        for delivery in (first, second):
            await delivery.ack()


async def test_that_it_is_there_is_said_all_the_same() -> None:
    async with fenced(MemoryBroker()) as (broker, place):
        place.has = False
        async with broker.subscribe(GATEWAYS_TOPIC) as came:
            await broker.publish(GATEWAYS_TOPIC, KEY, b"{}")
            await (await anext(came)).ack()


@pytest.mark.parametrize("how", ["ack", "nack", "reject"])
async def test_what_was_taken_before_is_the_next_ones_when_the_place_is_lost(how: str, redis: Redis) -> None:
    """A reply that is nowhere but here: settled by who has lost its place, nobody would have it."""
    topic = f"orchestrator.replies.{how}"
    first, second = (
        open_broker(redis.url, BrokerSettings(url=redis.url, client_id=name, lease_seconds=1.0))
        for name in ("kitchen", "attic")
    )
    async with fenced(first) as (broker, place):
        async with broker.subscribe(topic, group="kitchen") as replies:
            await broker.publish(topic, KEY, b"hello")
            delivery = await anext(replies)
            assert (delivery.message.payload, delivery.attempt) == (b"hello", 1)
            place.has = False
            await {"ack": delivery.ack, "nack": delivery.nack, "reject": lambda: delivery.reject("no")}[how]()
        async with second.subscribe(topic, group="kitchen") as replies:
            again = await asyncio.wait_for(anext(replies), 20)
            assert again.message.payload == b"hello"
            await again.ack()
        assert not first.dead_letters()
    await second.close(0.1)


async def test_a_groups_work_is_not_taken_without_the_place() -> None:
    async with (
        fenced(MemoryBroker()) as (broker, place),
        broker.subscribe("orchestrator.replies", group="kitchen") as replies,
    ):
        place.has = False
        await broker.publish(GATEWAYS_TOPIC, KEY, b"{}")
        await broker._broker.publish("orchestrator.replies", KEY, b"hello")
        waiting = asyncio.ensure_future(anext(replies))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        place.has = True
        delivery = await waiting
        assert delivery.message.payload == b"hello"
        assert delivery.attempt == 1
        await delivery.ack()
        assert (replies.pending, replies.pending_bytes, replies.dropped) == (0, 0, 0)
        replies.want(3)


async def test_what_one_read_and_did_not_take_is_the_others(redis: Redis) -> None:
    """As of a gateway that was frozen with a reply in its hands."""
    settings = BrokerSettings(url=redis.url, client_id="kitchen", lease_seconds=1.0)
    other = open_broker(redis.url, BrokerSettings(url=redis.url, client_id="attic", lease_seconds=1.0))
    async with fenced(open_broker(redis.url, settings)) as (broker, place):
        async with broker.subscribe("orchestrator.replies", group="kitchen") as replies:
            await passes(broker.stats)
            place.has = False
            waiting = asyncio.ensure_future(anext(replies))
            await other.publish("orchestrator.replies", KEY, b"hello")
            await passes(lambda: not waiting.done())
            place.is_gone = True
            with pytest.raises(StopAsyncIteration):
                await waiting
        async with other.subscribe("orchestrator.replies", group="kitchen") as replies:
            delivery = await asyncio.wait_for(anext(replies), 30)
            assert delivery.message.payload == b"hello"
            await delivery.ack()
    await other.close(0.1)


async def test_a_subscription_without_a_group_is_everybodys() -> None:
    async with fenced(MemoryBroker()) as (broker, place), broker.subscribe("house.moves") as moves:
        place.has = False
        await broker._broker.publish("house.moves", KEY, b"x")
        await (await anext(moves)).ack()


async def test_the_rest_is_as_the_broker_does_it(redis: Redis) -> None:
    inner = open_broker(redis.url, BrokerSettings(url=redis.url, client_id="kitchen"))
    async with fenced(inner) as (broker, _):
        assert isinstance(broker, Deposits)
        await broker.deposit("k1", b"audio", 60)
        assert await broker.deposited("k1", 100) == b"audio"
        await broker.discard("k1")
        assert await broker.deposited("k1", 100) is None
        assert await broker.readers("house.fenced") == 0  # nobody else's at this server
        async with broker.subscribe("transcription.results", group="one") as results:
            await broker.publish("transcription.results", KEY, b"x")
            await (await anext(results)).reject("it is no good")
            await passes(lambda: broker.dead_letters() or broker.stats())
        assert await broker.abandon("transcription.results", "one")
        broker.forget(lambda _message: True)


async def test_what_waits_at_the_server_is_told_behind_the_fence_too(redis: Redis) -> None:
    kept = BrokerSettings(url=redis.url, keep_for_groups=("orchestrators",))
    async with fenced(open_broker(redis.url, kept)) as (broker, place):
        assert isinstance(broker, Depths)
        await broker.publish("transcription.results", KEY, b"one")
        before = await broker.waiting("transcription.results", "orchestrators")
        await broker.publish("transcription.results", KEY, b"two")
        assert await broker.waiting("transcription.results", "orchestrators") == before + 1
        async with broker.subscribe("some.topic", group="readers"):
            assert ("some.topic", "readers") in broker.groups()
        place.has = False  # who only looks changes nothing
        assert await broker.waiting("transcription.results", "orchestrators") == before + 1


async def test_a_broker_without_a_server_tells_nothing_behind_it_either() -> None:
    async with fenced(MemoryBroker()) as (broker, _):
        assert broker.groups() == ()
        assert await broker.waiting("transcription.results", "orchestrators") == CANNOT_TELL
