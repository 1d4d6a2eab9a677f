"""One house on every page: what one gateway shows all show, whoever of them dies, comes late, or was away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable, Durability, Receipt
from gateway.contract.events import FORGOTTEN, DeviceEvent, HealthEvent, Subscribe
from gateway.contract.house import EVENTS_TOPIC
from gateway.house import presence
from gateway.house.neighbours import GONE_BEATS
from gateway.house.statements import COMPONENT
from tests.gateway.events import device, partial, reply, status
from tests.gateway.house.houses import Box, Ear, house, know_each_other
from tests.record import passes

pytestmark = pytest.mark.slow


class Mended(MemoryBroker):
    """A broker that is away for some of its publishers at times."""

    away = False
    lost = 0
    """So many of the next batches of events never arrive."""

    async def publish(self, topic: str, *args: object, **options: object) -> Receipt:
        if self.away:
            raise BrokerUnavailable("cut off")
        if topic == EVENTS_TOPIC and self.lost:
            self.lost -= 1
            return Receipt("m", Durability.MEMORY, 0)
        return await super().publish(topic, *args, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said each second is said ten times as often."""
    monkeypatch.setattr(presence, "GATEWAY_SECONDS", 0.1)


@pytest.fixture
async def broker() -> AsyncIterator[Mended]:
    there = Mended()
    yield there
    await there.close(0)


async def test_what_one_shows_all_show_and_components_do_not_clash(broker: Mended) -> None:
    async with house(broker, "north", "south", "hub") as (north, south, hub):
        north.say(device("kitchen"), HealthEvent(component="broker", state="healthy"), reply("good night"))
        south.say(device("ward"), HealthEvent(component="broker", state="degraded", reason="slow"))
        for box in (north, south, hub):
            await passes(lambda box=box: set(box.states()) == {"kitchen", "ward"})
            await passes(lambda box=box: len(box.snapshot().conversation) == 1)
            health = {(one.gateway, one.component): one.state for one in box.snapshot().health}
            assert health["north", "broker"] == "healthy"
            assert health["south", "broker"] == "degraded"


async def test_a_listener_that_goes_from_hub_to_hub_has_each_final_once_and_in_order(broker: Mended) -> None:
    async with house(broker, "north", "south", "hub-1", "hub-2") as (north, south, one, two):
        ear = Ear()
        await ear.listen(one)
        for number in range(60):
            (north, south)[number % 2].say(reply(f"{'ns'[number % 2]}{number}", number))
            if number % 10 == 5:
                await passes(lambda: one.sharing.incoming.shown and two.sharing.incoming.shown)
                await ear.move(two if number % 20 == 5 else one)
        await passes(lambda: len(ear.finals) >= 60)
        assert [text for text in ear.finals if text[0] == "n"] == [f"n{n}" for n in range(0, 60, 2)]
        assert [text for text in ear.finals if text[0] == "s"] == [f"s{n}" for n in range(1, 60, 2)]
        assert ear.snapshots == 1
        await ear.leave()


async def test_a_hub_that_has_just_begun_knows_what_a_listener_of_another_has_missed(broker: Mended) -> None:
    async with house(broker, "north", "hub-1") as (north, one):
        ear = Ear(Subscribe(devices=("kitchen",)))
        await ear.listen(one)
        north.say(reply("before"))
        await passes(lambda: ear.finals == ["before"])
        await ear.leave()
        north.say(reply("missed", 2))
        late = Box("hub-2", broker, is_hub=True)
        late.start()
        await ear.listen(late)
        north.say(reply("after", 3))
        await passes(lambda: len(ear.finals) == 3)
        assert ear.finals == ["before", "missed", "after"]
        assert ear.snapshots == 1
        await ear.leave()
        await late.kill()


async def test_the_devices_of_a_gateway_that_died_are_away_until_it_is_back(broker: Mended) -> None:
    async with house(broker, "north", "hub") as (north, hub):
        south = Box("south", broker)
        south.start()
        await passes(lambda: know_each_other(hub, 3))
        south.say(device("ward"), status("listening", "ward"), HealthEvent(component="mqtt", state="healthy"))
        await passes(lambda: north.states() == hub.states() == {"ward": "connected"})
        ear = Ear()
        await ear.listen(hub)
        await south.kill()
        await passes(lambda: north.states() == hub.states() == {"ward": "disconnected"})
        (gone,) = (one for one in hub.snapshot().devices)
        assert gone.reason == "the gateway south is not there: nothing is heard of it"
        assert hub.snapshot().sessions == ()
        parts = {(one.gateway, one.component): one.state for one in hub.snapshot().health}
        assert parts == {("north", COMPONENT): "healthy", ("south", COMPONENT): "unhealthy"}
        again = Box("south", broker)
        again.start()
        again.say(device("ward"))
        await passes(lambda: north.states() == hub.states() == {"ward": "connected"})
        states = [event.state for event in ear.events if isinstance(event, DeviceEvent)]
        assert states == ["disconnected", "connected"]
        await passes(lambda: _gateways(hub) == {"north": "healthy", "south": "healthy"})
        await ear.leave()
        await again.kill()


def _gateways(box: Box) -> dict[str, str]:
    return {one.gateway: one.state for one in box.snapshot().health if one.component == COMPONENT}


async def test_who_is_stopped_says_so_and_nothing_of_it_is_lost(broker: Mended) -> None:
    async with house(broker, "north", "hub") as (_, hub):
        south = Box("south", broker)
        south.start()
        await passes(lambda: know_each_other(hub, 3))
        south.say(device("ward"), reply("last words"))
        await south.stop()
        await passes(lambda: hub.states() == {"ward": "disconnected"})
        (gone,) = hub.snapshot().devices
        assert gone.reason == "the gateway south is not there: it was stopped"
        assert [one.text for one in hub.snapshot().conversation] == ["last words"]  # type: ignore[union-attr]


async def test_a_device_that_has_moved_on_is_not_away(broker: Mended) -> None:
    async with house(broker, "north", "south") as (north, south):
        north.say(device("kitchen"))
        await passes(lambda: south.states() == {"kitchen": "connected"})
        south.say(device("kitchen"))
        await passes(lambda: north.sharing.statements.at("kitchen") == south.hub.epoch)
        north.say(device("kitchen", state="disconnected"), reply("a sign"))
        await passes(lambda: len(south.snapshot().conversation) == 1)
        assert north.states() == south.states() == {"kitchen": "connected"}
        neighbour = north.sharing.at("kitchen")
        assert neighbour is not None
        assert neighbour.name == "south"
        assert south.sharing.at("kitchen") is None


async def test_a_batch_that_is_lost_is_noticed_and_asked_for(broker: Mended) -> None:
    async with house(broker, "north", "hub") as (north, hub):
        ear = Ear()
        await ear.listen(hub)
        north.say(reply("one"))
        await passes(lambda: ear.finals == ["one"])
        broker.lost = 1
        north.say(reply("two", 2))
        await passes(lambda: not broker.lost)
        north.say(reply("three", 3))
        await passes(lambda: len(ear.finals) == 3)
        assert ear.finals == ["one", "two", "three"]
        broker.lost = 1
        north.say(reply("four", 4))  # and nothing comes after it: its presence tells
        await passes(lambda: len(ear.finals) == 4)
        assert ear.snapshots == 1
        await ear.leave()


async def test_while_the_broker_is_away_each_goes_on_alone_and_then_all_is_told(broker: Mended) -> None:
    async with house(broker, "north", "south") as (north, south):
        ear = Ear()
        await ear.listen(south)
        north.say(device("kitchen"))
        await passes(lambda: south.states() == {"kitchen": "connected"})
        broker.away = True
        for number in range(20):
            north.say(reply(f"n{number}", number))
        await passes(lambda: len(north.snapshot().conversation) == 20)
        assert south.states() == {"kitchen": "connected"}, "nobody is dead for want of a broker"
        broker.away = False
        await passes(lambda: len(ear.finals) == 20)
        assert ear.finals == [f"n{number}" for number in range(20)]
        await ear.leave()


async def test_what_may_be_missed_travels_only_where_somebody_watches(broker: Mended) -> None:
    async with house(broker, "north", "south") as (north, south):
        assert not north.hub.is_wanted(partial("a"))
        north.say(partial("a"))
        ear = Ear(Subscribe(levels=True))
        await ear.listen(south)
        await passes(lambda: north.hub.is_wanted(partial("b")))
        assert north.hub.is_wanted(device("kitchen", notice="level"))
        north.say(partial("b"), reply("end"))
        await passes(lambda: len(ear.events) == 2)
        assert [getattr(event, "text", "") for event in ear.events] == ["b", "end"]
        await ear.leave()
        await passes(lambda: not north.hub.is_wanted(partial("c")))


async def test_erased_at_one_is_erased_at_all_also_at_one_that_missed_it(broker: Mended) -> None:
    async with house(broker, "north", "hub") as (north, hub):
        north.say(
            structs.replace(reply("secret"), user_id="anna"), structs.replace(reply("kept", 2), user_id="ben")
        )
        await passes(lambda: len(hub.snapshot().conversation) == 2)
        broker.lost = 1
        north.hub.erase(user_id="anna")
        await passes(lambda: len(hub.snapshot().conversation) == 1)
        assert [one.text for one in hub.snapshot().conversation] == ["kept"]  # type: ignore[union-attr]
        assert b"secret" not in b"".join(item.data for item in hub.hub.history.of(north.hub.epoch, 0))


async def test_a_hub_that_redacts_shows_no_words_of_others_either(broker: Mended) -> None:
    async with house(broker, "north") as (north,):
        shy = Box("shy", broker, redact=True)
        shy.start()
        await passes(lambda: know_each_other(shy, 2))
        north.say(reply("a secret", final=False), reply("a secret", 2))
        await passes(lambda: len(shy.snapshot().conversation) == 1)
        assert [(one.text, one.redacted) for one in shy.snapshot().conversation] == [("", True)]  # type: ignore[union-attr]
        await shy.kill()


async def test_two_of_one_name_are_both_shown(broker: Mended) -> None:
    async with house(broker, "twin", "twin", "hub", "hub") as (one, other, first, second):
        one.say(device("kitchen"))
        other.say(device("ward"))
        for hub in (first, second):
            await passes(lambda hub=hub: set(hub.states()) == {"kitchen", "ward"})
        await one.kill()
        await passes(lambda: first.states() == {"kitchen": "disconnected", "ward": "connected"})
        assert _gateways(first)["twin"] == "healthy"


def test_silence_is_four_seconds() -> None:
    assert GONE_BEATS == 4
    assert FORGOTTEN == "forgotten"
