"""What a gateway sees of those that go by its own name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.broker.backends.memory import MemoryBroker
from gateway.contract.house import GatewayPresence
from gateway.house.presence import HousePresence
from gateway.house.row.member import HouseMember
from gateway.process.mishaps import Mishaps
from tests.record import passes
from tests.system.house import running

KITCHEN = "kitchen"


def member(broker: MemoryBroker, name: str = KITCHEN) -> HouseMember:
    return HouseMember(name, broker, lambda: GatewayPresence(gateway=name), Mishaps())


@asynccontextmanager
async def house() -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker()
    yield broker
    await broker.close(0.1)


async def heard(*members: HouseMember) -> None:
    """Each has heard all others."""
    await passes(lambda: all(len(one.presence.neighbours.here()) >= len(members) - 1 for one in members))


async def test_of_two_by_one_name_the_later_one_has_it() -> None:
    async with house() as broker:
        first = member(broker)
        await asyncio.sleep(0.001)
        second = member(broker)
        assert first.instance < second.instance
        with running(first.presence.run(), second.presence.run()):
            await heard(first, second)
            assert first.is_replaced()
            assert not second.is_replaced()


async def test_gateways_by_other_names_replace_nobody() -> None:
    async with house() as broker:
        hall, attic = member(broker, "hall"), member(broker, "attic")
        with running(hall.presence.run(), attic.presence.run()):
            await heard(hall, attic)
            assert not hall.is_replaced()
            assert not attic.is_replaced()
            assert hall._others() == {"attic"}


async def test_whose_place_it_is_waits_for_it() -> None:
    async with house() as broker:
        acting = member(broker)
        told = GatewayPresence(gateway=KITCHEN, instance="g_back", role="standby", standby_for=KITCHEN)
        owner = HousePresence(broker, lambda: told)
        with running(acting.presence.run()):
            await passes(lambda: acting.presence.neighbours.beats)
            assert not acting.owner_waits()
            with running(owner.run()):
                await passes(acting.owner_waits)
                assert not acting.is_replaced(), "it has not taken it"
                assert acting._others() == set(), "one that stands by has no devices"
                await owner.leave()
                await passes(lambda: not acting.owner_waits())


async def test_another_standby_is_not_whose_place_it_is() -> None:
    async with house() as broker:
        acting = member(broker)
        told = GatewayPresence(gateway="cellar", instance="g_cellar", role="standby", standby_for=KITCHEN)
        third = HousePresence(broker, lambda: told)
        with running(acting.presence.run(), third.run()):
            await passes(acting.has_standby)
            assert not acting.owner_waits()
