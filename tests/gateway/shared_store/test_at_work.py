"""The shared store at work against servers that are away, slow, full, somebody else's, or no such thing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.access.common_door import CommonDoor
from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.history import Selection
from gateway.journal.of_house import HouseAway
from gateway.observing.health import Health, HealthState
from gateway.settings.house import HouseSettings
from gateway.settings.journal import JournalSettings
from gateway.shared_store import at_work
from gateway.shared_store.at_work import COMPONENT, StoreAtWork
from gateway.shared_store.history import Shipping, StoredHistory
from gateway.shared_store.opening import open_store
from gateway.shared_store.port import ERASED, StoreError, StoreUnavailable
from tests.gateway.journal.rows import remembered
from tests.gateway.shared_store.gateways import until
from tests.gateway.shared_store.stores import KINDS, house, opened
from tests.servers.process import free_port

ALL = Selection()


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


class Place:
    """A gateway that remembers, and shares that."""

    def __init__(self, journal: Journal, settings: HouseSettings, folder: Path) -> None:
        self.journal = journal
        self.health = Health(lambda _event: None)
        self.common_door = CommonDoor()
        shipping = Shipping("hall", journal, 30.0, self.forget)
        self.at_work = StoreAtWork(
            settings, "hall", folder, common_door=self.common_door, health=self.health, shipping=shipping
        )
        self.house = StoredHistory(lambda: self.at_work.store, shipping, journal)

    async def forget(self, kind: str, subject: str, until: float, *, just_now: bool) -> None:
        await self.journal.commit(e.Erased(subject))

    async def hear(self, *names: str) -> None:
        for name in names:
            await self.journal.commit(e.Remembered(remembered(name)))

    @property
    def condition(self) -> tuple[HealthState | None, str, str]:
        component = self.health.report().components.get(COMPONENT)
        return (component.state, component.reason, component.remedy) if component else (None, "", "")

    async def is_well(self) -> None:
        await until(lambda: self.condition[0] is HealthState.HEALTHY)

    async def is_not_well(self, reason: str) -> str:
        """Why, once it is so; with the remedy."""
        await until(lambda: self.condition[0] is HealthState.DEGRADED and reason in self.condition[1])
        return self.condition[2]

    async def names(self) -> list[str]:
        """Those that the store has, once all was told."""
        async with asyncio.timeout(40):
            while not await self.house.caught_up():  # noqa: ASYNC110 - what several parts have come to
                await asyncio.sleep(0.01)
        return [one.row.utterance_id for one in (await self.house.page(ALL, None, 100)).rows]


@asynccontextmanager
async def place(folder: Path, settings: HouseSettings) -> AsyncIterator[Place]:
    journal_settings = JournalSettings(path=str(folder / "journal.db"))
    async with Journal(journal_settings, shared=True) as journal:
        one = await asyncio.to_thread(Place, journal, settings, folder)
        working = asyncio.create_task(one.at_work.run())
        try:
            yield one
            assert not working.done()  # whatever came
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def test_a_store_that_is_away_at_the_start_is_told_when_it_comes(server: Any, tmp_path: Path) -> None:
    server.kill()
    async with place(tmp_path, house(server)) as one:
        remedy = await one.is_not_well(str(server.port))
        assert "house.store" in remedy
        await one.hear("u_1")
        assert not await one.house.caught_up()
        await asyncio.to_thread(server.start)
        await one.is_well()
        assert await one.names() == ["u_1"]


async def test_a_store_that_stands_still_is_away_and_is_told_when_it_goes_on(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "PATIENCE_SECONDS", 0.3)
    async with place(tmp_path, house(server)) as one:
        await one.is_well()
        await one.hear("u_1")
        server.pause()
        await one.is_not_well("in time")
        await one.hear("u_2")
        server.resume()
        await one.is_well()
        assert await one.names() == ["u_2", "u_1"]


async def test_a_wrong_password_is_said_and_what_was_said_meanwhile_is_told_once_it_is_right(
    redis: Any, tmp_path: Path
) -> None:
    right = tmp_path / "password"
    right.write_text("wrong-secret\n")
    url = f"redis://gateway@127.0.0.1:{redis.port}"
    async with place(tmp_path, house(redis, store=url, store_password_file=str(right))) as one:
        remedy = await one.is_not_well("")
        assert "password" in remedy
        assert "wrong-secret" not in str(one.condition)
        await one.hear("u_1")
        right.write_text("not-a-secret\n")
        await one.is_well()
        assert await one.names() == ["u_1"]


async def test_a_store_of_a_later_version_is_said_and_left_alone(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with opened(settings) as store:
        await set_version(store, "99")
    async with place(tmp_path, settings) as one:
        await one.hear("u_1")
        assert await one.is_not_well("99") == "update this gateway, too"


async def set_version(store: Any, version: str) -> None:
    if hasattr(store, "_client"):
        await store._client.hset(store._about, "version", version)
    else:
        async with store._asking() as db:
            await db.execute(f"UPDATE {store._schema}.about SET value = $1 WHERE name = 'version'", version)


async def test_a_redis_that_is_full_says_so_and_is_told_when_there_is_room(
    redis: Any, tmp_path: Path
) -> None:
    settings = house(redis)
    async with place(tmp_path, settings) as one, opened(settings) as store:
        client = store._client  # type: ignore[attr-defined]
        await one.is_well()
        await client.config_set("maxmemory", "1")
        try:
            await one.hear("u_1", "u_2")
            assert "maxmemory" in await one.is_not_well("out of memory")
        finally:
            await client.config_set("maxmemory", "0")
        await one.is_well()
        assert await one.names() == ["u_2", "u_1"]


@pytest.mark.slow
@pytest.mark.xdist_group("postgresql")
async def test_a_postgresql_that_may_only_be_read_says_so_and_is_told_when_it_may_be_written(
    postgresql: Any, tmp_path: Path
) -> None:
    settings = house(postgresql)
    async with place(tmp_path, settings) as one, opened(settings) as store:
        await one.is_well()

        async def alter(value: str) -> None:
            async with store._asking() as db:  # type: ignore[attr-defined]
                await db.execute(
                    "SET default_transaction_read_only = off;"
                    f" ALTER ROLE CURRENT_USER SET default_transaction_read_only = {value}"
                )

        await alter("on")
        try:
            await one.at_work.store.close()  # type: ignore[union-attr]
            await one.hear("u_1")
            await one.is_not_well("read-only")
        finally:
            await alter("off")
        await one.is_well()
        assert await one.names() == ["u_1"]


@pytest.mark.slow
@pytest.mark.xdist_group("postgresql")
async def test_a_table_that_somebody_has_dropped_is_said_and_harms_nothing_else(
    postgresql: Any, tmp_path: Path
) -> None:
    settings = house(postgresql)
    async with place(tmp_path, settings) as one, opened(settings) as store:
        await one.is_well()
        async with store._asking() as db:  # type: ignore[attr-defined]
            await db.execute(f"DROP TABLE {settings.store_name}.history")
        await one.hear("u_1")
        remedy = await one.is_not_well("history")
        assert "docs/house.md" in remedy
        own = await one.journal.history.page(ALL, 10)
        assert [row.utterance_id for row in own] == ["u_1"]


async def test_a_journal_that_cannot_be_read_is_no_matter_of_the_stores(redis: Any, tmp_path: Path) -> None:
    async with place(tmp_path, house(redis)) as one:
        await one.is_well()
        await one.hear("u_1")
        assert await one.names() == ["u_1"]
        hidden = tmp_path / "elsewhere.db"
        (tmp_path / "journal.db").rename(hidden)
        await one.journal.commit(e.PublishedIn("c_u_1", 3.0))
        await asyncio.sleep(0.3)
        assert one.condition[0] is HealthState.HEALTHY
        if not (tmp_path / "journal.db").exists():
            hidden.rename(tmp_path / "journal.db")


async def test_a_clock_that_is_far_from_the_stores_is_said(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    async with place(tmp_path, house(server)) as one:
        await one.is_well()
        monkeypatch.setattr("gateway.shared_store.at_work.time.time", lambda: now() - 60)
        one.at_work._skew = await at_work._skew(one.at_work.store)  # type: ignore[arg-type]
        assert "NTP" in await one.is_not_well("ahead of this machine's")
        await one.hear("u_1")
        assert await one.names() == ["u_1"]


async def test_what_is_to_be_forgotten_and_is_garbage_is_said(redis: Any, tmp_path: Path) -> None:
    settings = house(redis)
    async with place(tmp_path, settings) as one, opened(settings) as store:
        await one.is_well()
        await store.change(ERASED, ["planet:mars"], lambda _there: {"planet:mars": b"5"})
        await one.is_not_well("1 of what is to be forgotten")
        await one.hear("u_1")
        assert await one.names() == ["u_1"]


async def test_an_emptied_store_has_it_all_again(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with place(tmp_path, settings) as one:
        await one.hear("u_1", "u_2")
        assert await one.names() == ["u_2", "u_1"]
        async with opened(settings) as store:
            if hasattr(store, "_client"):
                keys = [key async for key in store._client.scan_iter(f"*:{settings.store_name}:*")]
                await store._client.delete(*keys)
            else:
                async with store._asking() as db:  # type: ignore[attr-defined]
                    await db.execute(f"DROP SCHEMA {settings.store_name} CASCADE")
        async with asyncio.timeout(40):
            while await shown(one) != ["u_2", "u_1"]:  # noqa: ASYNC110 - what several parts have come to
                await asyncio.sleep(0.05)


async def shown(one: Place) -> list[str]:
    try:
        return [found.row.utterance_id for found in (await one.house.page(ALL, None, 100)).rows]
    except HouseAway:
        return []


# -- servers that are none

GARBAGE = [
    b"",
    b"\x00" * 64,
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    b"-ERR go away\r\n" * 8,
    b"$-99\r\n*9999999\r\n",
    b"*1\r\n" * 5_000,
    b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I",
    b"R\x00\x00\x00\x08\x00\x00\x00\x63",
    b"E\x00\x00\x00\x05\x00",
    b"\xff" * 2_000,
    b"N" + b"\x00" * 64,
    b"NR\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I",
    b"S",
]


@asynccontextmanager
async def somebody(said: bytes, *, hangs_up: bool = True) -> AsyncIterator[int]:
    """Who says this to everybody."""
    over, guests = asyncio.Event(), set[asyncio.Task[Any]]()

    async def meet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        guests.add(task)
        writer.write(said)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1 if hangs_up else None):
                await over.wait()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await asyncio.gather(*guests)


@pytest.mark.parametrize("scheme", ["redis", "postgresql", "rediss", "postgresqls"])
@pytest.mark.parametrize("said", GARBAGE)
async def test_what_is_no_such_server_is_an_error_with_a_reason(scheme: str, said: bytes) -> None:
    async with somebody(said) as port:
        settings = HouseSettings(store=f"{scheme}://earshot:very-secret@127.0.0.1:{port}")
        with pytest.raises(StoreError) as raised:
            async with asyncio.timeout(30):
                await open_store(settings)
    assert str(raised.value)
    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_who_never_says_anything_is_not_waited_for(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.shared_store.redis.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("gateway.shared_store.place.CONNECT_SECONDS", 0.3)
    async with somebody(b"", hangs_up=False) as port:
        settings = HouseSettings(store=f"{scheme}://earshot:very-secret@127.0.0.1:{port}")
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(30):
                await open_store(settings)


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_a_port_where_nobody_is_and_a_name_that_nobody_has(scheme: str) -> None:
    for place_ in (f"127.0.0.1:{free_port()}", "no-such-host.invalid"):
        with pytest.raises(StoreUnavailable) as raised:
            await open_store(HouseSettings(store=f"{scheme}://{place_}"))
        assert "house.store" in raised.value.remedy


def test_nothing_of_a_store_is_loaded_where_there_is_none() -> None:
    script = (
        "import sys, gateway.app; "
        "print([name for name in sys.modules if name.startswith(('gateway.shared_store', 'asyncpg', 'redis'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=os.environ)
    assert done.stdout.strip() == b"[]"
