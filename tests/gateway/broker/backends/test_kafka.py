"""Kafka keeps the contract, against librdkafka's mock of a cluster; and what is its own.

The mock has no access lists, no logins, no TLS, no admin's requests and nothing on a disk: see ``docs/brokers.md``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiokafka
import pytest
import pytest_asyncio
from aiokafka.consumer.group_coordinator import GroupCoordinator

from gateway.broker.backends import kafka, kafka_client
from gateway.broker.backends.kafka_client import partition_of, release
from gateway.broker.base import (
    BrokerRefused,
    BrokerStatus,
    Durability,
    Message,
    MessageBroker,
    RoutingKey,
    Subscription,
)
from gateway.broker.opening import open_broker
from gateway.contract.messages import RESULTS_TOPIC
from tests.chaos.network import BadNetwork, Trouble
from tests.gateway.broker import contract
from tests.gateway.broker.contract import KITCHEN, SETTINGS, receive, row, soon, take, until
from tests.gateway.broker.network_contract import NetworkContract, Open, published
from tests.servers.kafka import Kafka

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kafka")]

PRODUCE = 0
"""The number of that request."""
SESSIONS = [RoutingKey("ann", "kitchen", f"s_{number}") for number in range(16)]
"""They are in all partitions."""


MOCK_SECONDS = 0.1


@pytest.fixture(autouse=True)
def mock_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock answers a request for messages when its time is over, where Kafka does so as soon as there is one.

    And it refuses a member that asks for its share after the leader has told the shares, where Kafka tells it.
    """
    monkeypatch.setattr(kafka_client, "FETCH_SECONDS", 0.02)
    perform = GroupCoordinator._perform_assignment

    async def when_all_have_asked(self: GroupCoordinator, response: Any) -> Any:
        if len(response.members) > 1:
            await asyncio.sleep(MOCK_SECONDS)
        return await perform(self, response)

    monkeypatch.setattr(GroupCoordinator, "_perform_assignment", when_all_have_asked)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Kafka]:
    """A cluster of one broker, for a test of its own."""
    server = Kafka(tmp_path, brokers=1).start()
    yield server
    server.end()


class TestKafka(NetworkContract):
    """The contract, and beyond."""

    DURABILITY = Durability.MEMORY
    ONE_LINE = False

    @pytest.fixture
    def server(self, kafka: Kafka) -> Kafka:
        return kafka

    async def test_two_processes_of_a_group_share_the_messages(self, opened: Open) -> None:
        """By sessions: those of a partition are one's."""
        one, two, publisher = opened(), opened(), opened()
        async with (
            one.subscribe(contract.TOPIC, group="workers") as first,
            two.subscribe(contract.TOPIC, group="workers") as second,
        ):
            for turn in range(3):
                for key in SESSIONS:
                    await publisher.publish(contract.TOPIC, key, b"%d" % turn)
            shares = await soon(gather_all((first, second), 3 * len(SESSIONS)))
            assert all(shares)
            sessions = [{message.routing_key.session for message in share} for share in shares]
            assert not sessions[0] & sessions[1]
            for message in SESSIONS:
                turns = [m.payload for share in shares for m in share if m.routing_key == message]
                assert turns == [b"0", b"1", b"2"]

    async def test_what_a_dead_connection_swallowed_comes_in_order(
        self,
        opened: Open,
        alone: Kafka,  # type: ignore[override]
    ) -> None:
        came = await self.through_a_dead_connection(opened, alone)
        assert [message.payload for message in came] == [b"1", b"2", b"3", b"4"]

    async def through_a_dead_connection(self, opened: Open, server: Kafka) -> list[Message]:  # type: ignore[override]
        """As its base's: brokers name each other, so the one that the reader is told is the bad network's."""
        publisher = opened(server.url)
        await publisher.publish(contract.TOPIC, KITCHEN, b"it knows the way")
        async with BadNetwork(server.port) as network:
            server.order(f"advertise {network.port}")
            reader = opened(server.url.replace(str(server.port), str(network.port)))
            async with reader.subscribe(contract.TOPIC, group="workers") as subscription:
                await network.begin(Trouble.HALF_OPEN)
                for number in (1, 2, 3):
                    await publisher.publish(contract.TOPIC, KITCHEN, b"%d" % number)
                await until(lambda: not reader.status.connected)  # type: ignore[attr-defined]
                await network.heal()
                await until(lambda: reader.status.connected)  # type: ignore[attr-defined]
                await publisher.publish(contract.TOPIC, KITCHEN, b"4")
                deliveries = [await take(subscription) for _ in range(4)]
                for delivery in deliveries:
                    await delivery.ack()
                return [delivery.message for delivery in deliveries]

    # -- groups

    async def test_what_was_settled_out_of_order_does_not_come_again(self, opened: Open) -> None:
        first = opened()
        async with first.subscribe(contract.TOPIC, group="workers") as subscription:
            for number in range(4):
                await first.publish(contract.TOPIC, KITCHEN, b"%d" % number)
            deliveries = [await take(subscription) for _ in range(4)]
            await deliveries[1].ack()
            await deliveries[3].ack()
        async with opened().subscribe(contract.TOPIC, group="workers") as subscription:
            again = [await take(subscription), await take(subscription)]
            assert [delivery.message.payload for delivery in again] == [b"0", b"2"]
            assert [delivery.attempt for delivery in again] == [2, 2]
            await again[0].ack()
            await again[1].ack()
            await first.publish(contract.TOPIC, KITCHEN, b"next")
            assert await receive(subscription, 1) == [b"next"]

    async def test_what_a_member_holds_that_dies_goes_to_another(self, opened: Open, alone: Kafka) -> None:
        staying = opened(alone.url)
        await staying.publish(contract.TOPIC, KITCHEN, b"it knows the way")
        async with BadNetwork(alone.port) as network:
            alone.order(f"advertise {network.port}")
            dying = opened(alone.url.replace(str(alone.port), str(network.port)))
            async with dying.subscribe(contract.TOPIC, group="workers") as dead:
                await staying.publish(contract.TOPIC, KITCHEN, b"held")
                await take(dead)
                alone.order(f"advertise {alone.port}")
                async with staying.subscribe(contract.TOPIC, group="workers") as living:
                    await network.begin(Trouble.HALF_OPEN)
                    assert (await take(living)).message.payload == b"held"

    async def test_one_more_member_takes_over_whole_sessions(self, opened: Open) -> None:
        """What was not shown yet goes along; what is in hand may come twice, and no session loses its order."""
        publisher, one, two = opened(), opened(), opened()
        first, second = (broker.subscribe(contract.TOPIC, group="workers") for broker in (one, two))
        async with first:
            for number in range(40):
                await publisher.publish(contract.TOPIC, SESSIONS[number % 8], b"%d" % number)
            held = [await take(first), await take(first)]
            async with second:
                for delivery in held:
                    await delivery.ack()
                seen = {delivery.message.payload for delivery in held}
                shares: list[list[Message]] = [[delivery.message for delivery in held], []]
                await soon(
                    gather_until((first, second), shares, {b"%d" % number for number in range(40)} - seen)
                )
        for key in SESSIONS[:8]:
            for share in shares:
                own = [int(message.payload) for message in share if message.routing_key == key]
                assert own == sorted(own)
        assert shares[1], "the newcomer has a share"

    async def test_results_are_kept_before_their_group_has_ever_come(self, opened: Open) -> None:
        group = f"newcomers-{secrets.token_hex(4)}"
        gateway = opened(keep_for_groups=(group,))
        await gateway.publish(RESULTS_TOPIC, KITCHEN, b"early")
        async with opened().subscribe(RESULTS_TOPIC, group=group) as subscription:
            assert await receive(subscription, 1) == [b"early"]

    async def test_what_the_server_gave_up_unread_is_counted(self, opened: Open, server: Kafka) -> None:
        first = opened()
        async with first.subscribe(contract.TOPIC, group="workers") as subscription:
            await first.publish(contract.TOPIC, KITCHEN, b"read")
            assert await receive(subscription, 1) == [b"read"]
        for number in range(5):
            await first.publish(contract.TOPIC, KITCHEN, b"%d" % number)
        partition = partition_of(KITCHEN.session, 4)
        server.order(f"delete earshot.{contract.TOPIC} {partition} 4")
        late = opened()
        async with late.subscribe(contract.TOPIC, group="workers") as subscription:
            assert await receive(subscription, 2) == [b"3", b"4"]
            assert subscription.dropped == row(late).dropped == 3

    # -- what may be denied

    async def test_a_topic_that_is_denied_is_told_until_it_is_allowed(self, server: Kafka) -> None:
        statuses: list[BrokerStatus] = []
        broker = open_broker(server.url, SETTINGS, statuses.append)
        try:
            server.order(f"deny earshot.{contract.TOPIC}")
            with pytest.raises(BrokerRefused) as caught:
                await soon(broker.publish(contract.TOPIC, KITCHEN, b"denied"))
            assert "earshot.*" in caught.value.remedy
            assert statuses[-1].connected
            assert "earshot.*" in statuses[-1].remedy
        finally:
            server.order(f"allow earshot.{contract.TOPIC}")
        await soon(broker.publish(contract.TOPIC, KITCHEN, b"allowed"))
        assert not statuses[-1].remedy
        await broker.close(0.0)

    async def test_writing_that_is_denied_later_is_told_and_goes_on_when_it_is_allowed(
        self, server: Kafka
    ) -> None:
        statuses: list[BrokerStatus] = []
        broker = open_broker(server.url, SETTINGS, statuses.append)
        await broker.publish(contract.TOPIC, KITCHEN, b"allowed")
        server.order(f"refuse {PRODUCE}")
        with pytest.raises(BrokerRefused):
            await soon(broker.publish(contract.TOPIC, KITCHEN, b"denied"))
        assert "earshot.*" in statuses[-1].remedy
        await published(broker, b"allowed again")
        assert not statuses[-1].remedy
        await broker.close(0.0)

    # -- strangers

    @pytest.mark.parametrize("key", [None, b"", b"ann.kitchen", b"\xff\xfe.a.b", b"a b.c.d"])
    async def test_an_unreadable_key_is_a_dead_letter(
        self, broker: MessageBroker, foreign: aiokafka.AIOKafkaProducer, key: bytes | None
    ) -> None:
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await foreign.send_and_wait(f"earshot.{contract.TOPIC}", b"?", key=key, partition=0)
            await foreign.send_and_wait(
                f"earshot.{contract.TOPIC}", b"!", key=b"ann.kitchen.s_1", partition=0
            )
            assert await receive(subscription, 1) == [b"!"]
        assert [letter.message.payload for letter in broker.dead_letters()] == [b"?"]

    async def test_another_programs_message_needs_only_topic_key_and_body(
        self, broker: MessageBroker, foreign: aiokafka.AIOKafkaProducer
    ) -> None:
        async with broker.subscribe(contract.TOPIC) as subscription:
            await foreign.send_and_wait(
                f"earshot.{contract.TOPIC}",
                b'{"correlation_id": "c_7"}',
                key=b"ann.kitchen.s_1",
                headers=[("odd", b"\xff"), ("none", None)],
                timestamp_ms=2**62,
            )
            message = (await take(subscription)).message
            assert (message.routing_key, message.correlation_id) == (KITCHEN, "c_7")
            assert dict(message.headers) == {"odd": "\N{REPLACEMENT CHARACTER}", "none": ""}
            assert message.timestamp < 1e11

    @pytest_asyncio.fixture
    async def foreign(self, server: Kafka) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
        """Somebody who knows nothing of Earshot."""
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{server.port}")
        await producer.start()
        yield producer
        await producer.stop()


async def gather_all(subscriptions: tuple[Subscription, ...], count: int) -> list[list[Message]]:
    """What each gets of so many, settled."""
    shares: list[list[Message]] = [[] for _ in subscriptions]

    async def read(subscription: Subscription, share: list[Message]) -> None:
        async for delivery in subscription:
            share.append(delivery.message)
            await delivery.ack()

    tasks = [asyncio.create_task(read(*pair)) for pair in zip(subscriptions, shares, strict=True)]
    await until(lambda: sum(map(len, shares)) >= count)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return shares


async def gather_until(
    subscriptions: tuple[Subscription, ...], shares: list[list[Message]], missing: set[bytes]
) -> None:
    """Read until nothing is missing."""

    async def read(subscription: Subscription, share: list[Message]) -> None:
        async for delivery in subscription:
            share.append(delivery.message)
            missing.discard(delivery.message.payload)
            await delivery.ack()

    tasks = [asyncio.create_task(read(*pair)) for pair in zip(subscriptions, shares, strict=True)]
    await until(lambda: not missing)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# -- what a confirmation means, which the mock does not tell


@pytest.mark.parametrize(
    ("replicas", "told", "durability"),
    [
        ([3, 3], {"min.insync.replicas": "2"}, Durability.QUORUM),
        ([3, 1], {"min.insync.replicas": "2"}, Durability.OS),
        ([3, 3], {"min.insync.replicas": "1"}, Durability.OS),
        ([1], {"min.insync.replicas": "1", "flush.messages": "1"}, Durability.FSYNC),
        ([1], {"min.insync.replicas": "1", "flush.messages": "9223372036854775807"}, Durability.OS),
        ([3], None, Durability.MEMORY),
    ],
)
def test_the_durability_is_what_the_topic_is_set_to(
    replicas: list[int], told: dict[str, str] | None, durability: Durability
) -> None:
    topic = kafka.described("earshot.x", replicas, told)
    assert topic.durability is durability
    assert bool(topic.weaknesses) == (durability in {Durability.OS, Durability.MEMORY})


def test_the_release_is_guessed_from_what_it_speaks() -> None:
    assert release({1: (0, 17)}) == "3.9 or newer"
    assert release({1: (0, 11)}) == "2.3 or newer"
    assert not release({})


def test_a_session_is_where_kafkas_own_clients_put_it() -> None:
    """The default partitioner of the Java client, with the session for a key."""
    partitioner = aiokafka.partitioner.DefaultPartitioner()
    for key in SESSIONS:
        session = key.session.encode()
        assert partition_of(key.session, 12) == partitioner(session, list(range(12)), [])
