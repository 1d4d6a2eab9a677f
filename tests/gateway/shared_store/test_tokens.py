"""Tokens and signed-in pages of a house: made and ended at one gateway, good and over at all."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from gateway.access.door import NotAdmitted
from gateway.access.tokens import MAX_TOKENS, Token, joined
from gateway.observing.health import HealthState
from gateway.process.clock import DAY
from gateway.shared_store.port import Entry
from gateway.shared_store.tokens import AWAY, PAGES, TOKENS, read_token
from tests.gateway.access.keyring import Keyring
from tests.gateway.shared_store.gateways import place, until, until_admitted
from tests.gateway.shared_store.stores import KINDS, house, opened


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def token(keyring: Keyring) -> Token:
    return keyring.make()[0]


def test_of_two_ends_the_earlier_holds_in_whatever_order_they_are_learned(tmp_path: Path) -> None:
    made = token(Keyring(tmp_path))
    ended = structs.replace(made, revoked_at=50.0)
    earlier = structs.replace(made, revoked_at=40.0, expires_at=made.expires_at - 1)
    for one, other in ((ended, earlier), (earlier, ended), (joined(made, ended), earlier)):
        assert joined(one, other) == structs.replace(earlier)
    assert joined(made, made) == made


async def test_a_token_made_at_one_is_good_at_the_other_within_a_second(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one, place(tmp_path, "other", settings) as other:
        await one.is_well()
        await other.is_well()
        made, text = await asyncio.to_thread(one.keyring.make)
        await until_admitted(other, text)
        there = (await asyncio.to_thread(other.keyring.file.read)).tokens
        assert there == {made.token_id: made}
        assert text not in other.keyring.file.path.read_text()


async def test_a_token_that_is_revoked_at_one_ends_open_listeners_at_the_other(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one, place(tmp_path, "other", settings) as other:
        _, text = await asyncio.to_thread(one.keyring.make)
        await until_admitted(other, text)
        stay = await other.stay(text)
        await asyncio.to_thread(one.keyring.file.revoke, "ann")
        with pytest.raises(NotAdmitted, match="revoked"):
            await asyncio.wait_for(stay.ended(), 40)
        assert not await other.admits(text)


async def test_what_was_made_and_ended_while_the_store_was_away_holds_when_it_is_back(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one, place(tmp_path, "other", settings) as other:
        _, ended = await asyncio.to_thread(one.keyring.make, "ended")
        await until_admitted(other, ended)
        server.kill()
        await until(lambda: one.condition() is other.condition() is HealthState.DEGRADED)
        await asyncio.to_thread(one.keyring.file.revoke, "ended")
        _, new = await asyncio.to_thread(one.keyring.make, "new")
        assert not await one.admits(ended)
        assert await one.admits(new)
        assert await other.admits(ended)
        server.start()
        await until_admitted(other, new)
        await until_admitted(other, ended, wanted=False)


async def test_a_store_that_was_emptied_is_filled_again_and_nobody_is_shown_out(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one:
        _, ended = await asyncio.to_thread(one.keyring.make, "ended")
        await asyncio.to_thread(one.keyring.file.revoke, "ended")
        _, text = await asyncio.to_thread(one.keyring.make)
        await one.is_well()
        await emptied(settings)
        async with place(tmp_path, "third", settings) as third:
            await until_admitted(third, text)
            assert await one.admits(text)
            assert not await third.admits(ended)


async def emptied(settings: Any) -> None:
    """As after the loss of its disk."""
    async with opened(settings) as store:
        if hasattr(store, "_client"):
            await store._client.delete(
                *[key async for key in store._client.scan_iter(f"*:{settings.store_name}:*")]
            )
        else:
            async with store._asking() as db:  # type: ignore[attr-defined]
                await db.execute(f"DROP SCHEMA {settings.store_name} CASCADE")


async def test_a_store_restored_from_before_does_not_bring_a_token_back_to_life(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one:
        made, text = await asyncio.to_thread(one.keyring.make)
        await one.is_well()
        await asyncio.to_thread(one.keyring.file.revoke, "ann")
    async with opened(settings) as store:
        await store.change(TOKENS, [made.token_id], lambda _there: {made.token_id: msgspec.json.encode(made)})
    async with place(tmp_path, "one", settings) as one, place(tmp_path, "other", settings) as other:
        await one.is_well()
        await other.is_well()
        assert not await one.admits(text)
        await until(lambda: made.token_id in other.keyring.file.read().tokens)
        await until_admitted(other, text, wanted=False)


async def test_while_the_store_is_away_for_too_long_only_what_was_made_since_is_good(
    redis: Any, tmp_path: Path
) -> None:
    now = time.time()
    settings = house(redis, store_away_days=1.0)
    async with place(tmp_path, "one", settings, lambda: now) as one:
        _, text = await asyncio.to_thread(one.keyring.make, "ann", days=30.0)
        await one.is_well()
        redis.kill()
        await until(lambda: one.condition() is HealthState.DEGRADED)
        now += DAY - 60
        assert await one.admits(text)
        stay = await one.stay(text)
        now += 120
        assert not await one.admits(text)
        with pytest.raises(NotAdmitted, match=AWAY):
            await asyncio.wait_for(stay.ended(), 40)
        _, new = await asyncio.to_thread(one.keyring.make, "new", days=30.0)
        assert await one.admits(new)
    async with place(tmp_path, "one", settings, lambda: now) as one:  # which was restarted meanwhile
        await until(lambda: one.condition() is HealthState.DEGRADED)
        assert not await one.admits(text)
        assert await one.admits(new)
        redis.start()
        await until_admitted(one, text)


async def test_what_is_no_token_in_the_store_lets_nobody_in_and_is_said(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    made, text = Keyring(tmp_path).make()
    wrong = {
        "t_text": b"no token",
        "t_other": msgspec.json.encode(made),
        "t_admin": msgspec.json.encode(structs.replace(made, token_id="t_admin", digest="x")),
        "t_named": msgspec.json.encode(structs.replace(made, token_id="t_named", name="a b")),
    }
    async with opened(settings) as store:
        await store.change(TOKENS, list(wrong), lambda _there: wrong)
    async with place(tmp_path, "one", settings) as one:
        await until(lambda: one.condition() is HealthState.DEGRADED)
        assert "4 of its tokens are none" in one.reason
        assert not await one.admits(text)
        _, good = await asyncio.to_thread(one.keyring.make)
        assert await one.admits(good)


def test_what_a_later_version_writes_beside_is_no_hindrance(tmp_path: Path) -> None:
    made = token(Keyring(tmp_path))
    body = msgspec.json.encode({**structs.asdict(made), "colour": "blue"})
    assert read_token(Entry(made.token_id, body, 1)) == made


async def test_a_store_cannot_widen_what_a_token_known_here_is_for(redis: Any, tmp_path: Path) -> None:
    settings = house(redis)
    async with place(tmp_path, "one", settings) as one:
        made, text = await asyncio.to_thread(one.keyring.make, devices=("kitchen",))
        await one.is_well()
        wide = msgspec.json.encode(structs.replace(made, role="operator", devices=()))
        async with opened(settings) as store:
            await store.change(TOKENS, [made.token_id], lambda _there: {made.token_id: wide})
            await asyncio.to_thread(one.keyring.make, "sign")
            await until(lambda: len(one.at_work.tokens._known) == 2)
        principal = await one.door.admit(text, "")
        assert (principal.role, principal.devices) == ("listener", {"kitchen"})


async def test_more_tokens_than_there_may_be_stay_out_and_those_known_stay_in(tmp_path: Path) -> None:
    keyring, other = Keyring(tmp_path / "one"), Keyring(tmp_path / "other")
    made, _ = keyring.make()
    model = token(other)
    many = [
        structs.replace(model, token_id=f"t_{number}", digest=f"{number:064}") for number in range(MAX_TOKENS)
    ]
    assert keyring.file.join([*many, structs.replace(made, revoked_at=time.time())])
    there = keyring.file.read().tokens
    assert len(there) == MAX_TOKENS
    assert there[made.token_id].revoked_at


async def test_a_file_that_cannot_be_read_is_left_as_it_is_and_said(redis: Any, tmp_path: Path) -> None:
    settings = house(redis)
    async with place(tmp_path, "one", settings) as one:
        _, text = await asyncio.to_thread(one.keyring.make)
        await one.is_well()
        one.keyring.file.path.write_text("[damaged")
        await until(lambda: one.condition() is HealthState.DEGRADED)
        assert "damaged" in one.reason
        assert one.keyring.file.path.read_text() == "[damaged"
        assert not await one.admits(text)


async def test_a_page_that_signed_in_at_one_is_signed_in_at_the_other_at_once(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one, place(tmp_path, "other", settings) as other:
        made, text = await asyncio.to_thread(one.keyring.make)
        await until_admitted(other, text)
        secret = await asyncio.to_thread(one.door.sessions.begin, made.token_id)
        await one.common_door.tell()
        assert (await other.door.admit_session(secret, "")).name == "ann"
        assert secret not in (other.folder / "pages.json").read_text()
        assert await one.door.sign_out(secret)
        await one.common_door.tell()
        await until(lambda: other.door.sessions.find(secret) is None)
        with pytest.raises(NotAdmitted):
            await other.door.admit_session(secret, "")


async def test_a_sign_out_while_the_store_was_away_is_not_lost_with_a_restart(
    redis: Any, tmp_path: Path
) -> None:
    settings = house(redis)
    async with place(tmp_path, "other", settings) as other:
        async with place(tmp_path, "one", settings) as one:
            made, text = await asyncio.to_thread(one.keyring.make)
            await until_admitted(other, text)
            secret = await asyncio.to_thread(one.door.sessions.begin, made.token_id)
            await until(lambda: other.door.sessions.find(secret) is not None)
            redis.kill()
            await until(lambda: one.condition() is HealthState.DEGRADED)
            assert await one.door.sign_out(secret)
            assert not await one.door.sign_out(secret)
        redis.start()
        async with place(tmp_path, "one", settings) as one:
            await until(lambda: other.door.sessions.find(secret) is None)
            assert one.door.sessions.find(secret) is None


async def test_a_page_that_signed_out_elsewhere_is_signed_out_here_though_ours_is_served_later(
    redis: Any, tmp_path: Path
) -> None:
    """As where the page's port is taken at the start."""
    settings = house(redis)
    async with place(tmp_path, "one", settings) as one:
        async with place(tmp_path, "other", settings) as other:
            made, text = await asyncio.to_thread(one.keyring.make)
            await until_admitted(other, text)
            secret = await asyncio.to_thread(one.door.sessions.begin, made.token_id)
            await until(lambda: other.door.sessions.find(secret) is not None)
        assert await one.door.sign_out(secret)
        await one.common_door.tell()
        async with place(tmp_path, "other", settings, serves=False) as other:
            await other.is_well()
            assert other.door.sessions.find(secret) is not None
            other.serve()
            await until(lambda: other.door.sessions.find(secret) is None)


async def test_a_store_that_has_lost_its_pages_signs_nobody_in_and_is_no_mishap(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one, opened(settings) as store:
        await one.is_well()
        if hasattr(store, "_client"):
            await store._client.set(store._key("entries", PAGES), b"no hash")  # type: ignore[attr-defined]
        else:
            async with store._asking() as db:  # type: ignore[attr-defined]
                await db.execute(f"DROP TABLE {settings.store_name}.entries")
        with pytest.raises(NotAdmitted):
            await one.door.admit_session("nobodys", "")
