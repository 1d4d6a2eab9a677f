"""A feed between a server and its readers, whatever either does: what was taken is settled, and once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker import feed as feeds
from gateway.broker.base import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    BufferFull,
    BufferPolicy,
    Durability,
    Message,
)
from gateway.broker.buffer import Bounds, BufferedDelivery, Counters, Member, Readership
from gateway.broker.feed import Feed
from gateway.broker.patterns import EVERYTHING, parse_pattern
from gateway.broker.rejected import DeadLetters
from gateway.broker.wire import Demand, Intake, RawMessage, ServerFacts
from gateway.contract.messages import DEAD_TOPIC
from tests.gateway.broker.contract import until

TOPIC = "pigeon.post"
BOUNDS = Bounds(messages=8, bytes=200)


class Server:
    """Hands out what it is told to, and notes what is settled. Its tokens are numbers."""

    place = ""

    def __init__(self, *, lease_seconds: float | None = None) -> None:
        self.facts = ServerFacts(name="S", version="1", durability=Durability.OS, lease_seconds=lease_seconds)
        self.settled: Counter[int] = Counter()
        self.returned: list[int] = []
        self.renewed: set[int] = set()
        self.letters: list[Message] = []
        self.refuses: BrokerError | None = None
        self.deaf = False
        self.demands: list[Demand] = []
        self.lets_in = asyncio.Event()
        self.lets_in.set()

    async def send(self, message: Message) -> Durability:
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.letters.append(message)
        return Durability.OS

    async def consume(self, demand: Demand, intake: Intake) -> Server:
        del intake
        self.demands.append(demand)
        await self.lets_in.wait()
        return self

    async def settle(self, tokens: Sequence[int]) -> None:
        await asyncio.sleep(0)
        if self.deaf:
            raise BrokerUnavailable("what?")
        self.settled.update(tokens)

    async def renew(self, tokens: Sequence[int]) -> None:
        self.renewed.update(tokens)
        if self.deaf:
            raise BrokerUnavailable("what?")

    async def publish(self, message: Message) -> Durability:
        return await self.send(message)

    async def ping(self) -> None:
        """It is there."""

    async def close(self, unsettled: Sequence[int] = ()) -> None:
        self.returned += unsettled


@asynccontextmanager
async def reading(
    server: Server,
    *,
    topic: str = TOPIC,
    group: str = "workers",
    pattern: str = "",
    policy: BufferPolicy = BufferPolicy.WAIT,
    prefetch: int = 8,
) -> AsyncIterator[tuple[Feed, dict[int, BufferedDelivery]]]:
    feed = Feed(
        Readership(topic, parse_pattern(pattern) if pattern else EVERYTHING, group),
        BOUNDS,
        policy,
        prefetch=prefetch,
        counters=Counters(),
        dead=DeadLetters(),
        send=server.send,
    )
    async with asyncio.TaskGroup() as tasks:
        await feed.attach(server, tasks)
        yield feed, feed.buffer.join()
        await feed.detach()


def received(token: int | None, name: str = "", **fields: Any) -> RawMessage:
    return RawMessage(
        **{"key": "ann.kitchen.s_1", "payload": b"x", "token": token, "message_id": name, **fields}
    )


async def quiet(feed: Feed) -> None:
    """Until everything is told to the server."""
    async with asyncio.timeout(10.0):
        await feed._idle.wait()


KINDS = ["new", "new", "again", "foreign key", "no key", "too large", "not wanted"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*KINDS, "take", "take", "ack", "ack", "nack", "reject", "turn"]), st.integers(0, 9)
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([BufferPolicy.WAIT, BufferPolicy.DROP_OLDEST]))
async def test_every_token_is_settled_once_and_no_other(
    steps: list[tuple[str, int]], policy: BufferPolicy
) -> None:
    server, tokens, in_hand = Server(), 0, list[BufferedDelivery]()
    async with reading(server, pattern="user.ann", policy=policy) as (feed, member):
        for step, number in steps:
            if step in KINDS:
                tokens += 1
                feed.take(made(step, number, tokens))
            elif step == "take":
                delivery = feed.buffer.take(member)
                if delivery is not None:
                    names = [one.message.message_id for one in in_hand]
                    assert delivery.message.message_id not in names, (
                        "nobody is shown what another has in hand"
                    )
                    in_hand.append(delivery)
            elif step == "turn":
                await asyncio.sleep(0)
            elif in_hand:
                delivery = in_hand.pop(number % len(in_hand))
                await {
                    "ack": delivery.ack,
                    "nack": delivery.nack,
                    "reject": lambda d=delivery: d.reject("no"),
                }[step]()  # type: ignore[misc]
        await quiet(feed)
        assert server.settled.keys().isdisjoint(feed._held_tokens())
        for delivery in in_hand:
            await delivery.ack()
        while (waiting := feed.buffer.take(member)) is not None:
            await waiting.ack()
        await quiet(feed)
    assert server.settled == Counter(range(1, tokens + 1)), "neither forgotten nor told twice"
    assert not feed._held
    assert not feed._unconfirmed


def made(kind: str, number: int, token: int) -> RawMessage:
    match kind:
        case "again":
            return received(token, f"m_{number % 3}", attempt=2)
        case "foreign key":
            return received(token, key="bob.hall.s_2")
        case "no key":
            return received(token, key=["", "a", "a.b.c.d", "ü.b.c"][number % 4])
        case "too large":
            return received(token, payload=bytes(BOUNDS.bytes + 1))
        case "not wanted":
            return received(token, key="bob.kitchen.s_1")
        case _:
            return received(token, f"m_{number}")


# -- what a server does with messages that cannot be dead letters


@pytest.mark.parametrize(
    "error", [BrokerRefused("not allowed"), BufferFull("too large"), BrokerError("too long")]
)
async def test_a_letter_that_is_refused_for_good_does_not_hold_up_the_others(error: BrokerError) -> None:
    server = Server()
    async with reading(server) as (feed, member):
        server.refuses = error
        feed.take(received(1, "m_1"))
        feed.take(received(2, "m_2"))
        for _ in range(2):
            delivery = feed.buffer.take(member)
            assert delivery is not None
            await delivery.reject("no")
        await quiet(feed)
    assert server.settled == Counter([1, 2])
    assert server.letters == []


async def test_a_letter_waits_for_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_SECONDS", 0.001)
    server = Server()
    async with reading(server) as (feed, member):
        server.refuses = BrokerUnavailable("not now")
        feed.take(received(1, "m_1"))
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await delivery.reject("no")
        feed.take(received(2, "m_1"))  # the server thinks that it was lost
        for _ in range(20):
            await asyncio.sleep(0)
        assert not server.settled
        server.refuses = None
        await until(lambda: server.settled == Counter([1, 2]))
    (letter,) = server.letters
    assert letter.message_id == "m_1"


async def test_a_rejected_dead_letter_is_not_buried_again() -> None:
    """Or whoever reads them and cannot would fill the topic for ever."""
    server = Server()
    async with reading(server, topic=DEAD_TOPIC) as (feed, member):
        feed.take(received(1, "m_1"))
        feed.take(received(2, key="no key"))
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await delivery.reject("cannot read it")
        await quiet(feed)
    assert server.letters == []
    assert server.settled == Counter([1, 2])


# -- when the connection is lost


@pytest.mark.parametrize("lease_seconds", [None, 30.0])
async def test_what_is_in_hand_over_a_reconnect_is_settled_by_the_token_that_counts(
    lease_seconds: float | None,
) -> None:
    server = Server(lease_seconds=lease_seconds)
    async with reading(server) as (feed, member), asyncio.TaskGroup() as tasks:
        feed.take(received(1, "m_1"))
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await feed.detach()
        again = Server(lease_seconds=lease_seconds)
        await feed.attach(again, tasks)
        if lease_seconds is None:
            feed.take(received(7, "m_1", attempt=2))
        await delivery.ack()
        assert feed.buffer.take(member) is None, "it was shown once"
        await until(lambda: bool(again.settled))
        assert again.settled == Counter([7 if lease_seconds is None else 1])
        await feed.detach()


async def answer_unheard(server: Server, feed: Feed, member: Member) -> None:
    """m_1 is acknowledged, and the connection dies before the server hears of it."""
    server.deaf = True
    feed.take(received(1, "m_1"))
    delivery = feed.buffer.take(member)
    assert delivery is not None
    await delivery.ack()
    await feed.detach()


async def test_what_was_acknowledged_and_not_heard_is_settled_when_it_comes_again() -> None:
    server = Server()
    async with reading(server) as (feed, member), asyncio.TaskGroup() as tasks:
        await answer_unheard(server, feed, member)
        again = Server()
        await feed.attach(again, tasks)
        feed.take(received(9, "m_1", attempt=2))
        feed.take(received(10, "m_2"))
        assert feed.buffer.pending == 1
        assert feed.repeated == 1
        await until(lambda: again.settled == Counter([9]))
        await feed.detach()


async def test_what_was_answered_and_is_published_again_is_shown_again() -> None:
    """Its publisher would not have done so if the answer had arrived."""
    server = Server()
    async with reading(server) as (feed, member), asyncio.TaskGroup() as tasks:
        await answer_unheard(server, feed, member)
        await feed.attach(Server(), tasks)
        feed.take(received(9, "m_1", attempt=1))
        assert feed.buffer.pending == 1
        await feed.detach()


@pytest.mark.parametrize("group", ["", "workers"])
async def test_what_nobody_has_in_hand_is_forgotten_only_where_it_comes_again(group: str) -> None:
    server = Server()
    async with reading(server, group=group) as (feed, _):
        for number in range(3):
            feed.take(received(number + 1 if group else None, f"m_{number}"))
        await feed.detach()
        assert feed.buffer.pending == (0 if group else 3)


async def test_a_new_consumer_goes_on_behind_the_last_place() -> None:
    server = Server()
    async with reading(server, group="") as (feed, _), asyncio.TaskGroup() as tasks:
        feed.take(received(None, "m_1", place="17"))
        feed.take(received(None, "m_2", place=""))
        await feed.detach()
        await feed.attach(server, tasks)
        assert [demand.after for demand in server.demands] == ["", "17"]
        assert len({demand.name for demand in server.demands}) == 1
        await feed.detach()


async def test_who_has_received_nothing_goes_on_where_it_began() -> None:
    server = Server()
    server.place = "9"
    async with reading(server, group="") as (feed, _), asyncio.TaskGroup() as tasks:
        await feed.detach()
        server.place = "12"
        await feed.attach(server, tasks)
        await feed.detach()
        await feed.attach(server, tasks)
        assert [demand.after for demand in server.demands] == ["", "9", "9"]
        await feed.detach()


@pytest.mark.parametrize("lease_seconds", [None, 30.0])
async def test_a_connection_that_is_lost_while_a_feed_attaches_holds_it_no_longer(
    lease_seconds: float | None,
) -> None:
    """Its worker would outlive the connection's other tasks, which then never ended: no other was made."""
    lost, next_one = Server(lease_seconds=lease_seconds), Server()
    async with reading(Server()) as (feed, member):
        await feed.detach()
        async with asyncio.TaskGroup() as tasks:
            lost.lets_in.clear()
            attaching = [asyncio.create_task(feed.attach(lost, tasks)) for _ in range(2)]
            await until(lambda: bool(lost.demands))
            feed.take(received(1, "m_1"))
            await feed.detach()
            lost.lets_in.set()
        async with asyncio.timeout(5.0):
            await asyncio.gather(*attaching)
        assert len(lost.demands) == 1
        async with asyncio.TaskGroup() as tasks:
            await feed.attach(next_one, tasks)
            feed.take(received(2, "m_1"))
            delivery = feed.buffer.take(member)
            assert delivery is not None
            await delivery.ack()
            await quiet(feed)
            await feed.detach()
    assert next_one.settled[2] == 1


async def test_at_its_end_what_comes_is_for_others_and_keeps_its_order() -> None:
    server = Server()
    async with reading(server) as (feed, member):
        for number in range(1, 4):
            feed.take(received(number, f"m_{number}"))
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await delivery.ack()
        feed.stop_taking()
        feed.take(received(4, "m_4"))
        await feed.end()
    assert server.settled == Counter([1])
    assert server.returned == [2, 3, 4]


async def test_a_feed_ends_also_at_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "FLUSH_SECONDS", 0.02)
    server = Server()
    async with reading(server) as (feed, member):
        server.deaf = True
        feed.take(received(1, "m_1"))
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await delivery.ack()
        async with asyncio.timeout(5.0):
            await feed.end()


async def test_leases_are_renewed_for_all_that_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_SECONDS", 0.001)
    server = Server(lease_seconds=0.003)
    async with reading(server) as (feed, member):
        server.refuses = BrokerUnavailable("not now")
        feed.take(received(1, "m_1"))
        feed.take(received(2, "m_2"))
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await delivery.reject("no")
        await until(lambda: server.renewed == {1, 2})
        server.deaf = True  # a renewal that fails is tried again, and ends nothing
        server.renewed.clear()
        await until(lambda: server.renewed == {1, 2})
        server.deaf, server.refuses = False, None
        await until(lambda: server.settled == Counter([1]))


# -- how much is asked for


@given(st.lists(st.sampled_from(["take", "in", "ack"]), max_size=60), st.integers(1, 12))
async def test_never_more_is_asked_for_than_there_is_room_for(steps: list[str], prefetch: int) -> None:
    server, number, in_hand = Server(), 0, list[BufferedDelivery]()
    async with reading(server, prefetch=prefetch) as (feed, member):
        for step in steps:
            asked = feed._has_room()
            assert feed.buffer.held + asked <= max(feed.buffer.held, min(prefetch, BOUNDS.messages))
            if step == "in" and asked:
                number += 1
                feed.take(received(number, f"m_{number}"))
            elif step == "take" and (delivery := feed.buffer.take(member)) is not None:
                in_hand.append(delivery)
            elif step == "ack" and in_hand:
                await in_hand.pop(0).ack()
        for delivery in in_hand:
            await delivery.ack()
        while (waiting := feed.buffer.take(member)) is not None:
            await waiting.ack()
        assert await asyncio.wait_for(feed.room(), 5.0) == min(prefetch, BOUNDS.messages), (
            "all of it is free again"
        )


async def test_who_waits_for_room_hears_of_it() -> None:
    server = Server()
    async with reading(server, prefetch=1) as (feed, member):
        feed.take(received(1, "m_1"))
        waiting = asyncio.create_task(feed.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        delivery = feed.buffer.take(member)
        assert delivery is not None
        await delivery.ack()
        assert await asyncio.wait_for(waiting, 5.0) == 1
