"""What a hub has missed, asked of others; and what strangers, liars and the silent make of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec import structs

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import Durability, Receipt, RoutingKey
from gateway.contract.house import (
    ASKS_TOPIC,
    EVENTS_TOPIC,
    MOST_EPOCHS_ASKED,
    MOST_STANDING,
    TOLD_TOPIC,
    HouseAsk,
    HouseTold,
    decode_ask,
    decode_shown,
    decode_told,
    number_of,
)
from gateway.contract.messages import BadMessage, encode
from gateway.house import asks as house_asks
from gateway.house import presence
from gateway.house.asks import HouseAsks
from gateway.house.outgoing import BATCH_BYTES
from gateway.settings.web import WebSettings
from tests.gateway.events import device, reply
from tests.gateway.house.houses import SETTINGS, Box, Ear, house, know_each_other
from tests.record import Record, passes
from tests.system.house import running

pytestmark = pytest.mark.slow


class Lossy(MemoryBroker):
    """A broker that loses what it is told to lose, of one topic."""

    lost: str = ""

    async def publish(self, topic: str, *args: object, **options: object) -> Receipt:
        if topic == self.lost:
            return Receipt("m", Durability.MEMORY, 0)
        return await super().publish(topic, *args, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "GATEWAY_SECONDS", 0.1)
    monkeypatch.setattr(house_asks, "TELL_SECONDS", 0.3)
    monkeypatch.setattr(house_asks, "AGAIN_SECONDS", 0.05)


@pytest.fixture
async def broker() -> AsyncIterator[Lossy]:
    there = Lossy()
    yield there
    await there.close(0)


def asks(box: Box) -> HouseAsks:
    assert box.sharing._asks is not None
    return box.sharing._asks


async def listen(broker: MemoryBroker, told: Record, began: asyncio.Event) -> None:
    async with broker.subscribe(TOLD_TOPIC, "device.stranger") as deliveries:
        began.set()
        async for delivery in deliveries:
            told(decode_told(delivery.message.payload))
            await delivery.ack()


async def ask(broker: MemoryBroker, of: Box, **wants: object) -> list[HouseTold]:
    """As somebody does who knows the protocol."""
    told, began = Record(), asyncio.Event()
    with running(listen(broker, told, began)):
        await began.wait()
        question = HouseAsk(ask="a_1", gateway="stranger", to=of.presence.instance, **wants)  # type: ignore[arg-type]
        await broker.publish(ASKS_TOPIC, RoutingKey("house", of.name, "stranger"), encode(question))
        await told.first(HouseTold, last=True)
    return list(told.items)


def seqs(told: list[HouseTold], epoch: str) -> list[int]:
    return [number_of(epoch, raw) for part in told if part.epoch == epoch for raw in part.events]


async def test_an_ask_is_answered_with_what_came_after(broker: Lossy) -> None:
    async with house(broker, "north", "south") as (north, south):
        north.say(*(reply(f"r{number}", number) for number in range(6)))
        await passes(lambda: len(south.snapshot().conversation) == 6)
        epoch = north.hub.epoch
        assert seqs(await ask(broker, north, after={epoch: 2}), epoch) == [3, 4, 5, 6]
        told = await ask(broker, south, after={epoch: 4})
        assert seqs(told, epoch) == [5, 6], "whoever has it tells it"
        assert [part.of for part in told if part.epoch] == ["north"]


async def test_a_whole_ask_is_told_of_all_that_there_is(broker: Lossy) -> None:
    async with house(broker, "north", "south") as (north, south):
        north.say(reply("n"))
        south.say(reply("s", 2), device("ward"))
        await passes(lambda: len(north.snapshot().conversation) == 2 and "ward" in north.states())
        told = await ask(broker, north, whole=True)
        assert {part.epoch for part in told if part.epoch} == {north.hub.epoch, south.hub.epoch}
        assert told[-1].standing, "and who is there, in its own words"
        for raw in told[-1].standing:
            assert decode_shown(raw)[0].epoch == north.sharing.statements.epoch


async def test_much_is_told_in_parts(broker: Lossy) -> None:
    async with house(broker, "north") as (north,):
        for number in range(8):
            north.say(reply("x" * (BATCH_BYTES // 3), number))
        told = await ask(broker, north, after={north.hub.epoch: 0})
        assert len(told) > 3
        assert seqs(told, north.hub.epoch) == list(range(1, 9))
        assert [part.last for part in told] == [False] * (len(told) - 1) + [True]


async def test_what_is_forgotten_is_told_as_how_things_stand(broker: Lossy) -> None:
    small = structs.replace(SETTINGS, history_events=3)
    north = Box("north", broker, settings=small)
    north.start()
    await passes(lambda: north.is_ready)
    north.say(device("kitchen"), *(reply(f"r{number}", number) for number in range(9)))
    told = await ask(broker, north, after={north.hub.epoch: 1})
    (part,) = (one for one in told if one.epoch)
    assert (part.forgotten, seqs(told, north.hub.epoch)) == (7, [8, 9, 10])
    assert any(b'"kitchen"' in bytes(raw) for raw in part.standing)
    await north.kill()


async def test_a_hub_that_has_missed_too_much_begins_anew_with_its_listeners(broker: Lossy) -> None:
    small = WebSettings(history_events=3, outbox_messages=4_000)
    north, hub = Box("north", broker, settings=small), Box("hub", broker, is_hub=True)
    north.start()
    hub.start()
    await passes(lambda: know_each_other(hub, 2) and know_each_other(north, 2))
    ear = Ear()
    await ear.listen(hub)
    north.say(reply("first"))
    await passes(lambda: ear.finals == ["first"])
    broker.lost = EVENTS_TOPIC
    north.say(device("kitchen"), *(reply(f"r{number}", 2 + number) for number in range(9)))
    await passes(lambda: ear.snapshots == 2)
    assert hub.states() == {"kitchen": "connected"}
    assert len(hub.snapshot().conversation) == 10
    await ear.leave()
    for box in (north, hub):
        await box.kill()


async def test_where_nobody_tells_it_goes_on_with_what_it_has(broker: Lossy) -> None:
    async with house(broker, "north", "hub") as (north, hub):
        north.say(reply("one"))
        await passes(lambda: len(hub.snapshot().conversation) == 1)
        broker.lost = EVENTS_TOPIC
        north.say(reply("two", 2))
        await passes(lambda: not north.sharing.outgoing._pending)
        broker.lost = ASKS_TOPIC
        north.say(reply("three", 3))
        await passes(lambda: len(hub.snapshot().conversation) == 2)
        assert [one.text for one in hub.snapshot().conversation] == ["one", "three"]  # type: ignore[union-attr]
        assert asks(hub).counts["never told"] == 1


async def test_what_nobody_asked_for_is_counted_and_shown_to_nobody(broker: Lossy) -> None:
    async with house(broker, "north", "hub") as (north, hub):
        lie = structs.replace(reply("a lie"), epoch=north.hub.epoch, seq=1)
        told = HouseTold(
            ask="a_none",
            gateway="north",
            epoch=north.hub.epoch,
            of="north",
            events=(msgspec.Raw(encode(lie)),),
        )
        key = RoutingKey("house", "hub", "north")
        await broker.publish(TOLD_TOPIC, key, encode(told))
        await broker.publish(TOLD_TOPIC, key, b"{")
        await passes(lambda: asks(hub).counts["unasked"] == 1 and asks(hub).counts["unreadable"] == 1)
        assert hub.snapshot().conversation == ()


async def test_asks_that_are_none_or_for_somebody_else_are_left(broker: Lossy) -> None:
    async with house(broker, "north") as (north,):
        key = RoutingKey("house", "north", "stranger")
        before = asks(north).counts["answered"]
        await broker.publish(ASKS_TOPIC, key, b"\xff")
        other = HouseAsk(ask="a_2", gateway="stranger", to="i_somebody", whole=True)
        await broker.publish(ASKS_TOPIC, key, encode(other))
        await ask(broker, north)
        assert asks(north).counts["unreadable"] == 1
        assert asks(north).counts["answered"] == before + 1


async def test_who_asks_without_end_is_answered_so_often(
    broker: Lossy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house_asks, "ASKS_AT_ONCE", 3)
    monkeypatch.setattr(house_asks, "ASKS_PER_SECOND", 1e-9)
    north = Box("north", broker)
    north.start()
    await passes(lambda: north.is_ready)
    question = HouseAsk(ask="a_1", gateway="stranger", to=north.presence.instance)
    for _ in range(10):
        await broker.publish(ASKS_TOPIC, RoutingKey("house", "north", "stranger"), encode(question))
    await passes(lambda: asks(north).counts["answered"] == 3)
    await passes(lambda: all(one.buffered_messages == 0 for one in broker.stats() if one.topic == ASKS_TOPIC))
    assert asks(north).counts["answered"] == 3
    await north.kill()


async def test_statements_of_another_hub_are_ones_own(broker: Lossy) -> None:
    """A hub that begins after a gateway has died shows it as gone, as the others do."""
    async with house(broker, "north", "hub") as (north, hub):
        south = Box("south", broker)
        south.start()
        await passes(lambda: know_each_other(hub, 3) and know_each_other(north, 3))
        south.say(device("ward"))
        await passes(lambda: "ward" in hub.states() and "ward" in north.states())
        await south.kill()
        await passes(lambda: hub.states() == north.states() == {"ward": "disconnected"})
        late = Box("hub-late", broker, is_hub=True)
        late.start()
        await passes(lambda: late.is_ready)
        assert late.states() == {"ward": "disconnected"}
        parts = {one.gateway: one.state for one in late.snapshot().health}
        assert parts["south"] == "unhealthy"
        await late.kill()


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (decode_ask, b""),
        (decode_ask, b"[]"),
        (decode_ask, b'{"ask":"a","gateway":"a/b","to":"i"}'),
        (decode_ask, b'{"ask":"a","gateway":"a","to":"i","after":{"e":-1}}'),
        (decode_told, b'{"ask":"a"}'),
        (decode_told, b'{"ask":"a","gateway":"a","events":7}'),
        (decode_told, b'{"ask":"a","gateway":"a","forgotten":-1}'),
    ],
)
def test_what_is_neither_ask_nor_answer_is_refused(decode: object, payload: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(payload)  # type: ignore[operator]


def test_asks_and_answers_have_their_bounds() -> None:
    many = {f"e_{number}": 0 for number in range(MOST_EPOCHS_ASKED + 1)}
    with pytest.raises(BadMessage):
        decode_ask(encode(HouseAsk(ask="a", gateway="g", to="i", after=many)))
    much = (msgspec.Raw(b"1"),) * (MOST_STANDING + 1)
    with pytest.raises(BadMessage):
        decode_told(encode(HouseTold(ask="a", gateway="g", standing=much)))
    question = HouseAsk(ask="a", gateway="g", to="i", after={"e_1": 7}, whole=True)
    assert decode_ask(encode(question)) == question
    told = HouseTold(ask="a", gateway="g", epoch="e_1", of="north", forgotten=3, seq=9)
    assert decode_told(encode(told)) == told
