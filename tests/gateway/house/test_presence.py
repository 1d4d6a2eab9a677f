"""Two gateways and what they say of themselves, over a broker that both have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey
from gateway.contract.house import GATEWAYS_TOPIC, GatewayPresence
from gateway.house.presence import HousePresence
from tests.record import passes


@asynccontextmanager
async def there(broker: MemoryBroker, name: str) -> AsyncIterator[HousePresence]:
    presence = HousePresence(broker, lambda: GatewayPresence(gateway=name, instance=f"h_{name}", epoch="e_1"))
    task = asyncio.create_task(presence.run())
    try:
        yield presence
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_learns_of_the_other_and_that_it_leaves() -> None:
    broker = MemoryBroker()
    async with there(broker, "one") as one:
        async with there(broker, "two") as two:
            await passes(lambda: two.neighbours.here() and one.neighbours.here())
            assert [neighbour.name for neighbour in one.neighbours.here()] == ["two"]
            await two.leave()
        await passes(lambda: not one.neighbours.here())
        (gone,) = one.neighbours.known()
        assert gone.gone == "it was stopped"
    await broker.close()


async def test_what_nobody_can_read_is_counted_and_changes_nothing() -> None:
    broker = MemoryBroker()
    async with there(broker, "one") as one:
        await passes(lambda: one.neighbours.beats)
        for garbage in (
            b"",
            b"\x00" * 100,
            b'{"gateway":"a b"}',
            b"[" * 5_000,
            b'"' + b"x" * 3_000_000 + b'"',
        ):
            await broker.publish(GATEWAYS_TOPIC, RoutingKey("house", "one", "presence"), garbage)
        await passes(lambda: one.unreadable == 5)
        assert one.neighbours.known() == []
    await broker.close()


async def test_it_ends_with_its_broker() -> None:
    broker = MemoryBroker()
    presence = HousePresence(broker, lambda: GatewayPresence(gateway="one", instance="h_one"))
    task = asyncio.create_task(presence.run())
    await passes(lambda: presence.neighbours.beats)
    await broker.close()
    await asyncio.wait_for(task, 10)
