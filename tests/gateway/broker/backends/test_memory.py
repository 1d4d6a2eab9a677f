"""The memory broker keeps the contract, and what only it promises."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
import pytest_asyncio
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import (
    BrokerClosed,
    BrokerError,
    BufferFull,
    BufferPolicy,
    Durability,
    MessageBroker,
    RoutingKey,
)
from gateway.broker.buffered import MAX_TOPICS
from gateway.broker.opening import open_broker
from gateway.broker.subscription import TURN
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.contract import (
    BUFFER_BYTES,
    BUFFER_MESSAGES,
    HALL,
    KITCHEN,
    OFFICE,
    SETTINGS,
    TOPIC,
    InProcessContract,
    fill,
    receive,
    row,
    soon,
    take,
)


@pytest_asyncio.fixture
async def broker() -> MessageBroker:
    return MemoryBroker(SETTINGS)


class TestMemoryBroker(InProcessContract):
    """The contract."""


# -- receipts


async def test_the_receipt_names_the_durability_and_the_subscribers(broker: MessageBroker) -> None:
    assert (await broker.publish(TOPIC, KITCHEN, b"")).subscribers == 0
    async with (
        broker.subscribe(TOPIC),
        broker.subscribe(TOPIC, "user.ann"),
        broker.subscribe(TOPIC, "user.bob"),
        broker.subscribe(TOPIC, group="workers"),
        broker.subscribe(TOPIC, group="workers"),
    ):
        receipt = await broker.publish(TOPIC, KITCHEN, b"")
    assert (receipt.durability, receipt.subscribers) == (Durability.MEMORY, 3)


async def test_headers_are_copied(broker: MessageBroker) -> None:
    headers = {"a": "1"}
    async with broker.subscribe(TOPIC) as subscription:
        await broker.publish(TOPIC, KITCHEN, b"", headers=headers)
        headers["a"] = "2"
        assert (await take(subscription)).message.headers == {"a": "1"}


# -- how subscriptions are used


async def test_a_subscription_begins_with_async_with(broker: MessageBroker) -> None:
    subscription = broker.subscribe(TOPIC)
    with pytest.raises(BrokerError, match="async with"):
        await anext(subscription)
    with pytest.raises(BrokerError, match="async with"):
        _ = subscription.pending
    async with subscription:
        with pytest.raises(BrokerError, match="once"):
            await subscription.__aenter__()


async def test_an_ended_subscription_yields_nothing(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        await fill(broker, 1)
    assert [delivery async for delivery in subscription] == []
    assert row(broker).subscriptions == row(broker).buffered_messages == 0


async def test_ending_it_ends_its_waiting_reader_but_not_its_groups(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers") as stays:
        other = asyncio.create_task(receive(stays, 1))
        async with broker.subscribe(TOPIC, group="workers") as leaves:
            reader = asyncio.create_task(collect(leaves))
            await asyncio.sleep(0)
        assert await soon(reader) == []
        await broker.publish(TOPIC, KITCHEN, b"still read")
        assert await soon(other) == [b"still read"]


async def collect(subscription: object) -> list[object]:
    return [delivery async for delivery in subscription]  # type: ignore[attr-defined]


async def test_a_group_has_one_policy(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers", policy=BufferPolicy.REFUSE):
        with pytest.raises(BrokerError, match="refuse"):
            await broker.subscribe(TOPIC, group="workers", policy=BufferPolicy.WAIT).__aenter__()
    async with broker.subscribe(TOPIC, group="workers", policy=BufferPolicy.WAIT):
        pass


async def test_the_last_of_a_group_leaves_nothing_behind(broker: MessageBroker) -> None:
    with structlog.testing.capture_logs() as logs:
        async with broker.subscribe(TOPIC, group="workers") as subscription:
            await fill(broker, 3)
            await take(subscription)
        async with broker.subscribe(TOPIC, group="workers") as subscription:
            await broker.publish(TOPIC, KITCHEN, b"new")
            assert await receive(subscription, 1) == [b"new"]
    assert [(entry["event"], entry["lost"]) for entry in logs] == [
        ("messages lost with the last of a group", 3)
    ]
    assert row(broker).dropped == 3


async def test_a_wake_up_that_its_reader_cannot_use_goes_to_the_next(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        first = asyncio.create_task(take(subscription))
        second = asyncio.create_task(receive(subscription, 1))
        await asyncio.sleep(0)
        await broker.publish(TOPIC, KITCHEN, b"one")  # wakes the first reader
        first.cancel()
        assert await soon(second) == [b"one"]


async def test_a_cancelled_reader_leaves_the_line(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        for _ in range(3):
            reader = asyncio.create_task(take(subscription))
            await asyncio.sleep(0)
            reader.cancel()
            await broker.publish(TOPIC, KITCHEN, b"")  # between the cancelling and its arrival
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert await receive(subscription, 1) == [b""]


async def test_delayed_messages_die_with_their_buffer(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        await fill(broker, 1)
        await (await take(subscription)).nack(3600)
        assert subscription.pending == 1
    assert row(broker).buffered_messages == 0
    await soon(broker.close())


# -- bounds


async def test_a_publisher_that_gives_up_makes_room_for_the_next(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        await broker.publish(TOPIC, KITCHEN, bytes(BUFFER_BYTES // 2))
        large = asyncio.create_task(broker.publish(TOPIC, KITCHEN, bytes(BUFFER_BYTES)))
        small = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b"small"))
        await asyncio.sleep(0)
        assert not small.done()  # it waits behind the large one
        large.cancel()
        await soon(small)
        assert (await receive(subscription, 2))[1] == b"small"
        assert row(broker).buffered_messages == 0


async def test_a_stuck_subscriber_holds_up_only_its_own_sessions(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC, "session.s_1"), broker.subscribe(TOPIC) as everything:
        await fill(broker)
        stuck = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b"stuck"))
        await asyncio.sleep(0)
        await receive(everything, BUFFER_MESSAGES + 1)
        await soon(broker.publish(TOPIC, HALL, b"passes"))
        assert await receive(everything, 1) == [b"passes"]
        assert not stuck.done()
    await soon(stuck)


async def test_when_all_is_in_the_subscribers_hands_the_new_one_is_dropped(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC, policy=BufferPolicy.DROP_OLDEST) as subscription:
        await fill(broker)
        taken = [await take(subscription) for _ in range(BUFFER_MESSAGES)]
        await broker.publish(TOPIC, KITCHEN, b"too much")
        assert (subscription.dropped, subscription.pending) == (1, 0)
        await taken[0].nack()
        assert (await take(subscription)).message.payload == b"0"


async def test_a_slow_consumer_is_reported_once_per_episode(broker: MessageBroker) -> None:
    with structlog.testing.capture_logs() as logs:
        async with broker.subscribe(TOPIC, "user.ann", policy=BufferPolicy.DROP_OLDEST) as subscription:
            await fill(broker, BUFFER_MESSAGES + 5)
            await receive(subscription, BUFFER_MESSAGES)
            await fill(broker, BUFFER_MESSAGES + 2)
    assert [entry["event"] for entry in logs] == [
        "slow consumer",
        "slow consumer has caught up",
        "slow consumer",
    ]
    assert logs[0]["pattern"] == "user.ann"
    assert logs[1]["dropped"] == 5


async def test_a_refusal_is_a_slow_consumer_too(broker: MessageBroker) -> None:
    with structlog.testing.capture_logs() as logs:
        async with broker.subscribe(TOPIC, policy=BufferPolicy.REFUSE):
            await fill(broker)
            for _ in range(3):
                with pytest.raises(BufferFull):
                    await broker.publish(TOPIC, KITCHEN, b"")
    assert [entry["event"] for entry in logs] == ["slow consumer"]


async def test_the_number_of_topics_is_bounded(broker: MessageBroker) -> None:
    for number in range(MAX_TOPICS):
        await broker.publish(f"topic.{number}", KITCHEN, b"")
    with pytest.raises(BrokerError, match="1024"):
        await broker.publish("topic.more", KITCHEN, b"")
    assert len(broker.stats()) == MAX_TOPICS


# -- fairness


async def test_a_publisher_that_never_waits_lets_others_run(broker: MessageBroker) -> None:
    turns = 0

    async def bystander() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(bystander())
    for _ in range(10 * TURN):
        await broker.publish(TOPIC, KITCHEN, b"")
    task.cancel()
    assert turns >= 9


async def test_a_reader_of_a_full_buffer_lets_others_run() -> None:
    broker = MemoryBroker(BrokerSettings(buffer_messages=4 * TURN))
    async with broker.subscribe(TOPIC) as subscription:
        await fill(broker, 4 * TURN)
        reader = asyncio.create_task(receive(subscription, 4 * TURN))
        for _ in range(3):
            await asyncio.sleep(0)
            assert not reader.done()
        await soon(reader)


# -- the end


async def test_a_message_that_was_put_off_is_awaited_while_closing(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        await fill(broker, 1)
        await (await take(subscription)).nack(0.01)
        closing = asyncio.create_task(broker.close())
        assert await receive(subscription, 1) == [b"0"]
        await soon(closing)


async def test_publishers_that_wait_are_drained_too(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        await fill(broker)
        publishing = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b"last"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(broker.close())
        assert (await receive(subscription, BUFFER_MESSAGES + 1))[-1] == b"last"
        await soon(asyncio.gather(publishing, closing))


async def test_a_subscription_that_ends_while_closing_is_not_waited_for(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC):
        await fill(broker)
        closing = asyncio.create_task(broker.close(3600))
        await asyncio.sleep(0)
    await soon(closing)


async def test_a_publish_that_gave_way_sees_that_the_broker_closed(broker: MessageBroker) -> None:
    for _ in range(TURN - 1):
        await broker.publish(TOPIC, KITCHEN, b"")
    publishing = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b""))
    await asyncio.sleep(0)
    await broker.close()
    with pytest.raises(BrokerClosed):
        await soon(publishing)


async def test_what_is_lost_with_the_end_is_said(broker: MessageBroker) -> None:
    with structlog.testing.capture_logs() as logs:
        async with broker.subscribe(TOPIC):
            await fill(broker, 2)
            await soon(broker.close(0.0))
    assert [(entry["event"], entry["lost"]) for entry in logs] == [
        ("broker closed with messages unsettled", 2)
    ]


# -- against a model


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.sampled_from([KITCHEN, HALL, OFFICE])),
            st.tuples(st.sampled_from(["take", "ack", "nack", "reject"]), st.just(KITCHEN)),
        ),
        max_size=120,
    ),
    st.sampled_from([BufferPolicy.REFUSE, BufferPolicy.DROP_OLDEST]),
)
def test_a_buffer_behaves_like_its_model(steps: list[tuple[str, RoutingKey]], policy: BufferPolicy) -> None:
    asyncio.run(compare_with_model(steps, policy))


async def compare_with_model(steps: list[tuple[str, RoutingKey]], policy: BufferPolicy) -> None:
    """``waiting`` is always sorted: the order of publication is the order of delivery."""
    broker = MemoryBroker(SETTINGS)
    waiting: list[int] = []
    taken: deque[tuple[int, object]] = deque()
    dropped = settled = 0
    async with broker.subscribe(TOPIC, "user.ann", policy=policy) as subscription:
        for number, (step, key) in enumerate(steps):
            full = len(waiting) + len(taken) == BUFFER_MESSAGES
            if step == "publish":
                wanted = key.user == "ann"
                if wanted and full and policy is BufferPolicy.REFUSE:
                    with pytest.raises(BufferFull):
                        await broker.publish(TOPIC, key, b"%d" % number)
                    continue
                await broker.publish(TOPIC, key, b"%d" % number)
                if wanted and full:
                    dropped += 1
                    if not waiting:
                        continue
                    waiting.pop(0)
                if wanted:
                    waiting.append(number)
            elif step == "take" and waiting:
                delivery = await take(subscription)
                assert int(delivery.message.payload) == waiting[0]
                taken.append((waiting.pop(0), delivery))
            elif step != "take" and taken:
                again, delivery = taken.popleft()  # type: ignore[assignment]
                await (delivery.reject("") if step == "reject" else getattr(delivery, step)())
                settled += step != "nack"
                if step == "nack":
                    waiting = sorted([*waiting, again])
            assert (subscription.pending, subscription.dropped) == (len(waiting), dropped)
            stats = row(broker)
            assert stats.buffered_messages == len(waiting) + len(taken)
            assert stats.acknowledged + stats.rejected == settled


# -- opening by address


def test_an_address_opens_its_broker() -> None:
    assert isinstance(open_broker("memory://", BrokerSettings()), MemoryBroker)


@pytest.mark.parametrize("url", ["", "memory", "user:secret@host", "carrier-pigeon://user:secret@host"])
def test_another_address_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(BrokerError) as caught:
        open_broker(url, BrokerSettings())
    assert "secret" not in str(caught.value)
    assert "memory://" in str(caught.value)


# -- what is erased


async def test_what_is_erased_is_handed_to_nobody_and_the_rest_in_its_order(broker: MessageBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        for key, payload in ((KITCHEN, b"0"), (OFFICE, b"1"), (HALL, b"2"), (OFFICE, b"3")):
            await soon(broker.publish(TOPIC, key, payload))
        held = await take(subscription)
        broker.forget(lambda message: message.routing_key.user == "ann")
        assert held.message.routing_key == KITCHEN
        await held.ack()
        assert await receive(subscription, 2) == [b"1", b"3"]
        await soon(broker.publish(TOPIC, HALL, b"after"))
        assert await receive(subscription, 1) == [b"after"]
        assert (row(broker).buffered_messages, row(broker).buffered_bytes) == (0, 0)
