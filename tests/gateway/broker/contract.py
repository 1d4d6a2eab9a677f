"""What every broker must do, whichever one it is.

A backend's tests inherit the class and bring a ``broker`` fixture: a fresh ``MessageBroker`` whose
buffers hold ``BUFFER_MESSAGES`` messages and ``BUFFER_BYTES`` bytes. No test asserts that nothing
comes by waiting: what must not come is followed by something that must.

A server may be shared by many tests, so each has a topic of its own. What only a broker in the
process can promise (a publisher waits for room, or is refused) is in :class:`InProcessContract`.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from gateway.broker.base import (
    BadRoutingKey,
    BrokerClosed,
    BrokerError,
    BufferFull,
    BufferPolicy,
    Delivery,
    MessageBroker,
    RoutingKey,
    Subscription,
    TopicStats,
)
from gateway.contract.messages import PRIORITY_HEADER
from gateway.settings.broker import BrokerSettings

BUFFER_MESSAGES = 8
BUFFER_BYTES = 4096
SETTINGS = BrokerSettings(buffer_messages=BUFFER_MESSAGES, buffer_bytes=BUFFER_BYTES)

TOPIC = "contract.results"
KITCHEN = RoutingKey("ann", "kitchen", "s_1")
HALL = RoutingKey("ann", "hall", "s_2")
OFFICE = RoutingKey("bob", "office", "s_3")

PATIENCE_SECONDS = 30.0
"""Nothing takes nearly as long, except on a machine that does much else."""

T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """The result, or TimeoutError long after it should have come."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await awaitable


async def take(subscription: Subscription) -> Delivery:
    return await soon(anext(subscription))


async def receive(subscription: Subscription, count: int) -> list[bytes]:
    """The next payloads, acknowledged."""
    payloads = []
    for _ in range(count):
        delivery = await take(subscription)
        await delivery.ack()
        payloads.append(delivery.message.payload)
    return payloads


async def until(true: Callable[[], bool]) -> None:
    """What is true at once in the process, and soon on a network."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(0.001)


async def fill(broker: MessageBroker, count: int = BUFFER_MESSAGES, key: RoutingKey = KITCHEN) -> None:
    for number in range(count):
        await soon(broker.publish(TOPIC, key, b"%d" % number))


def row(broker: MessageBroker) -> TopicStats:
    return next(stats for stats in broker.stats() if stats.topic == TOPIC)


class BrokerContract:
    """Inherit this, and define the fixture ``broker``."""

    ONE_LINE = True
    """Whether messages of several sessions keep their order among each other, which nobody promises."""

    def ordered(self, payloads: list[bytes]) -> list[bytes]:
        """Of several sessions, as they are to be compared."""
        return payloads if self.ONE_LINE else sorted(payloads)

    @pytest.fixture(autouse=True)
    def topic_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.modules[__name__], "TOPIC", f"contract.{secrets.token_hex(6)}")

    # -- what is delivered

    async def test_a_message_arrives_as_it_was_published(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            receipt = await broker.publish(
                TOPIC, KITCHEN, b"\x00\xff{}", correlation_id="c_1", reply_to="there", message_id="m_1",
                content_type="application/octet-stream", headers={"traceparent": "00-1"},
            )  # fmt: skip
            delivery = await take(subscription)
            message = delivery.message
            assert receipt.message_id == message.message_id == "m_1"
            assert (message.topic, message.routing_key, message.payload) == (TOPIC, KITCHEN, b"\x00\xff{}")
            assert (message.correlation_id, message.reply_to) == ("c_1", "there")
            assert (message.content_type, dict(message.headers)) == (
                "application/octet-stream",
                {"traceparent": "00-1"},
            )
            assert message.timestamp > 1_700_000_000
            assert delivery.attempt == 1
            await delivery.ack()

    async def test_every_message_gets_an_id_of_its_own(self, broker: MessageBroker) -> None:
        ids = {(await broker.publish(TOPIC, KITCHEN, b"")).message_id for _ in range(20)}
        assert len(ids) == 20
        assert "" not in ids

    async def test_an_empty_payload_is_a_payload(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await broker.publish(TOPIC, KITCHEN, b"")
            assert await receive(subscription, 1) == [b""]

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("", [b"kitchen", b"hall", b"office"]),
            ("session.*", [b"kitchen", b"hall", b"office"]),
            ("device.*", [b"kitchen", b"hall", b"office"]),
            ("user.*", [b"kitchen", b"hall", b"office"]),
            ("session.s_2", [b"hall"]),
            ("device.kitchen", [b"kitchen"]),
            ("user.ann", [b"kitchen", b"hall"]),
        ],
    )
    async def test_a_pattern_chooses_by_key(
        self, broker: MessageBroker, pattern: str, expected: list[bytes]
    ) -> None:
        async with broker.subscribe(TOPIC, pattern) as subscription, broker.subscribe(TOPIC) as everything:
            for key in (KITCHEN, HALL, OFFICE):
                await broker.publish(TOPIC, key, key.device.encode())
            assert self.ordered(await receive(subscription, len(expected))) == self.ordered(expected)
            assert self.ordered(await receive(everything, 3)) == self.ordered(
                [b"kitchen", b"hall", b"office"]
            )
            assert subscription.pending == 0

    async def test_a_devices_id_may_have_dots_and_is_no_other(self, broker: MessageBroker) -> None:
        names = ["esp32.001", "esp32-001", "esp32_001", "esp32", "esp32.001.a"]
        keys = [RoutingKey("ann", name, f"s_{number}") for number, name in enumerate(names)]
        async with (
            broker.subscribe(TOPIC, "device.esp32.001") as one,
            broker.subscribe(TOPIC, "device.esp32") as short,
            broker.subscribe(TOPIC, "device.*", group="all") as everything,
        ):
            for key in keys:
                await broker.publish(TOPIC, key, key.device.encode())
            await broker.publish(TOPIC, keys[0], b"again")
            await broker.publish(TOPIC, keys[3], b"again")
            assert await receive(one, 2) == [b"esp32.001", b"again"]
            assert await receive(short, 2) == [b"esp32", b"again"]
            deliveries = [await take(everything) for _ in range(len(names))]
            assert sorted(one.message.routing_key.device for one in deliveries) == sorted(names)
            for delivery in deliveries:
                assert delivery.message.payload == delivery.message.routing_key.device.encode()
                await delivery.ack()

    async def test_what_is_urgent_goes_before_what_waits_here(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            for key, payload, priority in (
                (HALL, b"1", "background"), (OFFICE, b"2", "normal"), (KITCHEN, b"3", "urgent"), (HALL, b"4", "urgent")
            ):  # fmt: skip
                await broker.publish(TOPIC, key, payload, headers={PRIORITY_HEADER: priority})
            await until(lambda: subscription.pending == 4)
            assert await receive(subscription, 4) == [b"3", b"2", b"1", b"4"], "a session keeps its order"

    async def test_one_session_never_sees_another(self, broker: MessageBroker) -> None:
        keys = [RoutingKey("ann", "hub", f"s_{number}") for number in range(20)]
        subscriptions = [broker.subscribe(TOPIC, f"session.{key.session}") for key in keys]
        for subscription in subscriptions:
            await subscription.__aenter__()
        for turn in range(4):
            for key in keys:
                await soon(broker.publish(TOPIC, key, f"{key.session} {turn}".encode()))
        for key, subscription in zip(keys, subscriptions, strict=True):
            expected = [f"{key.session} {turn}".encode() for turn in range(4)]
            assert await receive(subscription, 4) == expected
            await subscription.__aexit__(None, None, None)

    async def test_topics_are_apart(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as here, broker.subscribe(f"{TOPIC}.other") as there:
            await broker.publish(f"{TOPIC}.other", KITCHEN, b"there")
            await broker.publish(TOPIC, KITCHEN, b"here")
            assert await receive(here, 1) == [b"here"]
            assert await receive(there, 1) == [b"there"]

    async def test_a_subscription_begins_when_it_is_entered(self, broker: MessageBroker) -> None:
        subscription = broker.subscribe(TOPIC)
        await broker.publish(TOPIC, KITCHEN, b"before")
        async with subscription:
            await broker.publish(TOPIC, KITCHEN, b"after")
            assert await receive(subscription, 1) == [b"after"]

    async def test_a_reader_that_waits_is_woken(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            reader = asyncio.create_task(receive(subscription, 2))
            await asyncio.sleep(0)
            await fill(broker, 2)
            assert await soon(reader) == [b"0", b"1"]

    async def test_a_reader_that_gave_up_loses_nothing(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            reader = asyncio.create_task(receive(subscription, 1))
            await asyncio.sleep(0)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            await broker.publish(TOPIC, KITCHEN, b"kept")
            assert await receive(subscription, 1) == [b"kept"]

    # -- groups

    async def test_everyone_without_a_group_gets_everything(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as one, broker.subscribe(TOPIC) as two:
            await fill(broker, 3)
            assert await receive(one, 3) == await receive(two, 3) == [b"0", b"1", b"2"]

    async def test_a_group_shares_the_messages(self, broker: MessageBroker) -> None:
        async with (
            broker.subscribe(TOPIC, group="workers") as one,
            broker.subscribe(TOPIC, group="workers") as two,
            broker.subscribe(TOPIC, group="watchers") as watcher,
        ):
            await fill(broker, 6)
            deliveries = [await take(one), await take(two), await take(one), await take(two)]
            for delivery in deliveries:
                await delivery.ack()
            rest = await receive(two, 2)
            payloads = [delivery.message.payload for delivery in deliveries] + rest
            assert sorted(payloads) == [b"%d" % number for number in range(6)]
            assert len(await receive(watcher, 6)) == 6

    async def test_what_a_member_leaves_unsettled_goes_to_the_others_in_order(
        self, broker: MessageBroker
    ) -> None:
        async with broker.subscribe(TOPIC, group="workers") as stays:
            async with broker.subscribe(TOPIC, group="workers") as leaves:
                await fill(broker, 4)
                taken = [await take(leaves), await take(leaves)]
            again = [await take(stays) for _ in range(4)]
            assert [delivery.message.payload for delivery in again] == [b"0", b"1", b"2", b"3"]
            assert [delivery.attempt for delivery in again] == [2, 2, 1, 1]
            with pytest.raises(BrokerError):
                await taken[0].ack()
            for delivery in again:
                await delivery.ack()

    # -- settling

    async def test_what_was_acknowledged_never_comes_again(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, group="workers") as subscription:
            async with broker.subscribe(TOPIC, group="workers") as leaves:
                await broker.publish(TOPIC, KITCHEN, b"done")
                assert await receive(leaves, 1) == [b"done"]
            await broker.publish(TOPIC, KITCHEN, b"next")
            assert await receive(subscription, 1) == [b"next"]

    async def test_nack_delivers_again_before_what_came_later(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await fill(broker, 4)
            first, second = await take(subscription), await take(subscription)
            await first.nack()
            await second.nack()
            again = [await take(subscription) for _ in range(4)]
            assert [delivery.message.payload for delivery in again] == [b"0", b"1", b"2", b"3"]
            assert [delivery.attempt for delivery in again] == [2, 2, 1, 1]
            await again[0].nack()
            assert (await take(subscription)).attempt == 3

    async def test_nack_with_a_delay_lets_others_pass(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await fill(broker, 2)
            await until(lambda: subscription.pending == 2)
            await (await take(subscription)).nack(0.01)
            assert await receive(subscription, 2) == [b"1", b"0"]

    @pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
    async def test_a_delay_must_be_a_time(self, broker: MessageBroker, delay: float) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await broker.publish(TOPIC, KITCHEN, b"")
            delivery = await take(subscription)
            with pytest.raises(ValueError, match="delay"):
                await delivery.nack(delay)
            await delivery.ack()

    async def test_a_rejected_message_is_a_dead_letter_with_its_reason(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, group="workers") as subscription:
            await fill(broker, 3)
            await (await take(subscription)).nack()
            await (await take(subscription)).reject("not JSON")
            await (await take(subscription)).reject("too old")
            assert await receive(subscription, 1) == [b"2"]
            letters = broker.dead_letters()
            assert [(letter.message.payload, letter.reason) for letter in letters] == [
                (b"0", "not JSON"),
                (b"1", "too old"),
            ]
            assert [(letter.attempt, letter.group) for letter in letters] == [(2, "workers"), (1, "workers")]

    @pytest.mark.parametrize("second", ["ack", "nack", "reject"])
    @pytest.mark.parametrize("first", ["ack", "nack", "reject"])
    async def test_a_delivery_is_settled_once(self, broker: MessageBroker, first: str, second: str) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await broker.publish(TOPIC, KITCHEN, b"")
            delivery = await take(subscription)
            await settle(delivery, first)
            with pytest.raises(BrokerError):
                await settle(delivery, second)
            stats = row(broker)
            assert (stats.acknowledged, stats.rejected) == (first == "ack", first == "reject")

    # -- order

    async def test_a_sessions_messages_keep_their_order(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            reader = asyncio.create_task(receive(subscription, 200))
            for number in range(200):
                await soon(broker.publish(TOPIC, (KITCHEN, HALL)[number % 2], b"%d" % number))
            came = [int(payload) for payload in await soon(reader)]
            for session in (0, 1):
                assert [number for number in came if number % 2 == session] == list(range(session, 200, 2))
            assert came == list(range(200)) or not self.ONE_LINE

    async def test_publishers_that_wait_go_in_order(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await fill(broker)
            waiting = []
            for number in range(BUFFER_MESSAGES, 3 * BUFFER_MESSAGES):
                waiting.append(asyncio.create_task(broker.publish(TOPIC, KITCHEN, b"%d" % number)))
                await asyncio.sleep(0)
            payloads = await receive(subscription, 3 * BUFFER_MESSAGES)
            assert payloads == [b"%d" % number for number in range(3 * BUFFER_MESSAGES)]
            await soon(asyncio.gather(*waiting))

    # -- bounds

    async def test_a_full_buffer_can_drop_the_oldest(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, policy=BufferPolicy.DROP_OLDEST) as subscription:
            await fill(broker, BUFFER_MESSAGES + 3)
            await until(lambda: subscription.dropped == row(broker).dropped == 3)
            payloads = await receive(subscription, BUFFER_MESSAGES)
            assert payloads == [b"%d" % number for number in range(3, BUFFER_MESSAGES + 3)]

    async def test_bytes_are_bounded_too(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, policy=BufferPolicy.DROP_OLDEST) as subscription:
            for letter in (b"a", b"b", b"c"):
                await broker.publish(TOPIC, KITCHEN, letter * (BUFFER_BYTES // 2))
            await until(lambda: subscription.dropped == 1)
            await until(lambda: (subscription.pending, subscription.pending_bytes) == (2, BUFFER_BYTES))
            assert [payload[:1] for payload in await receive(subscription, 2)] == [b"b", b"c"]
            assert (subscription.pending, subscription.pending_bytes, subscription.dropped) == (0, 0, 1)

    @pytest.mark.parametrize("policy", [BufferPolicy.WAIT, BufferPolicy.DROP_OLDEST])
    async def test_a_message_larger_than_a_buffer_is_refused_whatever_the_policy(
        self, broker: MessageBroker, policy: BufferPolicy
    ) -> None:
        async with broker.subscribe(TOPIC, policy=policy) as subscription:
            with pytest.raises(BufferFull):
                await broker.publish(TOPIC, KITCHEN, bytes(BUFFER_BYTES + 1))
            await broker.publish(TOPIC, KITCHEN, bytes(BUFFER_BYTES))
            assert len((await receive(subscription, 1))[0]) == BUFFER_BYTES

    # -- what it refuses

    @pytest.mark.parametrize(
        "pattern", ["#", "*", ">", "session", "session.", "session.+", "group.a", "a.b.c"]
    )
    async def test_another_pattern_is_refused_at_once(self, broker: MessageBroker, pattern: str) -> None:
        with pytest.raises(BadRoutingKey):
            broker.subscribe(TOPIC, pattern)

    @pytest.mark.parametrize("topic", ["", "a/b", "a.*", "#", "a..b", ".a", "a b", "a\n", "$SYS", "x" * 65])
    async def test_another_topic_is_refused(self, broker: MessageBroker, topic: str) -> None:
        with pytest.raises(BadRoutingKey):
            broker.subscribe(topic)
        with pytest.raises(BadRoutingKey):
            await broker.publish(topic, KITCHEN, b"")

    @pytest.mark.parametrize("group", ["my group", "a/b", "$share", "*", "a.b", "x" * 65])
    async def test_a_group_is_a_token(self, broker: MessageBroker, group: str) -> None:
        with pytest.raises(BadRoutingKey):
            broker.subscribe(TOPIC, group=group)

    # -- the figures

    async def test_the_figures_of_a_topic(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as one, broker.subscribe(TOPIC):
            for _ in range(3):
                await broker.publish(TOPIC, KITCHEN, b"four")
            await (await take(one)).ack()
            await (await take(one)).reject("no")
            await take(one)
            await until(lambda: row(broker).buffered_messages == 4)
            stats = row(broker)
            assert (stats.published, stats.delivered, stats.subscriptions) == (3, 3, 2)
            assert (stats.acknowledged, stats.rejected, stats.dropped) == (1, 1, 0)
            assert stats.buffered_bytes == 16

    # -- the end

    async def test_close_waits_until_what_is_buffered_is_settled(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await fill(broker)
            delivery = await take(subscription)
            await until(lambda: subscription.pending == BUFFER_MESSAGES - 1)
            closing = asyncio.create_task(broker.close())
            await asyncio.sleep(0)
            await delivery.ack()
            payloads = [await settled(delivery) async for delivery in subscription]
            assert payloads == [b"%d" % number for number in range(1, BUFFER_MESSAGES)]
            await soon(closing)

    async def test_close_waits_no_longer_than_it_was_told(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            await fill(broker, 2)
            delivery = await take(subscription)
            await until(lambda: subscription.pending == 1)
            await soon(broker.close(0.01))
            with pytest.raises(StopAsyncIteration):
                await take(subscription)
            with pytest.raises(BrokerClosed):
                await delivery.ack()
            assert row(broker).dropped == 2

    async def test_close_ends_the_readers_that_wait(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC) as subscription:
            reader = asyncio.create_task(take(subscription))
            await asyncio.sleep(0)
            await soon(broker.close())
            with pytest.raises(StopAsyncIteration):
                await soon(drive(reader))

    async def test_a_closed_broker_takes_nothing_more(self, broker: MessageBroker) -> None:
        await soon(broker.close())
        with pytest.raises(BrokerClosed):
            await broker.publish(TOPIC, KITCHEN, b"")
        with pytest.raises(BrokerClosed):
            await broker.subscribe(TOPIC).__aenter__()

    async def test_closing_twice_is_closing(self, broker: MessageBroker) -> None:
        await soon(asyncio.gather(broker.close(), broker.close()))
        await soon(broker.close())


class InProcessContract(BrokerContract):
    """What a broker in the process promises, too: a publisher feels a full buffer."""

    async def test_publish_waits_for_room(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, policy=BufferPolicy.WAIT) as subscription:
            await fill(broker)
            assert subscription.pending == BUFFER_MESSAGES
            publishing = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b"last"))
            await asyncio.sleep(0)
            assert not publishing.done()
            await (await take(subscription)).ack()
            await soon(publishing)
            assert (await receive(subscription, BUFFER_MESSAGES))[-1] == b"last"
            assert subscription.dropped == 0

    async def test_what_is_delivered_and_unsettled_takes_room(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, policy=BufferPolicy.REFUSE) as subscription:
            await fill(broker)
            delivery = await take(subscription)
            with pytest.raises(BufferFull):
                await broker.publish(TOPIC, KITCHEN, b"")
            await delivery.ack()
            await broker.publish(TOPIC, KITCHEN, b"")

    async def test_a_full_buffer_can_refuse_and_then_nobody_gets_it(self, broker: MessageBroker) -> None:
        async with (
            broker.subscribe(TOPIC, "session.s_1", policy=BufferPolicy.REFUSE) as strict,
            broker.subscribe(TOPIC, policy=BufferPolicy.DROP_OLDEST) as other,
        ):
            await fill(broker)
            with pytest.raises(BufferFull):
                await broker.publish(TOPIC, KITCHEN, b"refused")
            await broker.publish(TOPIC, HALL, b"for the other")
            assert (await receive(other, BUFFER_MESSAGES))[-1] == b"for the other"
            assert len(await receive(strict, BUFFER_MESSAGES)) == BUFFER_MESSAGES
            assert strict.dropped == 0

    async def test_a_subscription_that_ends_lets_its_publishers_go(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC):
            await fill(broker)
            publishing = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b""))
            await asyncio.sleep(0)
        await soon(publishing)

    async def test_close_tells_the_publishers_that_wait(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC):
            await fill(broker)
            publishing = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b""))
            await asyncio.sleep(0)
            await soon(broker.close(0.01))
            with pytest.raises(BrokerClosed):
                await soon(publishing)
            assert row(broker).dropped == BUFFER_MESSAGES

    async def test_a_message_larger_than_a_buffer_that_refuses(self, broker: MessageBroker) -> None:
        async with broker.subscribe(TOPIC, policy=BufferPolicy.REFUSE):
            with pytest.raises(BufferFull):
                await broker.publish(TOPIC, KITCHEN, bytes(BUFFER_BYTES + 1))


async def settle(delivery: Delivery, how: str) -> None:
    if how == "reject":
        await delivery.reject("for a test")
    else:
        await (delivery.ack() if how == "ack" else delivery.nack())


async def settled(delivery: Delivery) -> bytes:
    await delivery.ack()
    return delivery.message.payload


async def drive(task: asyncio.Task[Delivery]) -> Delivery:
    """A task cannot hold StopAsyncIteration's meaning outside a coroutine; await it in one."""
    return await task
