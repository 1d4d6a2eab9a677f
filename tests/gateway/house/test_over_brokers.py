"""One house over the brokers people run: real servers, killed and started again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.broker.base import MessageBroker
from gateway.broker.opening import open_broker
from gateway.contract.events import Subscribe
from gateway.house import presence
from gateway.settings.broker import BrokerSettings
from tests.gateway.events import device, partial, reply
from tests.gateway.house.houses import Box, Ear, know_each_other
from tests.record import passes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rabbitmq")]

SERVERS = ("redis", "nats", "rabbitmq", "mosquitto")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "GATEWAY_SECONDS", 0.25)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Any:
    """Each of them, running."""
    return request.getfixturevalue(request.param)


class Boxes:
    """Gateways and hubs, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: dict[str, tuple[Box, MessageBroker]] = {}

    def begin(self, name: str) -> Box:
        """As its process starts."""
        broker = open_broker(self._url, BrokerSettings(client_id=f"test-{name}"))
        box = Box(name, broker, is_hub=name.startswith("hub"))
        box.start()
        self._open[name] = (box, broker)
        return box

    async def kill(self, box: Box) -> None:
        """As its process dies."""
        _, broker = self._open.pop(box.name)
        await box.kill()
        await broker.close(0)

    async def stop(self, box: Box) -> None:
        """As its process is stopped."""
        _, broker = self._open.pop(box.name)
        await box.stop()
        await broker.close(0)

    async def close(self) -> None:
        for box, _ in list(self._open.values()):
            await self.kill(box)
            assert not box.mishaps.counts


@asynccontextmanager
async def opened(url: str, *names: str) -> AsyncIterator[tuple[Boxes, list[Box]]]:
    boxes = Boxes(url)
    try:
        begun = [boxes.begin(name) for name in names]
        await passes(lambda: all(know_each_other(box, len(begun)) for box in begun))
        yield boxes, begun
    finally:
        await boxes.close()


async def test_a_hub_shows_two_gateways_and_a_listener_misses_nothing_when_it_is_killed(server: Any) -> None:
    async with opened(server.url, "north", "south", "hub-1", "hub-2") as (boxes, (north, south, one, two)):
        ear = Ear(Subscribe(devices=("kitchen",)))
        await ear.listen(one)
        north.say(device("kitchen"))
        south.say(device("ward"))
        for box in (north, south, one, two):
            await passes(lambda box=box: box.states() == {"kitchen": "connected", "ward": "connected"})
        for number in range(40):
            (north, south)[number % 2].say(reply(f"r{number}", number))
            if number == 20:
                await ear.leave()
                await boxes.kill(one)
                await ear.listen(two)
        await passes(lambda: len(ear.finals) >= 40)
        assert sorted(ear.finals) == sorted(f"r{number}" for number in range(40))
        even = [text for text in ear.finals if int(text[1:]) % 2 == 0]
        assert even == [f"r{number}" for number in range(0, 40, 2)], "those of one gateway in its order"
        assert ear.snapshots == 1
        again = boxes.begin("hub-1")
        await ear.move(again)
        north.say(reply("last", 41))
        await passes(lambda: ear.finals[-1] == "last")
        assert len(ear.finals) == 41
        assert ear.snapshots == 1, "it goes on, also at a hub that has only just begun"
        await ear.leave()


async def test_a_gateway_that_is_killed_is_shown_as_gone_and_then_as_back(server: Any) -> None:
    async with opened(server.url, "north", "south", "hub") as (boxes, (north, south, hub)):
        ear = Ear()
        await ear.listen(hub)
        south.say(device("ward"), reply("before"))
        await passes(lambda: ear.finals == ["before"] and "ward" in north.states())
        await boxes.kill(south)
        await passes(lambda: hub.states() == north.states() == {"ward": "disconnected"})
        again = boxes.begin("south")
        again.say(device("ward"), reply("after", 2))
        await passes(lambda: hub.states() == north.states() == {"ward": "connected"})
        await passes(lambda: ear.finals == ["before", "after"])
        assert ear.snapshots == 1
        await ear.leave()


async def test_while_the_server_is_away_nobody_is_dead_and_then_nothing_is_missing(server: Any) -> None:
    async with opened(server.url, "north", "hub") as (_, (north, hub)):
        ear = Ear()
        await ear.listen(hub)
        north.say(device("kitchen"), reply("r0", 0))
        await passes(lambda: ear.finals == ["r0"])
        server.kill()
        for number in range(1, 30):
            north.say(reply(f"r{number}", number))
        await passes(lambda: len(north.snapshot().conversation) == 30)
        server.start()
        await passes(lambda: len(ear.finals) == 30)
        assert ear.finals == [f"r{number}" for number in range(30)]
        assert hub.states() == {"kitchen": "connected"}
        assert ear.snapshots == 1
        await ear.leave()


async def test_partials_come_as_long_as_somebody_watches(server: Any) -> None:
    async with opened(server.url, "north", "hub") as (_, (north, hub)):
        ear = Ear()
        await ear.listen(hub)
        await passes(lambda: north.hub.is_wanted(partial()))
        north.say(partial("turn"), partial("turn on", 2), reply("done"))
        await passes(lambda: len(ear.events) == 3)
        await ear.leave()
        await passes(lambda: not north.hub.is_wanted(partial()))


async def test_one_that_is_stopped_leaves_with_its_last_words(server: Any) -> None:
    async with opened(server.url, "north", "hub") as (boxes, (north, hub)):
        north.say(device("kitchen"), reply("last words"))
        await boxes.stop(north)
        await passes(lambda: hub.states() == {"kitchen": "disconnected"})
        (gone,) = hub.snapshot().devices
        assert gone.reason.endswith("it was stopped")
        assert [one.text for one in hub.snapshot().conversation] == ["last words"]  # type: ignore[union-attr]
