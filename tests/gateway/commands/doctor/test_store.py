"""The doctor logs in to the store of the house, and changes nothing in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.commands.doctor.finding import Finding
from gateway.commands.doctor.store import WHAT, store
from gateway.settings.house import HouseSettings
from gateway.shared_store.opening import open_store
from gateway.shared_store.port import StoreRefused
from tests.gateway.shared_store.stores import KINDS, house, opened

SECRET = "guessed-wrong"
HASTY = "fsync is off: with its power it loses what it has said to have"
"""As the PostgreSQL of the tests is set up."""


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def found(settings: HouseSettings) -> list[Finding]:
    findings = list(store(settings))
    assert SECRET not in str(findings)
    assert {finding.what for finding in findings} <= {WHAT}
    return [finding for finding in findings if finding.detail != HASTY]


def at_the_store(settings: HouseSettings, do: Callable[[Any], Awaitable[object]]) -> None:
    async def work() -> None:
        async with opened(settings) as one:
            await do(one)

    asyncio.run(work())


def test_where_there_is_none_nothing_is_said() -> None:
    assert found(HouseSettings()) == []


def test_a_store_that_nobody_has_used_is_left_as_it_is(server: Any) -> None:
    settings = house(server)
    for _ in range(2):
        (finding,) = found(settings)
        assert (finding.state, finding.detail) == ("ok", "it lets us in; nobody has used it yet")


def test_one_that_is_in_use_is_said_to_let_us_in(server: Any) -> None:
    settings = house(server)
    at_the_store(settings, lambda one: one.pulse("hall", None))
    (finding,) = found(settings)
    assert (finding.state, finding.detail) == ("ok", "it lets us in")


def test_one_that_is_away_fails_with_what_to_do(server: Any) -> None:
    server.kill()
    (finding,) = found(house(server))
    assert finding.state == "fail"
    assert "house.store" in finding.remedy


def test_a_wrong_password_fails_with_what_to_do_and_is_not_shown(server: Any) -> None:
    url = f"{server.url.partition('://')[0]}://gateway:{SECRET}@127.0.0.1:{server.port}"
    (finding,) = found(house(server, store=url))
    assert finding.state == "fail"
    assert "password" in finding.detail
    assert "store_password_file" in finding.remedy


def test_one_of_a_later_version_fails(server: Any) -> None:
    settings = house(server)

    async def renew(one: Any) -> None:
        if hasattr(one, "_client"):
            await one._client.hset(one._about, "version", "99")
        else:
            async with one._asking() as db:
                await db.execute(
                    f"UPDATE {settings.store_name}.about SET value = '99' WHERE name = 'version'"
                )

    at_the_store(settings, renew)
    (finding,) = found(settings)
    assert (finding.state, finding.remedy) == ("fail", "update this gateway, too")


def test_a_redis_that_forgets_is_warned_of(redis: Any) -> None:
    settings = house(redis)
    at_the_store(settings, lambda one: one._client.config_set("maxmemory-policy", "allkeys-lru"))
    at_the_store(settings, lambda one: one._client.config_set("appendonly", "no"))
    try:
        details = [finding.detail for finding in found(settings) if finding.state == "warn"]
        assert len(details) == 2
        assert "appendonly" in details[0]
        assert "allkeys-lru" in details[1]
    finally:
        at_the_store(settings, lambda one: one._client.config_set("maxmemory-policy", "noeviction"))
        at_the_store(settings, lambda one: one._client.config_set("appendonly", "yes"))


def test_a_clock_that_is_wrong_is_warned_of(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("gateway.commands.doctor.store.time.time", lambda: now() + 100)
    warning = found(house(redis))[-1]
    assert (warning.state, warning.detail) == ("warn", "its clock is 100 s behind this machine's")
    assert "NTP" in warning.remedy


@pytest.mark.slow
@pytest.mark.xdist_group("postgresql")
def test_a_postgresql_that_does_not_wait_for_its_disk_is_warned_of(postgresql: Any) -> None:
    assert [(one.state, one.detail) for one in store(house(postgresql))][1:] == [("warn", HASTY)]


@pytest.mark.slow
@pytest.mark.xdist_group("postgresql")
def test_a_user_who_may_make_nothing_is_warned_of(postgresql: Any) -> None:
    async def make(one: Any) -> None:
        async with one._asking() as db:
            await db.execute("DROP ROLE IF EXISTS guest")
            await db.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")

    at_the_store(house(postgresql), make)
    new = house(postgresql, store=f"postgresql://guest:guest@127.0.0.1:{postgresql.port}/postgres")
    assert [finding.state for finding in found(new)] == ["ok", "warn"]

    async def begin() -> None:
        with pytest.raises(StoreRefused, match="does not allow it"):
            await open_store(new)

    asyncio.run(begin())


def test_a_client_library_that_is_missing_fails_with_the_extra(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.shared_store.opening._KINDS", {"redis": ("no_such_module", "redis")})
    (finding,) = found(house(redis))
    assert finding.state == "fail"
    assert finding.remedy == "pip install 'earshot-gateway[redis]'"
