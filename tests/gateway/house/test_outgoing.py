"""What a gateway shows, on its way to the other hubs: in order, together, bounded, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from msgspec import structs

from gateway.broker.base import BrokerClosed, BrokerUnavailable, Durability, Receipt, RoutingKey
from gateway.contract.events import HubEvent, HubEventBase
from gateway.contract.house import EVENTS_TOPIC, MOST_IN_BATCH, EventBatch, decode_batch
from gateway.house import outgoing as house_outgoing
from gateway.house.outgoing import BATCH_BYTES, MOST_ON_THEIR_WAY, MOST_PENDING, PENDING_BYTES, Outgoing
from gateway.hub.fanout import Serialized
from tests.gateway.events import partial, reply
from tests.record import Record, passes
from tests.system.house import running


class Post:
    """The broker's end that a gateway writes to; it may be away, slow, or closed."""

    def __init__(self) -> None:
        self.batches = Record()
        self.names: list[str] = []
        self.keys: set[tuple[str, RoutingKey]] = set()
        self.tries = 0
        self.is_away = False
        self.is_closed = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def publish(
        self,
        topic: str,
        routing_key: RoutingKey,
        payload: bytes,
        *,
        message_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Receipt:
        self.tries += 1
        await self.goes_on.wait()
        if self.is_closed:
            raise BrokerClosed("closed")
        if self.is_away:
            raise BrokerUnavailable("away")
        self.keys.add((topic, routing_key))
        self.names.append(message_id)
        self.batches(decode_batch(payload))
        return Receipt(message_id, Durability.MEMORY, 0)

    @property
    def seqs(self) -> list[int]:
        return [seq_of(bytes(event)) for batch in self.batches.items for event in batch.events]


def seq_of(event: bytes) -> int:
    return int(event.partition(b'"seq":')[2].partition(b",")[0])


def item(seq: int, event: HubEvent | None = None) -> Serialized:
    return Serialized(structs.replace(event or reply(f"r{seq}", seq), epoch="e_1", seq=seq))


def outgoing(*, watched: bool = False) -> Outgoing:
    return Outgoing("north", "e_1", lambda _event: watched)


async def all_sent(out: Outgoing, post: Post) -> None:
    with running(out.run(post)):  # type: ignore[arg-type]
        await asyncio.wait_for(out.drain(), 10)


async def test_all_that_waits_goes_together_and_names_what_was_before() -> None:
    out, post = outgoing(), Post()
    for seq in range(1, 6):
        out.put(item(seq))
    await all_sent(out, post)
    (batch,) = post.batches.items
    assert (batch.gateway, batch.epoch, batch.after) == ("north", "e_1", 0)
    assert post.seqs == [1, 2, 3, 4, 5]
    assert post.keys == {(EVENTS_TOPIC, RoutingKey("house", "north", "events"))}
    assert out.seq == 5


async def test_what_comes_meanwhile_goes_next_after_the_one_before() -> None:
    out, post = outgoing(), Post()
    post.goes_on.clear()
    with running(out.run(post)):  # type: ignore[arg-type]
        out.put(item(1))
        await passes(lambda: post.tries == 1)
        for seq in (2, 3, 4):
            out.put(item(seq))
        post.goes_on.set()
        await post.batches.first(EventBatch, count=2)
    first, second = post.batches.items
    assert (len(first.events), first.after) == (1, 0)
    assert (len(second.events), second.after) == (3, 1)


async def test_an_event_does_not_wait_for_the_brokers_word_on_those_before() -> None:
    """Its transcript may be out already: who is killed then would have shown it to nobody elsewhere."""
    out, post = outgoing(), Post()
    post.goes_on.clear()
    with running(out.run(post)):  # type: ignore[arg-type]
        for seq in range(1, MOST_ON_THEIR_WAY + 3):
            out.put(item(seq))
            await passes(lambda seq=seq: post.tries == min(seq, MOST_ON_THEIR_WAY))
        post.goes_on.set()
        await asyncio.wait_for(out.drain(), 10)
    assert post.seqs == list(range(1, MOST_ON_THEIR_WAY + 3))
    assert [batch.after for batch in post.batches.items] == [*range(MOST_ON_THEIR_WAY), MOST_ON_THEIR_WAY]


async def test_what_nobody_watches_stays_here_and_leaves_no_gap() -> None:
    out, post = outgoing(), Post()
    out.put(item(1))
    out.put(item(2, partial("a")))
    out.put(item(3))
    await all_sent(out, post)
    out.put(item(4, partial("b")))
    out.put(item(5))
    await all_sent(out, post)
    assert post.seqs == [1, 3, 5]
    assert [batch.after for batch in post.batches.items] == [0, 3]


async def test_what_is_watched_goes_and_counts_for_nothing_that_was_missed() -> None:
    out, post = outgoing(watched=True), Post()
    out.put(item(1))
    await all_sent(out, post)
    out.put(item(2, partial("a")))
    await all_sent(out, post)
    out.put(item(3))
    await all_sent(out, post)
    assert post.seqs == [1, 2, 3]
    assert [batch.after for batch in post.batches.items] == [0, 1, 1]
    assert out.seq == 3


async def test_two_batches_never_go_by_one_name() -> None:
    """Brokers leave out what goes by the name of what they had."""
    out, post = outgoing(watched=True), Post()
    for seq in range(1, 9):
        out.put(item(seq, partial("same", 1)))
        await all_sent(out, post)
    assert len(set(post.names)) == len(post.batches.items) == 8


async def test_a_batch_that_was_not_taken_goes_again_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house_outgoing, "AGAIN_SECONDS", 0.01)
    out, post = outgoing(), Post()
    post.is_away = True
    with running(out.run(post)):  # type: ignore[arg-type]
        out.put(item(1))
        await passes(lambda: post.tries >= 3)
        out.put(item(2))
        post.is_away = False
        await passes(lambda: post.seqs == [1, 2])
    assert [batch.after for batch in post.batches.items] == [0, 1]
    assert len(post.names) == 2


async def test_a_large_event_goes_alone_and_a_batch_has_its_bounds() -> None:
    out, post = outgoing(), Post()
    out.put(item(1))
    out.put(item(2, reply("x" * (BATCH_BYTES + 1), 2)))
    out.put(item(3))
    await all_sent(out, post)
    assert [len(batch.events) for batch in post.batches.items] == [1, 1, 1]
    for seq in range(4, 4 + MOST_IN_BATCH + 10):
        out.put(item(seq))
    await all_sent(out, post)
    assert all(len(batch.events) <= MOST_IN_BATCH for batch in post.batches.items)
    assert post.seqs == list(range(1, 4 + MOST_IN_BATCH + 10))


async def test_what_waits_too_long_is_left_to_be_asked_for() -> None:
    """The next batch says after which event it comes: who lacks that one asks."""
    out, post = outgoing(), Post()
    for seq in range(1, MOST_PENDING + 11):
        out.put(item(seq))
    assert out.dropped == 10
    await all_sent(out, post)
    assert post.batches.items[0].after == 10
    assert post.seqs == list(range(11, MOST_PENDING + 11))


async def test_large_things_that_wait_are_bounded_by_their_bytes() -> None:
    out, post = outgoing(), Post()
    size = PENDING_BYTES // 8
    for seq in range(1, 13):
        out.put(item(seq, reply("x" * size, seq)))
    assert 0 < 12 - out.dropped < 8
    await all_sent(out, post)
    assert post.seqs == list(range(out.dropped + 1, 13))
    assert post.batches.items[0].after == out.dropped


async def test_it_ends_with_its_broker() -> None:
    out, post = outgoing(), Post()
    post.is_closed = True
    out.put(item(1))
    await asyncio.wait_for(out.run(post), 10)  # type: ignore[arg-type]


async def test_the_end_does_not_wait_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house_outgoing, "DRAIN_SECONDS", 0.05)
    out, post = outgoing(), Post()
    post.is_away = True
    out.put(item(1))
    with running(out.run(post)):  # type: ignore[arg-type]
        await out.drain()
    assert post.seqs == []


def test_who_is_asked_whether_somebody_watches_is_asked_of_the_event() -> None:
    asked: list[HubEventBase] = []

    def watched(event: HubEventBase) -> bool:
        asked.append(event)
        return False

    out = Outgoing("north", "e_1", watched)
    out.put(item(1, partial("a")))
    assert [event.seq for event in asked] == [1]
    assert out.seq == 0
