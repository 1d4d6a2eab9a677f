"""The scenarios of `make chaos`, shortened."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.chaos import (
    agents_killed,
    boot_orders,
    broker_away,
    broker_outages,
    clusters,
    everybody_killed,
    gateway_killed,
    house_restarted,
    recognizers_killed,
    reconnecting,
    redis_away,
    standing_by,
)
from tests.chaos.agent import WORKED
from tests.chaos.network import TROUBLES, spells
from tests.chaos.outcome import Outcome
from tests.chaos.table import PAGE, page
from tests.servers import nats as nats_servers
from tests.servers import redis as redis_servers
from tests.servers.nats import Nats
from tests.servers.network.hosts import needs_hosts
from tests.servers.process import needs
from tests.servers.redis import Redis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 20 if os.environ.get("CI") else 5


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of the test's own: it is killed, and nothing of other tests is in it."""
    folder = tmp_path / "server"
    folder.mkdir()
    needs(redis_servers.REDIS)
    server = Redis(folder).start()
    yield server
    server.resume()
    server.kill()


async def test_a_gateway_that_is_killed_loses_nothing_and_doubles_nothing(
    tmp_path: Path, mosquitto: Any
) -> None:
    verdict = await gateway_killed.scenario(tmp_path, mosquitto.url, kills=KILLS, seed=1)
    assert verdict.ok, verdict
    assert verdict.blows == KILLS


async def test_a_broker_that_is_killed_frozen_and_restarted_under_load(
    tmp_path: Path, own_redis: Redis
) -> None:
    outcome = await broker_outages.scenario(tmp_path, own_redis, own_redis.url, rounds=1, seed=1)
    assert outcome.ok, str(outcome)
    assert outcome.times == broker_outages.BLOWS


async def test_a_bad_network_loses_nothing_and_heals_by_itself(own_redis: Redis) -> None:
    weather = itertools.islice(spells(1, 0.3, 1.5), len(TROUBLES))
    outcome = await reconnecting.scenario(own_redis.url, own_redis.port, weather, seed=1)
    assert outcome.ok, str(outcome)
    assert outcome.times == len(TROUBLES)


async def test_a_broker_of_three_servers_in_trouble(tmp_path: Path) -> None:
    needs_hosts()
    needs(nats_servers.NATS)
    outcome = await clusters.scenario(tmp_path, "nats", rounds=1, seed=1)
    assert outcome.ok, str(outcome)
    assert outcome.times == len(clusters.BLOWS)


async def test_any_boot_order(tmp_path: Path, own_redis: Redis) -> None:
    orders = boot_orders.ROTATED
    assert {order[0] for order in orders} == {order[-1] for order in orders} == set(boot_orders.WHO)
    outcome = await boot_orders.scenario(tmp_path, own_redis, own_redis.url, seed=1, orders=orders)
    assert outcome.ok, str(outcome)


async def test_recognizer_board_listener_and_orchestrator_are_killed(
    tmp_path: Path, own_redis: Redis
) -> None:
    outcome = await everybody_killed.scenario(tmp_path, own_redis.url, rounds=1, seed=1)
    assert outcome.ok, str(outcome)


async def test_a_team_of_agents_its_gateway_and_its_broker_are_killed(tmp_path: Path) -> None:
    needs(nats_servers.NATS)
    folder = tmp_path / "server"
    folder.mkdir()
    server = Nats(folder).start()
    outcome = Outcome(scenario="")
    try:
        await agents_killed.scenario(tmp_path, server, server.url, outcome, rounds=1, seed=1)
    finally:
        server.kill()
    assert outcome.ok, str(outcome)
    assert outcome.times == len(agents_killed.VICTIMS)


async def test_recognizers_that_are_killed_in_their_work(tmp_path: Path, own_redis: Redis) -> None:
    outcome = Outcome(scenario="")
    await recognizers_killed.scenario(tmp_path, own_redis.url, outcome, kills=KILLS, seed=1)
    assert outcome.ok, str(outcome)
    assert outcome.times == KILLS


def test_what_agents_did_twice_is_found() -> None:
    deed = agents_killed.Deed("first", WORKED, "q_1", "c_1", 17, "on")
    assert agents_killed.doubled([deed, replace(deed, correlation_id="c_2", request_id="q_2")]) == []
    assert agents_killed.doubled([deed, replace(deed, life=18)]) == [], "it had died over it"
    assert len(agents_killed.doubled([deed, deed])) == 1
    assert len(agents_killed.doubled([deed, replace(deed, life=18, request_id="q_2")])) == 1


async def test_a_broker_that_was_away_for_long_gets_everything_in_order(
    tmp_path: Path, own_redis: Redis
) -> None:
    outcome = await redis_away.scenario(tmp_path, own_redis, own_redis.url, messages=redis_away.DAY // 10)
    assert outcome.ok, str(outcome)


async def test_a_broker_that_is_away_for_a_day_is_made_good_in_order(tmp_path: Path) -> None:
    verdict = await broker_away.scenario(tmp_path, messages=5_000)
    assert verdict.ok, verdict


def test_the_table_in_the_docs_is_that_of_the_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


async def test_a_house_that_is_restarted_part_by_part(tmp_path: Path, own_redis: Redis) -> None:
    outcome = await house_restarted.scenario(tmp_path, own_redis.url, rounds=1, seed=7, kill=False)
    assert outcome.ok, str(outcome)
    assert outcome.times == len(house_restarted.PARTS) * len(house_restarted.NUMBERS)


async def test_a_gateway_with_a_standby_that_is_killed_frozen_and_cut_off(tmp_path: Path) -> None:
    needs_hosts()
    outcome = await standing_by.scenario(tmp_path, rounds=1, seed=3)
    assert outcome.ok, outcome
    assert outcome.times == len(standing_by.BLOWS)
