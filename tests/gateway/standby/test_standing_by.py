"""A gateway that waits for the place of another, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest

from gateway.app import journal_of
from gateway.broker.base import Leases, MessageBroker
from gateway.broker.opening import open_broker
from gateway.config.configuration import GatewayConfig
from gateway.contract.house import GatewayPresence
from gateway.house.presence import HousePresence
from gateway.house.row.tenure import LEASE_SECONDS
from gateway.settings.broker import BrokerSettings
from gateway.standby.standing_by import (
    OWNER_FIRST_SECONDS,
    PATIENCE_SECONDS,
    StandingBy,
    in_place,
    place_of,
    until_in_place,
)
from gateway.systemd.notifier import Notifier
from tests.record import PATIENCE, passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import free_port
from tests.servers.redis import Redis
from tests.system.house import running

KITCHEN, ATTIC = "kitchen", "attic"


def config(folder: Path, url: str, **house: Any) -> GatewayConfig:
    return msgspec.convert(
        {
            "broker": {"url": url, "client_id": house.get("name", "nameless")},
            "house": house,
            "journal": {"path": f"{folder}/journal.db"},
            "web": {"port": 0},
        },
        GatewayConfig,
    )


def standby(folder: Path, url: str) -> GatewayConfig:
    return config(folder, url, name=ATTIC, standby_for=KITCHEN)


@asynccontextmanager
async def witness(url: str) -> AsyncIterator[MessageBroker]:
    broker = open_broker(url, BrokerSettings(url=url, client_id="witness"))
    try:
        yield broker
    finally:
        await broker.close(0.1)


async def had(broker: MessageBroker, holder: str) -> None:
    """The place is somebody's; that of the test before may have a while to go."""
    async with asyncio.timeout(PATIENCE):
        while await cast("Leases", broker).lease(KITCHEN, holder, LEASE_SECONDS) != holder:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def test_who_is_in_a_row(tmp_path: Path) -> None:
    alone = config(tmp_path, "redis://broker", name="hall")
    assert not alone.house.is_in_row
    assert in_place(alone) is alone
    owner = config(tmp_path, "redis://broker", name=KITCHEN, has_standby=True)
    assert owner.house.is_in_row
    assert place_of(owner) == KITCHEN
    assert in_place(owner).house.name == KITCHEN


def test_in_its_place_it_goes_by_that_name(tmp_path: Path) -> None:
    settings = standby(tmp_path, "redis://broker")
    assert place_of(settings) == KITCHEN
    there = in_place(settings)
    assert (there.house.name, there.broker.client_id) == (KITCHEN, KITCHEN), "whose replies are its own"
    assert there.house.has_standby
    assert not there.house.standby_for
    assert there.journal == settings.journal


async def test_it_waits_until_the_place_is_free(tmp_path: Path, redis: Redis) -> None:
    async with witness(redis.url) as broker:
        await had(broker, KITCHEN)
        async with StandingBy(standby(tmp_path, redis.url), journal_of) as standing:
            due = asyncio.create_task(standing.until_due())
            for _ in range(4):
                await had(broker, KITCHEN)
                await asyncio.sleep(LEASE_SECONDS / 4)
                assert not due.done()
            await cast("Leases", broker).release(KITCHEN, KITCHEN)
            await due
            assert standing.tenure.holds


async def test_its_page_says_so_and_balancers_pass_it_by(tmp_path: Path, redis: Redis) -> None:
    async with (
        witness(redis.url) as broker,
        StandingBy(standby(tmp_path, redis.url), journal_of) as standing,
        aiohttp.ClientSession() as session,
    ):
        await had(broker, KITCHEN)
        due = asyncio.create_task(standing.until_due())
        await passes(lambda: "standby" in standing.health.report().components)
        async with session.get(f"{standing.url}readyz") as answer:
            assert answer.status == 503
            assert f"stands by for {KITCHEN}" in await answer.text()
        async with session.get(f"{standing.url}livez") as answer:
            assert answer.status == 200
        due.cancel()


async def test_the_house_knows_of_it(tmp_path: Path, redis: Redis) -> None:
    async with witness(redis.url) as broker:
        seen = HousePresence(broker, lambda: GatewayPresence(gateway="hall", instance="g_hall"))
        with running(seen.run()):
            async with StandingBy(standby(tmp_path, redis.url), journal_of) as standing:
                await passes(lambda: seen.neighbours.of_name(ATTIC))
                facts = seen.neighbours.of_name(ATTIC)
                assert facts is not None
                assert (facts.facts.role, facts.facts.standby_for) == ("standby", KITCHEN)
                assert facts.facts.url == standing.url


async def test_a_page_whose_port_is_taken_is_no_reason_not_to_stand_by(tmp_path: Path, redis: Redis) -> None:
    port = free_port()
    settings = standby(tmp_path, redis.url)
    settings = msgspec.structs.replace(settings, web=msgspec.structs.replace(settings.web, port=port))
    async with (
        await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port),
        StandingBy(settings, journal_of) as standing,
    ):
        assert standing.url == ""
        await standing.until_due()


async def test_a_gateway_whose_own_place_it_is_does_not_wait_for_a_broker_that_is_away(
    tmp_path: Path, redis: Redis
) -> None:
    redis.kill()
    async with StandingBy(
        config(tmp_path, redis.url, name=KITCHEN, has_standby=True), journal_of
    ) as standing:
        await asyncio.wait_for(standing.until_due(), 20)
        assert not standing.tenure.holds, "but it has to prove it before it speaks"
    redis.start()


async def test_a_standby_does_wait_for_the_broker(tmp_path: Path, redis: Redis) -> None:
    redis.kill()
    async with StandingBy(standby(tmp_path, redis.url), journal_of) as standing:
        due = asyncio.create_task(standing.until_due())
        await asyncio.wait([due], timeout=PATIENCE_SECONDS + OWNER_FIRST_SECONDS)
        assert not due.done()
        redis.start()
        await due


async def test_without_leases_it_listens_who_is_there(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with witness(mosquitto.url) as broker:
        there = HousePresence(broker, lambda: GatewayPresence(gateway=KITCHEN, instance="g_kitchen"))
        async with StandingBy(standby(tmp_path, mosquitto.url), journal_of) as standing:
            due = asyncio.create_task(standing.until_due())
            with running(there.run()):
                await passes(lambda: standing._presence.neighbours.beats > 7)
                assert not due.done()
            await due
            assert not standing.tenure.is_forbidden


@pytest.mark.parametrize("stops", [True, False])
async def test_it_ends_when_it_is_stopped_or_due(tmp_path: Path, redis: Redis, *, stops: bool) -> None:
    async with witness(redis.url) as broker:
        stop = asyncio.Event()
        if stops:
            await had(broker, KITCHEN)
        waiting = asyncio.create_task(
            until_in_place(standby(tmp_path, redis.url), stop, Notifier(), journal_of)
        )
        if stops:
            await asyncio.sleep(1.5)
            stop.set()
        assert await waiting == ATTIC
