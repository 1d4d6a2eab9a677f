"""The port of the shared store, over each server: entries, their changes, and the pulse."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.settings.house import HouseSettings
from gateway.shared_store.opening import open_store
from gateway.shared_store.port import MOST_ENTRIES, SharedStore, StoreError, StoreRefused, StoreUnavailable
from gateway.shared_store.tokens import changes
from tests.gateway.shared_store.stores import KINDS, house, opened

KIND = "words"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def put(store: SharedStore, key: str, body: bytes) -> None:
    await store.change(KIND, [key], lambda _there: {key: body})


async def test_what_one_puts_the_other_reads_in_the_order_of_the_changes(server: Any) -> None:
    settings = house(server)
    async with opened(settings) as one, opened(settings) as other:
        await put(one, "b", b"1")
        await put(other, "a", b"2")
        await put(one, "b", b"3")
        first, second = await other.entries(KIND, 0)
        assert (first.key, first.body, second.key, second.body) == ("a", b"2", "b", b"3")
        assert [entry.key for entry in await one.entries(KIND, first.version)] == ["b"]
        assert (await one.pulse("one", None)).version == second.version
        assert await other.entry(KIND, "b") == b"3"
        assert await other.entry(KIND, "c") is None


async def test_changes_at_the_same_time_are_made_one_after_the_other(server: Any) -> None:
    settings = house(server)

    async def count(store: SharedStore) -> None:
        for _ in range(10):
            await store.change(KIND, ["n"], lambda there: {"n": b"%d" % (int(there.get("n", b"0")) + 1)})

    async with opened(settings) as one, opened(settings) as other:
        await asyncio.gather(count(one), count(one), count(other))
        assert await one.entry(KIND, "n") == b"30"


async def test_who_reads_while_others_write_misses_no_change(server: Any) -> None:
    settings = house(server)
    seen: dict[str, bytes] = {}
    async with opened(settings) as one, opened(settings) as other, opened(settings) as reader:

        async def write(store: SharedStore, name: str) -> None:
            for number in range(40):
                await put(store, f"{name}{number}", b"x")

        writing = asyncio.gather(write(one, "one"), write(other, "other"))
        after = 0
        while not writing.done() or (await reader.pulse("reader", None)).version > after:
            for entry in await reader.entries(KIND, after):
                seen[entry.key], after = entry.body, entry.version
        await writing
    assert len(seen) == 80


async def test_more_than_is_read_at_once_is_read_all_the_same(server: Any) -> None:
    async with opened(house(server)) as store:
        keys = [f"k{number}" for number in range(MOST_ENTRIES + 5)]
        await store.change(KIND, keys, lambda _there: dict.fromkeys(keys, b"x"))
        assert sorted([entry.key async for entry in changes(store, KIND, 0)]) == sorted(keys)


async def test_what_is_dropped_is_gone_and_what_nobody_wants_changed_stays(server: Any) -> None:
    async with opened(house(server)) as store:
        await put(store, "a", b"1")

        def leave(there: Mapping[str, bytes]) -> Mapping[str, bytes]:
            assert there == {"a": b"1"}
            return {}

        await store.change(KIND, ["a", "b"], leave)
        assert [entry.body for entry in await store.entries(KIND, 0)] == [b"1"]
        await store.drop(KIND, ["a", "b"])
        await store.drop(KIND, [])
        assert await store.entries(KIND, 0) == []


async def test_what_gateways_spend_the_others_learn_and_themselves_not(server: Any) -> None:
    settings = house(server)
    async with opened(settings) as one, opened(settings) as other:
        assert (await one.pulse("one", b"much")).spent == {}
        assert (await other.pulse("other", None)).spent == {"one": b"much"}
        await one.pulse("one", b"more")
        assert (await other.pulse("other", b"little")).spent == {"one": b"more"}


async def test_houses_under_two_names_know_nothing_of_each_other(server: Any) -> None:
    async with opened(house(server)) as one, opened(house(server)) as other:
        await put(one, "a", b"1")
        await one.pulse("one", b"much")
        assert await other.entries(KIND, 0) == []
        there = await other.pulse("other", None)
        assert (there.version, there.spent) == (0, {})
        assert (await one.pulse("one", None)).epoch != there.epoch


async def test_a_server_that_is_not_there_is_unavailable_and_says_what_to_do(server: Any) -> None:
    server.kill()
    with pytest.raises(StoreUnavailable, match=str(server.port)) as raised:
        await open_store(house(server))
    assert "house.store" in raised.value.remedy


async def test_a_server_that_dies_under_the_connection_is_unavailable(server: Any) -> None:
    async with opened(house(server)) as store:
        server.kill()
        with pytest.raises(StoreUnavailable):
            await store.pulse("one", None)
        with pytest.raises(StoreUnavailable):
            await put(store, "a", b"1")


async def test_a_wrong_password_is_refused_and_shown_nowhere(server: Any) -> None:
    url = f"{server.url.partition('://')[0]}://gateway:wrong-secret@127.0.0.1:{server.port}"
    with pytest.raises(StoreRefused) as raised:
        await open_store(house(server, store=url))
    assert "wrong-secret" not in str(raised.value)
    assert "password" in str(raised.value)


async def test_a_store_of_a_later_version_is_left_alone(server: Any) -> None:
    settings = house(server)
    async with opened(settings) as store:
        await later_version(store)
    with pytest.raises(StoreRefused, match="99"):
        await open_store(settings)


async def later_version(store: Any) -> None:
    """As a gateway leaves it that knows more."""
    if hasattr(store, "_client"):
        await store._client.hset(store._about, "version", "99")
    else:
        async with store._asking() as db:
            await db.execute(f"UPDATE {store._schema}.about SET value = '99' WHERE name = 'version'")


async def test_two_gateways_that_begin_at_once_make_one_house(server: Any) -> None:
    settings = house(server)
    stores = await asyncio.gather(*(open_store(settings) for _ in range(4)))
    pulses = [await store.pulse(str(number), None) for number, store in enumerate(stores)]
    assert len({pulse.epoch for pulse in pulses}) == 1
    await asyncio.gather(*(store.close() for store in stores))


async def test_the_way_may_be_guarded(server: Any, certificates: Any) -> None:
    more: dict[str, Any] = {"store_ca_file": str(certificates.ca)}
    if server.tls_url.startswith("redis"):
        more |= {
            "store_cert_file": str(certificates.client_cert),
            "store_key_file": str(certificates.client_key),
        }
    settings = house(server, store=server.tls_url, **more)
    async with opened(settings) as store:
        assert (await store.pulse("one", None)).version == 0
    unknown = HouseSettings(store=server.tls_url, store_name=settings.store_name)
    with pytest.raises(StoreError):
        await open_store(unknown)


async def test_a_password_may_lie_in_a_file(server: Any, tmp_path: Any) -> None:
    (tmp_path / "password").write_text("not-a-secret\n")
    url = f"{server.url.partition('://')[0]}://gateway@127.0.0.1:{server.port}"
    url += "/postgres" if url.startswith("postgresql") else ""
    settings = house(server, store=url, store_password_file=str(tmp_path / "password"))
    async with opened(settings) as store:
        assert (await store.pulse("one", None)).version == 0
    (tmp_path / "password").unlink()
    with pytest.raises(StoreRefused, match="password"):
        await open_store(settings)
