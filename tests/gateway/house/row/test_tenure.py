"""Whose a place is, as Redis says, and where nothing forbids that two have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from gateway.broker.base import BrokerClosed, BrokerUnavailable, Leases, NoLeases
from gateway.broker.opening import open_broker
from gateway.house.row import tenure as tenure_module
from gateway.house.row.tenure import LEASE_SECONDS, LISTEN_LOOKS, Tenure
from gateway.settings.broker import BrokerSettings
from tests.chaos.network import BadNetwork, Trouble
from tests.record import passes
from tests.servers.redis import Redis

KITCHEN, ATTIC = "kitchen", "attic"


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_000.0
        monkeypatch.setattr(tenure_module, "now", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class FewAnswers:
    """``Leases`` as a test says; without a word, there are none."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.is_away = False
        self.released: list[str] = []

    async def lease(self, name: str, holder: str, seconds: float) -> str:
        assert (name, seconds) == (KITCHEN, LEASE_SECONDS)
        if self.is_away:
            raise BrokerUnavailable("it is away")
        if self.holder is None:
            raise NoLeases("there are none")
        return self.holder or holder

    async def release(self, name: str, holder: str) -> None:
        self.released.append(holder)
        del name


@asynccontextmanager
async def tenures(url: str, *names: str) -> AsyncIterator[list[Tenure]]:
    brokers = [open_broker(url, BrokerSettings(url=url, client_id=name)) for name in names]
    try:
        yield [
            Tenure(cast("Leases", broker), KITCHEN, name, lambda: False)
            for broker, name in zip(brokers, names, strict=True)
        ]
    finally:
        for broker in brokers:
            await broker.close(0.1)


async def test_one_has_it_at_a_time_and_gives_it_up(redis: Redis) -> None:
    async with tenures(redis.url, KITCHEN, ATTIC) as (kitchen, attic):
        await kitchen.until_had()
        assert kitchen.holds
        assert kitchen.is_own
        assert not attic.is_own
        assert not await attic.look()
        assert not attic.holds
        waiting = asyncio.create_task(attic.until_had())
        await kitchen.give_up()
        assert not kitchen.holds
        assert kitchen.is_gone
        assert not kitchen.is_lost, "it was given up"
        await waiting
        assert attic.holds


async def test_who_is_cut_off_has_it_no_more_before_another_has_it(redis: Redis) -> None:
    async with BadNetwork(redis.port) as network:
        url = f"redis://127.0.0.1:{network.port}"
        async with tenures(url, KITCHEN) as (kitchen,), tenures(redis.url, ATTIC) as (attic,):
            await kitchen.until_had()
            keeping = asyncio.create_task(kitchen.keep())
            taking = asyncio.create_task(attic.until_had())
            await network.begin(Trouble.CUT)
            await passes(lambda: not kitchen.holds or attic.holds)
            assert not (kitchen.holds and attic.holds)
            await taking
            assert not kitchen.holds
            attic_keeps = asyncio.create_task(attic.keep())
            await network.heal()
            await keeping
            assert kitchen.is_lost
            assert kitchen.over.is_set()
            await kitchen.give_up()
            assert await attic.look(), "whoever has lost it gives nothing away"
            attic_keeps.cancel()


async def test_it_is_kept_while_the_broker_is_away_and_longer_by_nobody(redis: Redis) -> None:
    async with tenures(redis.url, KITCHEN) as (kitchen,):
        await kitchen.until_had()
        keeping = asyncio.create_task(kitchen.keep())
        redis.kill()
        assert kitchen.holds
        await passes(lambda: not kitchen.holds)
        assert not kitchen.is_gone, "nobody has said that it is another's"
        redis.start()
        await passes(lambda: kitchen.holds)
        keeping.cancel()


async def test_without_leases_who_holds_it_goes_on_until_another_is_seen(clock: Clock) -> None:
    seen = False
    kitchen = Tenure(FewAnswers(), KITCHEN, KITCHEN, lambda: seen)
    for _ in range(LISTEN_LOOKS):
        assert not await kitchen.look(), "it listens first"
    assert await kitchen.look()
    assert not kitchen.is_forbidden
    clock.seconds += LEASE_SECONDS / 2
    assert await kitchen.look()
    assert kitchen.holds
    seen = True
    assert not await kitchen.look()
    assert not kitchen.holds


async def test_without_leases_who_was_asleep_listens_before_it_goes_on(clock: Clock) -> None:
    kitchen = Tenure(FewAnswers(), KITCHEN, KITCHEN, lambda: False)
    while not await kitchen.look():
        pass
    clock.seconds += LEASE_SECONDS + 1
    assert not kitchen.holds
    for _ in range(LISTEN_LOOKS):
        assert not await kitchen.look(), "another may have its place by now"
    assert await kitchen.look()
    assert not kitchen.is_gone


async def test_without_leases_a_broker_that_was_away_is_listened_to_anew(clock: Clock) -> None:
    server = FewAnswers()
    kitchen = Tenure(server, KITCHEN, KITCHEN, lambda: False)
    while not await kitchen.look():
        pass
    clock.seconds += LEASE_SECONDS + 1
    server.is_away = True
    with pytest.raises(BrokerUnavailable):
        await kitchen.look()
    server.is_away = False
    assert not await kitchen.look()
    looks = 1
    while not await kitchen.look():
        looks += 1
    assert looks == LISTEN_LOOKS


async def test_a_lease_counts_from_when_it_was_asked_for(clock: Clock) -> None:
    class Slow(FewAnswers):
        async def lease(self, name: str, holder: str, seconds: float) -> str:
            clock.seconds += 3
            return await super().lease(name, holder, seconds)

    server = Slow()
    server.holder = ""
    kitchen = Tenure(server, KITCHEN, KITCHEN, lambda: False)
    assert await kitchen.look()
    clock.seconds += LEASE_SECONDS - 3 - 0.01
    assert kitchen.holds
    clock.seconds += 0.02
    assert not kitchen.holds


async def test_keeping_ends_with_the_broker() -> None:
    class Closed(FewAnswers):
        async def lease(self, name: str, holder: str, seconds: float) -> str:
            raise BrokerClosed("closed")

    kitchen = Tenure(Closed(), KITCHEN, KITCHEN, lambda: False)
    await asyncio.wait_for(kitchen.keep(), 10)
    with pytest.raises(BrokerClosed):
        await kitchen.until_had()
    assert not kitchen.is_lost


async def test_who_has_lost_it_gives_nobody_elses_away(clock: Clock) -> None:
    server = FewAnswers()
    server.holder = ATTIC
    kitchen = Tenure(server, KITCHEN, KITCHEN, lambda: False)
    await kitchen.keep()
    assert kitchen.is_lost
    await kitchen.give_up()
    assert server.released == []
    del clock
