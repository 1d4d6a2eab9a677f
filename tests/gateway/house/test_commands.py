"""What is asked at one hub and done at another gateway: once, by whoever was meant, and never when nobody waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.access.principals import LOCAL, Principal, Role
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable, Receipt, RoutingKey
from gateway.contract.house import (
    COMMANDS_TOPIC,
    DONE_TOPIC,
    GatewayPresence,
    HouseCommand,
    HouseDone,
    WhoAsks,
    decode_command,
    decode_done,
)
from gateway.contract.messages import BadMessage, encode
from gateway.house import commands as house_commands
from gateway.house.commands import ANSWER_BYTES, HouseCommands, asker_of, chosen, command
from gateway.house.neighbours import Neighbour
from tests.record import Record, passes
from tests.system.house import running

KITCHEN = Principal(
    name="anna",
    role=Role.LISTENER,
    users=frozenset({"anna", "ben"}),
    devices=frozenset({"kitchen"}),
    token_id="t_1",
)


class Away(MemoryBroker):
    """A broker that takes nothing of a topic."""

    taken = True

    async def publish(self, topic: str, *args: object, **options: object) -> Receipt:
        if not self.taken and topic == COMMANDS_TOPIC:
            raise BrokerUnavailable("cut off")
        return await super().publish(topic, *args, **options)  # type: ignore[arg-type]


class End:
    """One gateway's end. ``asked``: what came to it."""

    def __init__(self, name: str, *, is_hub: bool = False) -> None:
        self.commands = HouseCommands(name, f"i_{name}")
        self.asked = Record()
        self.answer: Any = {"name": name}
        self.go = asyncio.Event()
        self.go.set()
        role = "hub" if is_hub else "gateway"
        self.neighbour = Neighbour(GatewayPresence(gateway=name, instance=f"i_{name}", role=role), 0)
        if not is_hub:
            self.commands.do = self._do

    async def _do(self, told: HouseCommand) -> HouseDone:
        self.asked(told)
        await self.go.wait()
        body = msgspec.Raw(msgspec.json.encode(self.answer))
        return HouseDone(ask="", gateway="", status=202, body=body)


@asynccontextmanager
async def ends(broker: MemoryBroker, *all_of_them: End) -> AsyncIterator[None]:
    with running(*(end.commands.run(broker) for end in all_of_them)):
        await passes(lambda: sum(row.subscriptions for row in broker.stats()) == 2 * len(all_of_them))
        yield


@pytest.fixture
async def broker() -> AsyncIterator[Away]:
    there = Away()
    yield there
    await there.close(0)


def announcement() -> HouseCommand:
    return command("announce", KITCHEN, path={"device_id": "kitchen"}, body=msgspec.Raw(b'{"text":"dinner"}'))


def body(done: HouseDone) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(done.body)
    return told


async def test_it_is_done_where_it_was_sent_with_all_that_was_asked(broker: Away) -> None:
    hub, north, south = End("hub", is_hub=True), End("north"), End("south")
    async with ends(broker, hub, north, south):
        done = await hub.commands.carry(south.neighbour, announcement())
    assert (done.status, done.gateway, body(done)) == (202, "south", {"name": "south"})
    (told,) = south.asked.items
    assert north.asked.items == []
    assert (told.operation, told.path, bytes(told.body)) == (
        "announce",
        {"device_id": "kitchen"},
        b'{"text":"dinner"}',
    )
    asker = WhoAsks(name="anna", role="listener", users=("anna", "ben"), devices=("kitchen",), token_id="t_1")
    assert told.asker == asker_of(KITCHEN) == asker


async def test_many_at_once_find_their_own_answers(broker: Away) -> None:
    hub, north = End("hub", is_hub=True), End("north")

    async def echo(told: HouseCommand) -> HouseDone:
        return HouseDone(ask="", gateway="", status=200, body=msgspec.Raw(b'"%s"' % told.operation.encode()))

    north.commands.do = echo
    async with ends(broker, hub, north):
        names = [f"n{number}" for number in range(50)]
        asked = [hub.commands.carry(north.neighbour, command(name, LOCAL)) for name in names]
        assert [msgspec.json.decode(done.body) for done in await asyncio.gather(*asked)] == names


async def test_who_does_not_answer_is_not_waited_for(broker: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house_commands, "CARRY_SECONDS", 0.05)
    hub, nobody = End("hub", is_hub=True), End("nobody")
    async with ends(broker, hub):
        done = await hub.commands.carry(nobody.neighbour, announcement())
        assert done.status == 503
        assert body(done)["detail"] == "the gateway nobody does not answer"
        await broker.publish(
            DONE_TOPIC,
            RoutingKey("house", "hub", "nobody"),
            encode(HouseDone(ask="c_old", gateway="nobody", status=200)),
        )
        await passes(lambda: hub.commands.counts["unasked"] == 1)


async def test_a_broker_that_is_away_is_said(broker: Away) -> None:
    hub, north = End("hub", is_hub=True), End("north")
    done = await hub.commands.carry(north.neighbour, announcement())
    assert (done.status, body(done)["detail"]) == (503, "the broker is away")
    async with ends(broker, hub, north):
        broker.taken = False
        done = await hub.commands.carry(north.neighbour, announcement())
        assert (done.status, body(done)["detail"]) == (503, "cut off")


async def test_what_comes_twice_is_done_once(broker: Away) -> None:
    north = End("north")
    told = msgspec.structs.replace(
        announcement(), ask="c_1", gateway="hub", to="i_north", timestamp=time.time()
    )
    async with ends(broker, north):
        for _ in range(3):
            await broker.publish(COMMANDS_TOPIC, RoutingKey("house", "north", "hub"), encode(told))
        await passes(lambda: north.commands.counts["twice"] == 2)
        assert len(north.asked.items) == 1


async def test_what_comes_late_or_to_a_hub_is_not_done(broker: Away) -> None:
    hub, other, north = End("hub", is_hub=True), End("other", is_hub=True), End("north")
    answers = Record()

    async def listen() -> None:
        async with broker.subscribe(DONE_TOPIC, "device.old") as told:
            async for delivery in told:
                answers(decode_done(delivery.message.payload))

    async with ends(broker, hub, other, north):
        done = await hub.commands.carry(other.neighbour, announcement())
        assert (done.status, body(done)["detail"]) == (503, "this is a hub: it has no devices")
        with running(listen()):
            await passes(lambda: any(row.subscriptions == 4 for row in broker.stats()))
            told = msgspec.structs.replace(
                announcement(), ask="c_1", gateway="old", to="i_north", timestamp=time.time() - 60
            )
            await broker.publish(COMMANDS_TOPIC, RoutingKey("house", "north", "old"), encode(told))
            late = await answers.first(HouseDone)
        assert body(late)["detail"] == "by the gateway's clock it was asked 60 s ago"
        assert north.asked.items == []


async def test_who_asks_too_much_at_once_is_told(broker: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house_commands, "MOST_AT_ONCE", 2)
    hub, north = End("hub", is_hub=True), End("north")
    north.go.clear()
    async with ends(broker, hub, north):
        asked = [asyncio.create_task(hub.commands.carry(north.neighbour, announcement())) for _ in range(4)]
        await passes(lambda: north.commands.counts["refused"] == 2)
        north.go.set()
        statuses = sorted([done.status for done in await asyncio.gather(*asked)])
    assert statuses == [202, 202, 503, 503]


async def test_an_answer_that_is_too_long_is_not_carried(broker: Away) -> None:
    hub, north = End("hub", is_hub=True), End("north")
    north.answer = "x" * ANSWER_BYTES
    async with ends(broker, hub, north):
        done = await hub.commands.carry(north.neighbour, announcement())
    assert (done.status, body(done)["detail"]) == (503, "the answer is too long to be carried")


async def test_garbage_is_counted_and_the_next_is_done(broker: Away) -> None:
    hub, north = End("hub", is_hub=True), End("north")
    async with ends(broker, hub, north):
        await broker.publish(COMMANDS_TOPIC, RoutingKey("house", "north", "hub"), b"\xff")
        await broker.publish(DONE_TOPIC, RoutingKey("house", "hub", "north"), b"[]")
        done = await hub.commands.carry(north.neighbour, announcement())
        assert done.status == 202
        assert north.commands.counts["unreadable"] == hub.commands.counts["unreadable"] == 1


async def test_it_ends_with_its_broker(broker: Away) -> None:
    north = End("north")
    work = asyncio.create_task(north.commands.run(broker))
    await passes(lambda: sum(row.subscriptions for row in broker.stats()) == 2)
    await broker.close(0)
    await asyncio.wait_for(work, 10)


def test_the_same_gateway_does_the_same_persons_things() -> None:
    gateways = [End(f"g{number}").neighbour for number in range(5)]
    anna = chosen(gateways, KITCHEN)
    assert anna is chosen(list(reversed(gateways)), KITCHEN)
    assert anna is not None
    others = [one for one in gateways if one is not anna]
    assert chosen(others, KITCHEN) in others
    people = [Principal(name=f"p{number}", role=Role.LISTENER) for number in range(50)]
    assert len({one.name for person in people if (one := chosen(gateways, person))}) == 5
    assert chosen([], KITCHEN) is None


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (decode_command, b"{}"),
        (decode_command, b'{"ask":"a","gateway":"g","to":"i","operation":"a b","asker":{"name":"n","role":"r"}}'),
        (decode_command, b'{"ask":"a","gateway":"g","to":"i","operation":"say","asker":{"name":"n","role":"R"}}'),
        (decode_command, b'{"ask":"a","gateway":"g","to":"i","operation":"say"}'),
        (decode_done, b'{"ask":"a","gateway":"g"}'),
        (decode_done, b'{"ask":"a","gateway":"g","status":99}'),
        (decode_done, b'{"ask":"a","gateway":"g","status":600}'),
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused(decode: Any, payload: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(payload)
