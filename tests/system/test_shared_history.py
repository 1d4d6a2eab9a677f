"""Whole gateways that share a store: what one has heard is looked up, and erased, at the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from msgspec import structs

from gateway.access.door import Door, NotAdmitted
from gateway.access.principals import Role
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from gateway.house_hub.running import HouseHub
from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.history import Selection
from gateway.journal.records import HistoryReply
from gateway.process.clock import DAY
from tests.gateway.access.keyring import Keyring
from tests.gateway.journal.rows import remembered, utterance
from tests.gateway.shared_store.stores import KINDS, house
from tests.gateway.works import loud
from tests.record import passes
from tests.servers.redis import Redis
from tests.system.house import settings

PATIENCE = 40.0
PCM = loud(0.2)


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


class Place:
    """A gateway that recognizes nothing, and a browser at it."""

    def __init__(self, gateway: Gateway, client: ClientSession) -> None:
        self.gateway = gateway
        self.client = client
        self.headers: dict[str, str] = {}
        """Who asks."""
        assert isinstance(gateway.journal, Journal)
        self.journal = gateway.journal

    async def hear(self, name: str, text: str = "light", **fields: Any) -> None:
        await self.journal.commit(e.Remembered(remembered(name, text, **fields)))

    async def ask(self, path: str = "", method: str = "GET", status: int = 200, **params: Any) -> Any:
        url = f"{self.gateway.url}api/v1/utterances{path}"
        async with self.client.request(method, url, params=params, headers=self.headers) as response:
            text = await response.text()
            assert response.status == status, text
            return msgspec.json.decode(text) if text else None

    async def names(self, **params: Any) -> list[str]:
        return [one["utterance_id"] for one in (await self.ask(**params))["utterances"]]

    async def own(self) -> list[str]:
        """What its journal has."""
        return [row.utterance_id for row in await self.journal.history.page(Selection(), 100)]

    async def finds(self, *names: str) -> float:
        """Wait until it is this that it finds; how long that took."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while not await self._found(names):  # noqa: ASYNC110 - what several parts have come to
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def _found(self, names: tuple[str, ...]) -> bool:
        page = await self.ask()
        return bool(page["whole"]) and [one["utterance_id"] for one in page["utterances"]] == list(names)

    async def has(self, *names: str) -> None:
        """Wait until it is this that its own journal has."""
        async with asyncio.timeout(PATIENCE):
            while await self.own() != list(names):  # noqa: ASYNC110 - what several parts have come to
                await asyncio.sleep(0.02)

    async def is_alone(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self.ask())["whole"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def place(folder: Path, name: str, shared: Any, **parts: Any) -> AsyncIterator[Place]:
    folder = folder / name
    folder.mkdir(exist_ok=True)
    sections = {
        "house": {**msgspec.structs.asdict(shared), "name": name},
        "transcription": {"engine": "off"},
        "journal": {"keep_audio": True},
        **parts,
    }
    config = msgspec.convert(settings(folder, **sections), GatewayConfig)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway(config))
        yield Place(gateway, await stack.enter_async_context(ClientSession()))


async def test_what_one_has_heard_is_found_at_the_other_with_its_answer(server: Any, tmp_path: Path) -> None:
    shared = house(server)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.hear("u_1", "Is it raining?", spoken_at=time.time() - 60)
        await attic.hear("u_2", "Lights on")
        assert await hall.finds("u_2", "u_1") < PATIENCE
        await attic.finds("u_2", "u_1")
        await hall.journal.commit(e.Answered("c_u_1", HistoryReply(text="It is.", agent="weather")))
        assert await hall.names(q="it is.") == ["u_1"]
        await attic.finds("u_2", "u_1")
        (one,) = (await attic.ask(q="it is."))["utterances"]
        assert (one["text"], one["reply"]["agent"], one["gateway"]) == ("Is it raining?", "weather", "hall")
        assert (await attic.ask("/u_1"))["gateway"] == "hall"
        assert (await attic.ask("/u_2"))["gateway"] == ""
        assert (await attic.ask("/u_9", status=404))["status"] == 404


async def test_audio_is_heard_where_it_is_and_said_to_be_there(server: Any, tmp_path: Path) -> None:
    shared = house(server)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.journal.commit(e.Heard(utterance("u_1", audio=PCM)))
        await hall.journal.commit(e.Transcribed("u_1"), e.Remembered(remembered("u_1")))
        await attic.finds("u_1")
        assert not (await attic.ask())["utterances"][0]["has_audio"]
        assert (await hall.ask())["utterances"][0]["has_audio"]
        problem = await attic.ask("/u_1/audio", status=404)
        assert "the gateway hall has it" in problem["detail"]


async def test_what_is_erased_at_one_is_gone_at_both_within_a_second(server: Any, tmp_path: Path) -> None:
    shared = house(server)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.hear("u_1")
        await hall.hear("u_2")
        await attic.finds("u_2", "u_1")
        began = time.monotonic()
        await attic.ask("/u_1", method="DELETE", status=204)
        assert await attic.names() == ["u_2"]
        await hall.has("u_2")
        assert time.monotonic() - began < PATIENCE
        await hall.finds("u_2")
        assert (await attic.ask("/u_1", status=404))["status"] == 404


async def test_a_user_is_forgotten_at_both(server: Any, tmp_path: Path) -> None:
    shared = house(server)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.hear("u_1")
        await hall.hear("u_2", user_id="bob")
        await attic.hear("u_3")
        await attic.finds("u_3", "u_2", "u_1")
        await attic.ask(method="DELETE", user_id="ann")
        assert await attic.names() == ["u_2"]
        await hall.has("u_2")
        await hall.hear("u_4")  # what ann says from now on is kept
        await attic.finds("u_4", "u_2")


async def test_a_gateway_that_was_away_forgets_what_was_said_before_and_not_since(
    server: Any, tmp_path: Path
) -> None:
    shared = house(server)
    async with place(tmp_path, "attic", shared) as attic:
        async with place(tmp_path, "hall", shared) as hall:
            await hall.hear("u_1", spoken_at=time.time() - 2 * DAY)
            await hall.hear("u_2", spoken_at=time.time() + DAY)
            await attic.finds("u_2", "u_1")
        erasing = e.ForgetEverywhere("user", "ann", time.time() - DAY)
        await attic.journal.commit(erasing)
        await attic.finds("u_2")
        async with place(tmp_path, "hall", shared) as hall:
            await hall.has("u_2")
            await hall.finds("u_2")


async def test_while_the_store_is_away_a_gateway_shows_its_own_says_so_and_tells_it_later(
    redis: Redis, tmp_path: Path
) -> None:
    shared = house(redis)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.hear("u_1")
        await attic.finds("u_1")
        redis.kill()
        await attic.is_alone()
        await attic.hear("u_2")
        await hall.hear("u_3")
        assert await attic.names() == ["u_2"]
        assert (await attic.ask("/u_1", status=503))["status"] == 503
        await attic.ask("/u_2", method="DELETE", status=204)
        await attic.hear("u_4")
        redis.start()
        await hall.finds("u_4", "u_3", "u_1")
        await attic.finds("u_4", "u_3", "u_1")


async def test_a_cursor_goes_on_where_it_began(redis: Redis, tmp_path: Path) -> None:
    shared = house(redis)
    async with place(tmp_path, "hall", shared) as hall:
        for number in range(4):
            await hall.hear(f"u_{number}")
        await hall.finds("u_3", "u_2", "u_1", "u_0")
        of_house = (await hall.ask(limit=2))["next"]
        assert await hall.names(limit=2, before=of_house) == ["u_1", "u_0"]
        redis.kill()
        await hall.is_alone()
        problem = await hall.ask(limit=2, before=of_house, status=503)
        assert "without `before`" in problem["detail"] + str(problem)
        own = (await hall.ask(limit=2))["next"]
        redis.start()
        await hall.finds("u_3", "u_2", "u_1", "u_0")
        assert await hall.names(limit=2, before=own) == ["u_1", "u_0"]


async def test_a_store_that_was_emptied_is_filled_again(redis: Redis, tmp_path: Path) -> None:
    shared = house(redis)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.hear("u_1")
        await attic.hear("u_2")
        await hall.finds("u_2", "u_1")
        store = hall.gateway.store
        assert store is not None
        assert store.store is not None
        await store.store._client.flushdb()  # type: ignore[attr-defined]
        await attic.finds("u_2", "u_1")
        await hall.finds("u_2", "u_1")


async def test_what_goes_by_its_age_goes_in_the_house_too(redis: Redis, tmp_path: Path) -> None:
    shared = house(redis)
    async with place(tmp_path, "hall", shared, history={"utterances": 2}) as hall:
        for number in range(4):
            await hall.hear(f"u_{number}")
        await hall.finds("u_3", "u_2")


async def test_what_was_remembered_before_there_was_a_store_is_in_it(redis: Redis, tmp_path: Path) -> None:
    async with place(tmp_path, "hall", house(redis, store="")) as hall:
        await hall.hear("u_1")
        assert (await hall.ask())["whole"]
    shared = house(redis)
    async with place(tmp_path, "hall", shared), place(tmp_path, "attic", shared) as attic:
        await attic.finds("u_1")


async def test_two_of_the_same_name_lose_nothing(redis: Redis, tmp_path: Path) -> None:
    shared = house(redis)
    (tmp_path / "other").mkdir()
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path / "other", "hall", shared) as other:
        await hall.hear("u_1")
        await other.hear("u_2")
        await hall.finds("u_2", "u_1")
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path / "other", "hall", shared) as other:
        await other.finds("u_2", "u_1")
        await hall.has("u_1")
        await other.has("u_2")


# -- who may see what


async def as_(one: Place, text: str) -> None:
    """From now on whoever has this token asks, once it is known there."""
    one.headers = {"Authorization": f"Bearer {text}"}
    door = one.gateway.common_door.door
    assert door is not None
    async with asyncio.timeout(PATIENCE):
        while not await _is_known(door, text):  # noqa: ASYNC110 - what several parts have come to
            await asyncio.sleep(0.02)


async def _is_known(door: Door, text: str) -> bool:
    with suppress(NotAdmitted):
        await door.admit(text, "")
        return True
    return False


GUARDED: dict[str, Any] = {"web": {"port": 0, "require_token": True}}


async def test_somebody_who_may_see_one_device_sees_it_wherever_it_was_heard(
    server: Any, tmp_path: Path
) -> None:
    shared = house(server)
    async with (
        place(tmp_path, "hall", shared, **GUARDED) as hall,
        place(tmp_path, "attic", shared, **GUARDED) as attic,
    ):
        keyring = Keyring(tmp_path / "hall")
        of_kitchen = await asyncio.to_thread(keyring.token, "sign", devices=("kitchen",))
        of_bob = await asyncio.to_thread(keyring.token, "bobs", users=("bob",))
        everybody = await asyncio.to_thread(keyring.token, "all")
        await hall.hear("u_1")
        await hall.hear("u_2", device_id="attic")
        await attic.hear("u_3", user_id="bob", device_id="attic")
        await as_(attic, everybody)
        await attic.finds("u_3", "u_2", "u_1")
        await as_(attic, of_kitchen)
        assert await attic.names() == ["u_1"]
        assert (await attic.ask("/u_2", status=404))["status"] == 404
        assert (await attic.ask("/u_1"))["gateway"] == "hall"
        await as_(attic, of_bob)
        assert await attic.names() == ["u_3"]
        assert await attic.names(user_id="ann") == []


async def test_a_listener_erases_nothing_and_an_operator_only_what_is_theirs_to_see(
    redis: Redis, tmp_path: Path
) -> None:
    shared = house(redis)
    async with (
        place(tmp_path, "hall", shared, **GUARDED) as hall,
        place(tmp_path, "attic", shared, **GUARDED) as attic,
    ):
        keyring = Keyring(tmp_path / "hall")
        listener = await asyncio.to_thread(keyring.token, "ann")
        bobs = await asyncio.to_thread(keyring.token, "bobs", Role.OPERATOR, users=("bob",))
        operator = await asyncio.to_thread(keyring.token, "all", Role.OPERATOR)
        await hall.hear("u_1")
        await as_(attic, operator)
        await attic.finds("u_1")
        await as_(attic, listener)
        await attic.ask("/u_1", method="DELETE", status=403)
        await as_(attic, bobs)
        await attic.ask("/u_1", method="DELETE", status=404)
        await attic.ask(method="DELETE", user_id="ann", status=404)
        await as_(attic, operator)
        assert await attic.names() == ["u_1"]
        await attic.ask("/u_1", method="DELETE", status=204)
        await hall.has()


async def test_a_gateway_that_redacts_shows_and_searches_no_words_of_others(
    redis: Redis, tmp_path: Path
) -> None:
    shared = house(redis)
    async with (
        place(tmp_path, "hall", shared) as hall,
        place(tmp_path, "attic", shared, privacy={"redact": True}) as attic,
    ):
        await hall.hear("u_1", "secret words")
        await attic.finds("u_1")
        (one,) = (await attic.ask())["utterances"]
        assert (one["text"], one["redacted"]) == ("", True)
        assert (await attic.ask("/u_1"))["text"] == ""
        await attic.ask(q="secret", status=503)


async def test_what_is_said_at_three_is_one_history_by_pages(redis: Redis, tmp_path: Path) -> None:
    shared = house(redis)
    async with (
        place(tmp_path, "hall", shared) as hall,
        place(tmp_path, "attic", shared) as attic,
        place(tmp_path, "shed", shared) as shed,
    ):
        began = time.time() - 1_000
        for number in range(12):
            await (hall, attic, shed)[number % 3].hear(f"u_{number}", spoken_at=began + number)
        await shed.finds(*(f"u_{number}" for number in reversed(range(12))))
        names, before = list[str](), ""
        while True:
            page = await shed.ask(limit=5, **({"before": before} if before else {}))
            names += [one["utterance_id"] for one in page["utterances"]]
            if (before := page["next"]) is None:
                break
        assert names == [f"u_{number}" for number in reversed(range(12))]


async def test_what_was_erased_while_a_gateway_was_switched_off_is_erased_when_it_comes(
    server: Any, tmp_path: Path
) -> None:
    shared = house(server)
    async with place(tmp_path, "attic", shared) as attic:
        async with place(tmp_path, "hall", shared) as hall:
            await hall.hear("u_1")
            await hall.hear("u_2")
            await attic.finds("u_2", "u_1")
        await attic.ask("/u_1", method="DELETE", status=204)
        assert await attic.names() == ["u_2"]
        async with place(tmp_path, "hall", shared) as hall:
            await hall.has("u_2")


async def test_speech_that_is_erased_elsewhere_before_it_has_its_answer_gets_none_that_is_kept(
    redis: Redis, tmp_path: Path
) -> None:
    shared = house(redis)
    async with place(tmp_path, "hall", shared) as hall, place(tmp_path, "attic", shared) as attic:
        await hall.hear("u_1")
        await attic.finds("u_1")
        await attic.ask("/u_1", method="DELETE", status=204)
        await hall.has()
        await hall.journal.commit(e.Answered("c_u_1", HistoryReply(text="late")))
        await hall.hear("u_1", "again")  # somebody's row of it that comes late
        await hall.hear("u_2")
        await attic.finds("u_2")


@pytest.mark.slow
async def test_a_hub_shows_what_all_have_heard_and_erases_it(redis: Redis, tmp_path: Path) -> None:
    shared = structs.replace(house(redis), share=True)
    parts = {"broker": {"url": redis.url}}
    async with (
        place(tmp_path, "hall", shared, broker={**parts["broker"], "client_id": "hall"}) as hall,
        place(tmp_path, "attic", shared, broker={**parts["broker"], "client_id": "attic"}) as attic,
    ):
        await hall.hear("u1", "light", user_id="anna")
        await attic.hear("u2", "music", user_id="ben")
        await hall.finds("u2", "u1")
        config = settings(tmp_path / "hub", house=msgspec.structs.asdict(shared), **parts)
        (tmp_path / "hub").mkdir()
        async with HouseHub(msgspec.convert(config, GatewayConfig), "hub") as hub, ClientSession() as client:
            await passes(lambda: len(hub.presence.neighbours.here()) == 2)
            url = f"{hub.url}api/v1/utterances"
            async with client.get(url) as answer:
                page = msgspec.json.decode(await answer.read())
            assert [one["utterance_id"] for one in page["utterances"]] == ["u2", "u1"]
            async with client.get(f"{url}/u1") as answer:
                assert msgspec.json.decode(await answer.read())["text"] == "light"
            async with client.delete(f"{url}/u1") as answer:
                assert answer.status == 204
            await hall.has()
            await attic.finds("u2")


@pytest.mark.slow
async def test_a_hub_without_a_store_says_what_it_takes(redis: Redis, tmp_path: Path) -> None:
    config = settings(tmp_path, broker={"url": redis.url}, house={"share": True})
    async with HouseHub(msgspec.convert(config, GatewayConfig), "hub") as hub, ClientSession() as client:
        async with client.get(f"{hub.url}api/v1/utterances") as answer:
            told = msgspec.json.decode(await answer.read())
        assert answer.status == 503
        assert "house.store" in told["remedy"]
