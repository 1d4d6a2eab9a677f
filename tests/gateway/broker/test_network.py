"""What all brokers on the network have in common, over a wire that does mischief."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from gateway.broker import connection
from gateway.broker.base import (
    BrokerError,
    BrokerStatus,
    BrokerUnavailable,
    BufferPolicy,
    Durability,
    MessageBroker,
    RoutingKey,
)
from gateway.broker.buffered import MAX_TOPICS
from gateway.broker.envelope import UNREADABLE
from gateway.broker.network import NetworkBroker
from gateway.broker.wire import RawMessage
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.backends.pigeons import Loft
from tests.gateway.broker.contract import (
    KITCHEN,
    SETTINGS,
    BrokerContract,
    receive,
    settle,
    soon,
    take,
    until,
)

TOPIC = "pigeon.post"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(connection, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(connection, "STABLE_SECONDS", 0.0)


@pytest.fixture
def loft() -> Loft:
    return Loft()


@pytest_asyncio.fixture
async def broker(loft: Loft) -> AsyncIterator[NetworkBroker]:
    broker = loft.broker(SETTINGS)
    yield broker
    await broker.close(0.0)


class TestOverPigeons(BrokerContract):
    """The contract, by what is common alone."""


class TestOverLeasingPigeons(BrokerContract):
    """The contract again, where deliveries outlive connections."""

    @pytest.fixture
    def loft(self) -> Loft:
        return Loft(lease_seconds=1.0)


async def reconnected(loft: Loft, broker: NetworkBroker) -> None:
    """Break the connection, and return when there is another."""
    before = loft.attempts
    loft.drop()
    await until(lambda: loft.attempts > before and broker.status.connected and len(loft.wires) == 1)


# -- the connection


async def test_what_is_published_without_a_connection_fails_at_once(
    loft: Loft, broker: NetworkBroker
) -> None:
    loft.away = True
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="nobody is here") as caught:
            await soon(broker.publish(TOPIC, KITCHEN, b""))
    assert caught.value.remedy == "come back"


async def test_it_connects_as_soon_as_somebody_is_there(loft: Loft, broker: NetworkBroker) -> None:
    loft.away = True
    async with broker.subscribe(TOPIC) as subscription:
        loft.away = False
        await until(lambda: broker.status.connected)
        await broker.publish(TOPIC, KITCHEN, b"hello")
        assert await receive(subscription, 1) == [b"hello"]


@pytest.mark.parametrize("away", [True, False])
async def test_subscriptions_that_end_while_it_closes_are_in_nobodys_way(
    loft: Loft, broker: NetworkBroker, *, away: bool
) -> None:
    loft.away = away
    listening = 0

    async def listen() -> None:
        nonlocal listening
        async with broker.subscribe(TOPIC):
            listening += 1
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(listen()) for _ in range(3)]
    await until(lambda: listening == len(tasks))
    for task in tasks:
        task.cancel()
    await soon(broker.close(0.0))
    assert {type(end) for end in await asyncio.gather(*tasks, return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_a_subscription_that_is_ending_says_its_goodbye_before_the_connection_ends(
    loft: Loft, broker: NetworkBroker
) -> None:
    """Else what it leaves unsettled would be kept from the others of its group until its lease ends."""
    loft.lingers = asyncio.Event()
    subscription = broker.subscribe(TOPIC, group="workers")
    await subscription.__aenter__()
    await broker.publish(TOPIC, KITCHEN, b"unsettled")
    await take(subscription)
    leaving = asyncio.create_task(subscription.__aexit__(None, None, None))
    await until(lambda: loft.lingering)
    closing = asyncio.create_task(broker.close(0.0))
    for _ in range(100):
        await asyncio.sleep(0)  # no time passes
    assert not closing.done()
    loft.lingers.set()
    await soon(asyncio.gather(leaving, closing))
    assert loft.returned == [1]


@pytest.mark.slow
async def test_it_never_gives_up(loft: Loft, broker: NetworkBroker) -> None:
    loft.away = True
    async with broker.subscribe(TOPIC):
        await until(lambda: loft.attempts > 100)
        loft.away = False
        await until(lambda: broker.status.connected)


async def test_a_good_connection_that_is_lost_is_replaced_at_once(
    loft: Loft, broker: NetworkBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.publish(TOPIC, KITCHEN, b"")
    monkeypatch.setattr(connection, "FIRST_RETRY_SECONDS", 3600.0)
    await reconnected(loft, broker)


@pytest.mark.parametrize("mistake", [asyncio.CancelledError, KeyError, TimeoutError, BrokerUnavailable])
async def test_however_a_library_ends_a_connection_another_is_made(
    loft: Loft, broker: NetworkBroker, mistake: type[BaseException]
) -> None:
    """One whose own task was cancelled says so to whoever closes it; that is no order to give up for ever."""
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.closes_with = mistake
    for _ in range(3):
        await reconnected(loft, broker)
    loft.closes_with = None


async def test_a_cancellation_of_its_own_that_an_adapter_raises_is_a_mistake_of_it(
    loft: Loft, broker: NetworkBroker
) -> None:
    loft.raises = asyncio.CancelledError
    async with broker.subscribe(TOPIC) as subscription:
        assert "failed" in broker.status.reason
        loft.raises = None
        await until(lambda: broker.status.connected)
        await broker.publish(TOPIC, KITCHEN, b"well again")
        assert await receive(subscription, 1) == [b"well again"]


async def test_an_attempt_that_was_swallowed_is_soon_tried_again(
    loft: Loft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs although the network is well again: nobody waits for it as long as for a server at first."""
    monkeypatch.setattr(connection, "FIRST_ATTEMPT_SECONDS", 0.01)
    broker = loft.broker(BrokerSettings(connect_seconds=60.0))
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.swallows = 3
    await reconnected(loft, broker)
    assert loft.attempts == 5
    await broker.close()


async def test_after_a_loss_others_may_come_back_before_anything_is_published(loft: Loft) -> None:
    loft.facts = msgspec.structs.replace(loft.facts, gather_seconds=0.1)
    clock = asyncio.get_running_loop().time
    broker = loft.broker(SETTINGS)
    began = clock()
    await broker.publish(TOPIC, KITCHEN, b"the first connection waits for nobody")
    assert clock() - began < 0.1
    began = clock()
    loft.drop()
    await until(lambda: len(loft.wires) == 1)
    with pytest.raises(BrokerUnavailable):
        await broker.publish(TOPIC, KITCHEN, b"too early")
    loft.drop()  # while it gathers: it begins anew
    await until(lambda: broker.status.connected)
    assert clock() - began >= 0.1
    assert loft.attempts == 3
    await broker.publish(TOPIC, KITCHEN, b"")
    await broker.close()


@pytest.mark.slow
async def test_a_server_that_is_always_slow_gets_the_time_it_needs(
    loft: Loft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_ATTEMPT_SECONDS", 0.01)
    broker = loft.broker(BrokerSettings(connect_seconds=0.3))
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.swallows = 10
    times = [asyncio.get_running_loop().time()]
    loft.drop()
    for attempts in range(2, 9):
        await until(lambda seen=attempts: loft.attempts > seen)  # type: ignore[misc]
        times.append(asyncio.get_running_loop().time())
    assert times[-1] - times[-2] >= 0.29, "the later ones may take connect_seconds"
    await broker.close()


@pytest.mark.slow
async def test_a_connection_on_which_nothing_is_answered_is_given_up(
    loft: Loft, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PING_SECONDS", "PONG_SECONDS", "LATE_SECONDS"):
        monkeypatch.setattr(connection, name, 0.01)
    statuses: list[BrokerStatus] = []
    broker = loft.broker(SETTINGS, statuses.append)
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.mute = True
    await until(lambda: any("does not answer" in status.reason for status in statuses))
    loft.mute = False
    await until(lambda: statuses[-1].connected)
    await broker.close()


@pytest.mark.slow
async def test_an_answer_that_came_while_we_were_busy_counts(
    loft: Loft, broker: NetworkBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process had no time to look for longer than a silent broker gets."""
    monkeypatch.setattr(connection, "PING_SECONDS", 0.01)
    monkeypatch.setattr(connection, "PONG_SECONDS", 0.02)
    await broker.publish(TOPIC, KITCHEN, b"")
    for _ in range(5):
        time.sleep(0.05)  # noqa: ASYNC251 - the whole loop stands still
        await asyncio.sleep(0.01)
    assert loft.attempts == 1


async def test_each_change_is_told_once(loft: Loft) -> None:
    statuses: list[BrokerStatus] = []
    broker = loft.broker(SETTINGS, statuses.append)
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.away = True
    loft.drop()
    await until(lambda: loft.attempts > 5)
    loft.away = False
    await until(lambda: statuses[-1].connected)
    await broker.close()
    assert [status.connected for status in statuses] == [True, False, False, True]
    assert [status.reason for status in statuses] == ["", "a hawk", "nobody is here", ""]
    assert (statuses[0].server, statuses[0].durability) == ("Loft 1", Durability.OS)


async def test_who_is_refused_says_what_to_do_and_tries_again_later(
    loft: Loft, broker: NetworkBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REFUSED_SECONDS", 0.02)
    loft.refuses = "wrong password"
    with pytest.raises(BrokerUnavailable, match="wrong password"):
        await broker.publish(TOPIC, KITCHEN, b"")
    assert broker.status.remedy == "let us in"
    loft.refuses = ""
    await until(lambda: broker.status.connected)


async def test_a_mistake_in_an_adapter_ends_nothing(loft: Loft, broker: NetworkBroker) -> None:
    connect, loft.kept = loft.kept, None  # type: ignore[assignment]  # whatever it does now is a TypeError
    async with broker.subscribe(TOPIC) as subscription:
        assert "failed" in broker.status.reason
        loft.kept = connect
        await until(lambda: broker.status.connected)
        await broker.publish(TOPIC, KITCHEN, b"well again")
        assert await receive(subscription, 1) == [b"well again"]


async def test_a_publish_that_is_not_confirmed_in_time_fails(loft: Loft) -> None:
    broker = loft.broker(BrokerSettings(confirm_seconds=0.01))
    loft.silent = True
    with pytest.raises(BrokerUnavailable, match="not confirmed"):
        await soon(broker.publish(TOPIC, KITCHEN, b""))
    await broker.close()


async def test_a_publish_under_way_fails_when_the_connection_is_lost(
    loft: Loft, broker: NetworkBroker
) -> None:
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.silent = True
    publishing = asyncio.create_task(broker.publish(TOPIC, KITCHEN, b""))
    await asyncio.sleep(0)
    loft.drop()
    with pytest.raises(BrokerUnavailable):
        await soon(publishing)


async def test_what_is_published_while_a_lost_connection_is_put_away_is_told_so(
    loft: Loft, broker: NetworkBroker
) -> None:
    goodbyes = broker._connection._goodbyes
    await broker.publish(TOPIC, KITCHEN, b"")
    loft.drop()
    while not goodbyes:  # noqa: ASYNC110 - one step after the other, so as to meet it at once
        await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable, match="lost"):
        await soon(broker.publish(TOPIC, KITCHEN, b""))


# -- what was in somebody's hands when the connection was lost


async def test_what_was_not_delivered_comes_again_in_order(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        for number in range(4):
            await broker.publish(TOPIC, KITCHEN, b"%d" % number)
        await (await take(subscription)).ack()
        await until(lambda: len(loft.kept[f"{TOPIC}  workers"]) == 3)
        await reconnected(loft, broker)
        again = [await take(subscription) for _ in range(3)]
        assert [delivery.message.payload for delivery in again] == [b"1", b"2", b"3"]
        assert [delivery.attempt for delivery in again] == [2, 2, 2]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_acknowledged_around_a_reconnect_is_shown_once(
    loft: Loft, broker: NetworkBroker, when: str
) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(TOPIC, KITCHEN, b"once")
        delivery = await take(subscription)
        if when == "before":
            loft.deaf = True
            await delivery.ack()
        await reconnected(loft, broker)
        loft.deaf = False
        if when == "after":
            await delivery.ack()
        await until(lambda: not loft.kept[f"{TOPIC}  workers"])
        await broker.publish(TOPIC, KITCHEN, b"next")
        assert await receive(subscription, 1) == [b"next"]


async def test_what_is_nacked_after_a_reconnect_is_still_ours(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(TOPIC, KITCHEN, b"again")
        delivery = await take(subscription)
        await reconnected(loft, broker)
        await delivery.nack()
        again = await take(subscription)
        assert (again.message.payload, again.attempt) == (b"again", 2)
        await again.ack()
        await until(lambda: not loft.kept[f"{TOPIC}  workers"])


async def test_a_lease_outlives_the_connection(broker: NetworkBroker) -> None:
    loft = Loft(lease_seconds=0.03)
    broker = loft.broker(SETTINGS)
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        for number in range(3):
            await broker.publish(TOPIC, KITCHEN, b"%d" % number)
        delivery = await take(subscription)
        await reconnected(loft, broker)
        loft.renewed.clear()
        await until(lambda: loft.renewed == {1, 2, 3})
        await delivery.ack()
        assert await receive(subscription, 2) == [b"1", b"2"]
        await until(lambda: not loft.kept[f"{TOPIC}  workers"])
    await broker.close()


async def test_without_a_group_what_is_here_stays_here(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC) as subscription:
        for number in range(3):
            await broker.publish(TOPIC, KITCHEN, b"%d" % number)
        await until(lambda: subscription.pending == 3)
        name = next(iter(loft.kept))
        loft.kept[name].clear()  # a queue that belonged to the connection
        await reconnected(loft, broker)
        assert await receive(subscription, 3) == [b"0", b"1", b"2"]


async def test_a_settlement_that_fails_is_repeated(
    loft: Loft, broker: NetworkBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.broker.feed.RETRY_SECONDS", 0.001)
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(TOPIC, KITCHEN, b"")
        loft.deaf = True
        await (await take(subscription)).ack()
        await asyncio.sleep(0.01)
        loft.deaf = False
        await until(lambda: not loft.kept[f"{TOPIC}  workers"])


# -- what comes from anybody


async def foreign(loft: Loft, broker: MessageBroker, received: RawMessage) -> object:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        loft.put(TOPIC, received)
        delivery = await take(subscription)
        await delivery.ack()
        return delivery.message


async def test_ids_are_found_in_the_body(loft: Loft, broker: NetworkBroker) -> None:
    body = b'{"message_id": "m_7", "correlation_id": "c_7", "text": "hi"}'
    message = await foreign(loft, broker, RawMessage(key="ann.kitchen.s_1", payload=body))
    assert (message.message_id, message.correlation_id, message.payload) == ("m_7", "c_7", body)  # type: ignore[attr-defined]
    assert message.timestamp > 1_700_000_000  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{", b'{"message_id": 7}', b'{"message_id": null}', b'{"a":' * 800]
)
async def test_a_body_without_ids_is_named_by_its_place(
    loft: Loft, broker: NetworkBroker, body: bytes
) -> None:
    message = await foreign(loft, broker, RawMessage(key="ann.kitchen.s_1", payload=body))
    assert message.message_id == "at 1"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "key", ["", "a", "a.b", "a.b.c.d", "a.b.c d", "a.b.\x00", "ü.b.c", "a..c", "x" * 500]
)
async def test_what_has_no_key_is_a_dead_letter(loft: Loft, broker: NetworkBroker, key: str) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        loft.put(TOPIC, RawMessage(key=key, payload=b"whose?"))
        loft.put(TOPIC, RawMessage(key="ann.kitchen.s_1", payload=b"mine"))
        assert await receive(subscription, 1) == [b"mine"]
        await until(lambda: not loft.kept[f"{TOPIC}  workers"])
    (letter,) = broker.dead_letters()
    assert (letter.message.routing_key, letter.message.payload) == (UNREADABLE, b"whose?")
    assert [message.payload for message in loft.dead] == [b"whose?"]


async def test_what_is_larger_than_a_buffer_is_a_dead_letter(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        loft.put(TOPIC, RawMessage(key="ann.kitchen.s_1", payload=bytes(SETTINGS.buffer_bytes + 1)))
        loft.put(TOPIC, RawMessage(key="ann.kitchen.s_1", payload=b"fits"))
        assert await receive(subscription, 1) == [b"fits"]
        assert "whole buffer" in broker.dead_letters()[0].reason


async def test_what_the_pattern_does_not_want_is_settled_unseen(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, "session.s_1", group="workers") as subscription:
        loft.put(TOPIC, RawMessage(key="ann.hall.s_2", payload=b"not mine"))
        loft.put(TOPIC, RawMessage(key="ann.kitchen.s_1", payload=b"mine"))
        assert await receive(subscription, 1) == [b"mine"]
        await until(lambda: not loft.kept[f"{TOPIC} session.s_1 workers"])


# -- dead letters


async def test_a_dead_letter_is_settled_after_it_was_published(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(TOPIC, KITCHEN, b"bad", message_id="m_1", headers={"traceparent": "00"})
        await (await take(subscription)).reject("line one\nline two")
        await until(lambda: not loft.kept[f"{TOPIC}  workers"])
    (letter,) = loft.dead
    assert dict(letter.headers) == {
        "traceparent": "00",
        "earshot-dead-reason": "line one line two",
        "earshot-dead-topic": TOPIC,
        "earshot-dead-group": "workers",
        "earshot-dead-attempt": "1",
    }


async def test_a_dead_letter_that_is_rejected_is_not_another(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe("dead.letters", group="undertakers") as subscription:
        await broker.publish("dead.letters", KITCHEN, b"dead")
        await (await take(subscription)).reject("unreadable")
        await until(lambda: not loft.kept["dead.letters  undertakers"])
    assert len(loft.dead) == 1


# -- bounds


async def test_a_group_has_one_policy(broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers"):
        with pytest.raises(BrokerError, match="policy wait"):
            await broker.subscribe(TOPIC, group="workers", policy=BufferPolicy.DROP_OLDEST).__aenter__()


async def test_topics_are_bounded(broker: NetworkBroker) -> None:
    for number in range(MAX_TOPICS):
        await broker.publish(f"topic.{number}", KITCHEN, b"")
    with pytest.raises(BrokerError, match="topics already"):
        await broker.publish("one.more", KITCHEN, b"")


async def test_no_more_is_taken_than_was_asked_for(loft: Loft) -> None:
    broker = loft.broker(BrokerSettings(prefetch=2))
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        for number in range(5):
            await broker.publish(TOPIC, KITCHEN, b"%d" % number)
        assert subscription.pending == 2
        assert await receive(subscription, 5) == [b"0", b"1", b"2", b"3", b"4"]
    await broker.close()


async def test_what_is_not_settled_in_the_end_is_given_back(loft: Loft, broker: NetworkBroker) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        for number in range(3):
            await broker.publish(TOPIC, KITCHEN, b"%d" % number)
        await (await take(subscription)).ack()
        await take(subscription)
    assert loft.returned == [2, 3]
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        assert await receive(subscription, 2) == [b"1", b"2"]


# -- all of it at once


@pytest.mark.parametrize("lease_seconds", [None, 0.05])
@pytest.mark.parametrize("seed", range(8))
async def test_mischief_loses_nothing_and_keeps_each_sessions_order(
    seed: int, lease_seconds: float | None
) -> None:
    chance = random.Random(seed)
    loft = Loft(lease_seconds=lease_seconds, mischief=chance)
    sender, receiver = loft.broker(SETTINGS), loft.broker(SETTINGS)
    sessions = [RoutingKey("ann", "hub", f"s_{number}") for number in range(3)]
    heard: dict[str, list[str]] = {key.session: [] for key in sessions}

    async def speak(key: RoutingKey) -> None:
        for number in range(40):
            message_id = f"{key.session}-{number}"
            while True:
                try:
                    await sender.publish(TOPIC, key, b"", message_id=message_id)
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0.001)

    async def listen() -> None:
        async with receiver.subscribe(TOPIC, group="workers") as subscription:
            listening.set()
            async for delivery in subscription:
                message = delivery.message
                if message.message_id not in heard[message.routing_key.session]:
                    heard[message.routing_key.session].append(message.message_id)
                if chance.random() < 0.05:
                    loft.drop()
                if chance.random() < 0.1:
                    await asyncio.sleep(0)
                await settle(delivery, chance.choices(["ack", "nack"], [9, 1])[0])

    listening = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen())
        await soon(listening.wait())
        await soon(asyncio.gather(*map(speak, sessions)))
        expected = {key.session: [f"{key.session}-{number}" for number in range(40)] for key in sessions}
        loft.mischief = None
        await until(lambda: heard == expected and not loft.kept[f"{TOPIC}  workers"])
        await asyncio.gather(sender.close(), receiver.close())
