"""What every broker on the network must do beyond the contract, against its real server.

A backend's tests inherit the class and bring a ``server`` fixture: the server, running.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec
import pytest
import pytest_asyncio

from gateway.broker.base import (
    BrokerError,
    BrokerStatus,
    BrokerUnavailable,
    BufferPolicy,
    Durability,
    Message,
    MessageBroker,
)
from gateway.broker.network import NetworkBroker
from gateway.broker.opening import open_broker
from gateway.broker.wire import BRIEF_SECONDS
from gateway.contract.messages import DEAD_TOPIC
from gateway.settings.broker import BrokerSettings
from tests.chaos.network import BadNetwork, Trouble
from tests.gateway.broker import contract
from tests.gateway.broker.contract import (
    BUFFER_MESSAGES,
    HALL,
    KITCHEN,
    SETTINGS,
    BrokerContract,
    fill,
    receive,
    row,
    soon,
    take,
    until,
)

LEASE_SECONDS = 1.0
PATIENCE = 20.0


class Server(Protocol):
    """A real server in a process of its own."""

    url: str
    port: int

    def start(self) -> object: ...

    def kill(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


Open = Callable[..., MessageBroker]


class NetworkContract(BrokerContract):
    """Inherit this, and define the fixture ``server``."""

    DURABILITY = Durability.FSYNC
    """What a receipt says, with the server as its fixture configures it."""

    @pytest_asyncio.fixture
    async def opened(self, server: Server) -> AsyncIterator[Open]:
        """Opens brokers, as processes of their own would, and closes them in the end."""
        brokers: list[MessageBroker] = []

        def open_one(url: str = "", **changes: object) -> MessageBroker:
            settings = msgspec.structs.replace(SETTINGS, **{"lease_seconds": LEASE_SECONDS, **changes})
            brokers.append(open_broker(url or server.url, settings))
            return brokers[-1]

        yield open_one
        await asyncio.gather(*(broker.close(0.0) for broker in brokers))

    @pytest_asyncio.fixture
    async def broker(self, opened: Open) -> MessageBroker:
        return opened()

    # -- receipts

    async def test_the_receipt_names_the_durability(self, broker: MessageBroker) -> None:
        receipt = await broker.publish(contract.TOPIC, KITCHEN, b"")
        assert receipt.durability is self.DURABILITY

    async def test_a_publisher_cannot_be_refused_from_afar(self, broker: MessageBroker) -> None:
        with pytest.raises(BrokerError, match="refused"):
            broker.subscribe(contract.TOPIC, policy=BufferPolicy.REFUSE)

    async def test_a_megabyte_arrives(self, opened: Open) -> None:
        broker = opened(buffer_bytes=4 * 1024 * 1024)
        payload = bytes(range(256)) * 4096
        async with broker.subscribe(contract.TOPIC) as subscription:
            await broker.publish(contract.TOPIC, KITCHEN, payload)
            assert await receive(subscription, 1) == [payload]

    async def test_many_publishes_at_once_arrive_in_order(self, opened: Open) -> None:
        broker = opened(buffer_messages=1000)
        async with broker.subscribe(contract.TOPIC) as subscription:
            publishes = [broker.publish(contract.TOPIC, KITCHEN, b"%d" % n) for n in range(500)]
            await soon(asyncio.gather(*publishes))
            assert await receive(subscription, 500) == [b"%d" % n for n in range(500)]

    # -- two houses at one server

    async def test_two_houses_do_not_hear_each_other(self, opened: Open) -> None:
        here, there = opened(), opened(namespace="annex")
        async with here.subscribe(contract.TOPIC) as ours, there.subscribe(contract.TOPIC) as theirs:
            await there.publish(contract.TOPIC, KITCHEN, b"there")
            await here.publish(contract.TOPIC, KITCHEN, b"here")
            assert await receive(ours, 1) == [b"here"]
            assert await receive(theirs, 1) == [b"there"]

    async def test_a_group_of_another_house_is_another_group(self, opened: Open) -> None:
        here, there = opened(), opened(namespace="annex")
        async with (
            here.subscribe(contract.TOPIC, group="workers") as ours,
            there.subscribe(contract.TOPIC, group="workers") as theirs,
        ):
            await here.publish(contract.TOPIC, KITCHEN, b"here", reply_to="orchestrator.replies")
            await there.publish(contract.TOPIC, KITCHEN, b"there", reply_to="orchestrator.replies")
            for subscription, payload in ((ours, b"here"), (theirs, b"there")):
                message = (await take(subscription)).message
                assert (message.payload, message.reply_to) == (payload, "orchestrator.replies")
                assert message.routing_key == KITCHEN

    # -- two processes

    async def test_two_processes_of_a_group_share_the_messages(self, opened: Open) -> None:
        one, two, publisher = opened(prefetch=1), opened(prefetch=1), opened()
        async with (
            one.subscribe(contract.TOPIC, group="workers") as first,
            two.subscribe(contract.TOPIC, group="workers") as second,
        ):
            await fill(publisher, 4)
            deliveries = [await take(first), await take(second)]
            for delivery in deliveries:
                await delivery.ack()
            deliveries += [await take(first), await take(second)]
            payloads = sorted(delivery.message.payload for delivery in deliveries)
            assert payloads == [b"0", b"1", b"2", b"3"]
            for delivery in deliveries[2:]:
                await delivery.ack()

    async def test_a_group_keeps_what_comes_while_nobody_reads(self, opened: Open) -> None:
        first, publisher = opened(), opened()
        async with first.subscribe(contract.TOPIC, group="workers") as subscription:
            await publisher.publish(contract.TOPIC, KITCHEN, b"read")
            assert await receive(subscription, 1) == [b"read"]
        await first.close()
        await fill(publisher, 3)
        async with opened().subscribe(contract.TOPIC, group="workers") as subscription:
            assert await receive(subscription, 3) == [b"0", b"1", b"2"]

    async def test_what_the_last_of_a_group_leaves_unsettled_is_kept(self, opened: Open) -> None:
        first = opened()
        async with first.subscribe(contract.TOPIC, group="workers") as subscription:
            await fill(first, 3)
            await (await take(subscription)).ack()
            await take(subscription)
        assert row(first).dropped == 0
        async with opened().subscribe(contract.TOPIC, group="workers") as subscription:
            assert await receive(subscription, 2) == [b"1", b"2"]

    async def test_patterns_of_one_group_do_not_compete(self, opened: Open) -> None:
        broker = opened()
        async with (
            broker.subscribe(contract.TOPIC, "device.kitchen", group="workers") as kitchen,
            broker.subscribe(contract.TOPIC, "device.hall", group="workers") as hall,
        ):
            await broker.publish(contract.TOPIC, HALL, b"hall")
            await broker.publish(contract.TOPIC, KITCHEN, b"kitchen")
            assert await receive(kitchen, 1) == [b"kitchen"]
            assert await receive(hall, 1) == [b"hall"]

    async def test_a_rejected_message_goes_to_the_dead_letters_of_all(self, opened: Open) -> None:
        watcher, worker = opened(), opened()
        async with (
            watcher.subscribe(DEAD_TOPIC) as letters,
            worker.subscribe(contract.TOPIC, group="workers") as subscription,
        ):
            await worker.publish(contract.TOPIC, KITCHEN, b"{", message_id="m_bad")
            await (await take(subscription)).reject("not JSON")
            letter = (await take(letters)).message
            assert (letter.routing_key, letter.payload, letter.message_id) == (KITCHEN, b"{", "m_bad")
            assert dict(letter.headers) == {
                "earshot-dead-reason": "not JSON",
                "earshot-dead-topic": contract.TOPIC,
                "earshot-dead-group": "workers",
                "earshot-dead-attempt": "1",
            }
            await worker.publish(contract.TOPIC, KITCHEN, b"next")
            assert await receive(subscription, 1) == [b"next"]

    # -- back-pressure

    async def test_a_slow_consumer_loses_nothing_and_holds_little(self, opened: Open) -> None:
        broker, publisher = opened(), opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await fill(publisher, 10 * BUFFER_MESSAGES)
            await until(lambda: subscription.pending == BUFFER_MESSAGES)
            for number in range(10 * BUFFER_MESSAGES):
                delivery = await take(subscription)
                assert delivery.message.payload == b"%d" % number
                assert row(broker).buffered_messages <= BUFFER_MESSAGES
                await delivery.ack()

    # -- the connection

    async def test_it_goes_on_when_the_server_was_killed(self, opened: Open, server: Server) -> None:
        broker, publisher = opened(), opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await publisher.publish(contract.TOPIC, KITCHEN, b"before")
            assert await receive(subscription, 1) == [b"before"]
            server.kill()
            with pytest.raises(BrokerUnavailable):
                await soon(publisher.publish(contract.TOPIC, KITCHEN, b"lost"))
            server.start()
            await published(publisher, b"after")
            assert await receive(subscription, 1) == [b"after"]

    async def test_what_is_in_hand_when_the_server_dies_can_be_settled(
        self, opened: Open, server: Server
    ) -> None:
        broker = opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await fill(broker, 3)
            await until(lambda: subscription.pending == 3)
            first, second = await take(subscription), await take(subscription)
            server.kill()
            await until(lambda: not broker.status.connected)  # type: ignore[attr-defined]
            await first.ack()
            server.start()
            await published(broker, b"after")
            await second.ack()
            assert await receive(subscription, 2) == [b"2", b"after"]
            assert subscription.pending == 0

    async def test_the_server_may_come_later(self, opened: Open, server: Server) -> None:
        server.kill()
        broker = opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            with pytest.raises(BrokerUnavailable):
                await soon(broker.publish(contract.TOPIC, KITCHEN, b"too early"))
            server.start()
            await published(broker, b"in time")
            assert await receive(subscription, 1) == [b"in time"]

    async def test_a_server_that_hangs_is_noticed(self, opened: Open, server: Server) -> None:
        broker = opened(confirm_seconds=1.0)  # a busy machine needs more than it would take here
        async with broker.subscribe(contract.TOPIC) as subscription:
            await published(broker, b"before")
            server.pause()
            with pytest.raises(BrokerUnavailable):
                await soon(broker.publish(contract.TOPIC, KITCHEN, b"perhaps"))
            server.resume()
            await published(broker, b"after")
            payloads = await receive(subscription, 2)
            while payloads[-1] != b"after":
                payloads += await receive(subscription, 1)
            assert payloads[0] == b"before"
            assert set(payloads) <= {b"before", b"perhaps", b"after"}

    async def test_what_a_dead_connection_swallowed_comes_in_order(
        self, opened: Open, server: Server
    ) -> None:
        """Neither end is told of the death: for a while the server goes on sending there."""
        came = await self.through_a_dead_connection(opened, server)
        assert [message.payload for message in came] == [b"1", b"2", b"3", b"4"]

    async def through_a_dead_connection(self, opened: Open, server: Server) -> list[Message]:
        """What a reader gets whose connection dies before the first three are sent."""
        async with BadNetwork(server.port) as network:
            publisher = opened()
            reader = opened(server.url.replace(str(server.port), str(network.port)), lease_seconds=60.0)
            async with reader.subscribe(contract.TOPIC, group="workers") as subscription:
                await publisher.publish(contract.TOPIC, KITCHEN, b"0")
                assert await receive(subscription, 1) == [b"0"]
                await network.begin(Trouble.HALF_OPEN)
                for number in (1, 2, 3):
                    await publisher.publish(contract.TOPIC, KITCHEN, b"%d" % number)
                await until(lambda: not reader.status.connected)  # type: ignore[attr-defined]
                await network.heal()
                await until(lambda: reader.status.connected)  # type: ignore[attr-defined]
                await publisher.publish(contract.TOPIC, KITCHEN, b"4")
                came: list[Message] = []
                while len(came) < 4:
                    delivery = await take(subscription)
                    await delivery.ack()
                    if (
                        delivery.message.payload != b"0"
                    ):  # MQTT confirms no acknowledgement: it may come again
                        came.append(delivery.message)
                return came

    async def test_statuses_tell_what_happens(self, server: Server) -> None:
        statuses: list[BrokerStatus] = []
        broker = open_broker(server.url, SETTINGS, statuses.append)
        await broker.publish(contract.TOPIC, KITCHEN, b"")
        server.kill()
        await until(lambda: len(statuses) > 1)
        server.start()
        await until(lambda: statuses[-1].connected)
        await broker.close()
        assert statuses[0].connected
        assert statuses[0].durability is self.DURABILITY
        assert not statuses[1].connected
        assert statuses[1].reason

    async def test_closing_does_not_wait_for_a_server_that_is_gone(
        self, opened: Open, server: Server
    ) -> None:
        broker = opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await broker.publish(contract.TOPIC, KITCHEN, b"")
            delivery = await take(subscription)
            server.kill()
            await delivery.ack()
            await soon(broker.close(0.1))


async def published(broker: MessageBroker, payload: bytes, key: object = KITCHEN) -> None:
    """As the outbox does: again and again until the broker has it, under one id."""
    message_id = contract.TOPIC + payload.decode()
    async with asyncio.timeout(contract.PATIENCE_SECONDS):
        while True:
            try:
                await broker.publish(contract.TOPIC, KITCHEN, payload, message_id=message_id)
            except BrokerUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


class OnDemandContract:
    """Of those that can be held back: work goes to whoever has time. Inherited beside ``NetworkContract``."""

    async def test_on_demand_comes_what_was_asked_for_and_no_more(self, opened: Open) -> None:
        one, two, publisher = opened(), opened(), opened()
        async with (
            one.subscribe(contract.TOPIC, group="workers", on_demand=True) as first,
            two.subscribe(contract.TOPIC, group="workers", on_demand=True) as second,
        ):
            await fill(publisher, 4)
            first.want(1)
            held = await take(first)
            second.want(2)
            rest = [await take(second), await take(second)]
            assert [one.message.payload for one in (held, *rest)] == [b"0", b"1", b"2"]
            await held.ack()
            for delivery in rest:
                await delivery.ack()
            first.want(5)
            assert await receive(first, 1) == [b"3"]
            await publisher.publish(contract.TOPIC, KITCHEN, b"later")
            assert await receive(first, 1) == [b"later"]
            assert (first.pending, second.pending) == (0, 0)

    async def test_who_has_other_work_is_soon_given_no_more(self, opened: Open) -> None:
        busy, idle, publisher = opened(), opened(), opened()
        async with (
            busy.subscribe(contract.TOPIC, group="workers", on_demand=True) as first,
            idle.subscribe(contract.TOPIC, group="workers", on_demand=True) as second,
        ):
            first.want(10)
            await publisher.publish(contract.TOPIC, KITCHEN, b"work")
            assert await receive(first, 1) == [b"work"]
            first.want(0)
            await asyncio.sleep(2 * BRIEF_SECONDS)  # a request that was open may still be answered
            second.want(10)
            await fill(publisher, 10)
            assert len(await receive(second, 10)) == 10

    async def test_work_of_one_who_died_comes_to_another(self, opened: Open, server: Server) -> None:
        async with BadNetwork(server.port) as network:
            dies, lives = opened(server.url.replace(str(server.port), str(network.port))), opened()
            async with (
                lives.subscribe(contract.TOPIC, group="workers", on_demand=True) as second,
                dies.subscribe(contract.TOPIC, group="workers", on_demand=True) as first,
            ):
                first.want(1)
                await lives.publish(contract.TOPIC, KITCHEN, b"deadly")
                assert (await take(first)).attempt == 1
                await network.begin(Trouble.CUT)
                second.want(1)
                delivery = await take(second)
                assert (delivery.message.payload, delivery.attempt) == (b"deadly", 2)
                await delivery.ack()
                await network.heal()


class LeaseContract:
    """Where the server knows who has what only one may have."""

    async def test_a_lease_is_one_holders_until_its_time_is_up(self, opened: Open) -> None:
        one, other = opened(), opened()
        assert isinstance(one, NetworkBroker)
        assert isinstance(other, NetworkBroker)
        assert await one.lease("kitchen", "hall", LEASE_SECONDS) == "hall"
        assert await other.lease("kitchen", "attic", LEASE_SECONDS) in {"hall", ""}
        assert await one.lease("kitchen", "hall", LEASE_SECONDS) == "hall", "who has it has it longer"
        await other.release("kitchen", "attic")
        assert await other.lease("kitchen", "attic", LEASE_SECONDS) in {"hall", ""}, (
            "nobody gives away another's"
        )
        await one.release("kitchen", "hall")
        assert await other.lease("kitchen", "attic", LEASE_SECONDS) == "attic"
        assert await one.lease("kitchen", "hall", LEASE_SECONDS) in {"attic", ""}
        await one.release("hall", "hall")

    async def test_a_lease_of_one_who_died_is_soon_anothers(self, opened: Open, server: Server) -> None:
        async with BadNetwork(server.port) as network:
            dies, lives = opened(server.url.replace(str(server.port), str(network.port))), opened()
            assert isinstance(dies, NetworkBroker)
            assert isinstance(lives, NetworkBroker)
            assert await dies.lease("cellar", "dies", LEASE_SECONDS) == "dies"
            await network.begin(Trouble.CUT)
            async with asyncio.timeout(PATIENCE):
                while await lives.lease("cellar", "lives", LEASE_SECONDS) != "lives":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await network.heal()


class StreamContract(OnDemandContract, LeaseContract, NetworkContract):
    """Also where messages stay when they have been read."""

    async def test_a_reader_without_a_group_misses_nothing_though_it_had_received_nothing(
        self, opened: Open, server: Server
    ) -> None:
        async with BadNetwork(server.port) as network:
            publisher = opened()
            await publisher.publish(contract.TOPIC, KITCHEN, b"before it began")
            reader = opened(server.url.replace(str(server.port), str(network.port)))
            async with reader.subscribe(contract.TOPIC) as subscription:
                await network.begin(Trouble.CUT)
                await until(lambda: not reader.status.connected)  # type: ignore[attr-defined]
                await publisher.publish(contract.TOPIC, KITCHEN, b"while it was away")
                await network.heal()
                assert await receive(subscription, 1) == [b"while it was away"]


def settings(**changes: object) -> BrokerSettings:
    return msgspec.structs.replace(SETTINGS, **changes)
