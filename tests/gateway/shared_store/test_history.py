"""Journals whose histories are told a store, and the store's asked of them; each on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.history import Selection
from gateway.journal.of_house import HouseAway
from gateway.journal.records import HistoryReply
from gateway.process.clock import DAY
from gateway.settings.history import HistorySettings
from gateway.settings.house import HouseSettings
from gateway.settings.journal import JournalSettings
from gateway.shared_store import history
from gateway.shared_store.history import MICRO, Shipping, StoredHistory
from gateway.shared_store.port import (
    ERASED,
    FOR_EVER,
    Erasure,
    SharedRow,
    SharedStore,
    Shipment,
    StoreUnavailable,
)
from tests.gateway.journal.rows import remembered, utterance
from tests.gateway.shared_store.gateways import until
from tests.gateway.shared_store.stores import KINDS, house, opened

ALL = Selection()


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


class Teller:
    """A gateway that is its journal, and what others want it to forget."""

    def __init__(self, name: str, journal: Journal, days: float = 30.0) -> None:
        self.journal = journal
        self.asked: list[tuple[str, str, float, bool]] = []
        self.shipping = Shipping(name, journal, days, self.forget)
        self.store: SharedStore | None = None
        self.house = StoredHistory(lambda: self.store, self.shipping, journal)

    async def forget(self, kind: str, subject: str, until: float, *, just_now: bool) -> None:
        self.asked.append((kind, subject, until, just_now))
        if kind == e.UTTERANCE:
            await self.journal.commit(e.Erased(subject))

    async def hear(self, *names: str, **fields: Any) -> None:
        for name in names:
            await self.journal.commit(e.Remembered(remembered(name, **fields)))

    @asynccontextmanager
    async def tells(self, settings: HouseSettings) -> AsyncIterator[SharedStore]:
        """As long as this lasts; whatever ends it early is raised."""
        async with opened(settings) as store:
            pulse = await store.pulse("", None)
            self.store = store
            working = asyncio.create_task(self.shipping.run(store, pulse.epoch))
            try:
                yield store
            finally:
                self.store = None
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    async def told(self) -> None:
        """Wait until nothing is untold."""

        async def all_told() -> bool:
            untold = await self.journal.history.untold(1)
            return untold is not None and not untold.changes and not untold.sweep

        async with asyncio.timeout(40):
            while not await all_told():  # noqa: ASYNC110 - what several parts have come to
                await asyncio.sleep(0.01)


@asynccontextmanager
async def teller(folder: Path, name: str = "hall", **options: Any) -> AsyncIterator[Teller]:
    days = options.pop("days", 30.0)
    path = folder / name / "journal.db"
    path.parent.mkdir(exist_ok=True)
    settings = JournalSettings(path=str(path), keep_audio=True)
    async with Journal(settings, history=HistorySettings(**options), shared=True) as journal:
        yield Teller(name, journal, days)


async def names(store: SharedStore) -> list[str]:
    return [one.utterance_id for one in (await store.page(ALL, None, 1_000)).rows]


async def test_many_are_told_and_each_once(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with teller(tmp_path) as hall:
        count = 2 * history.AT_ONCE + 7
        for number in range(count):
            hall.journal.commit(e.Remembered(remembered(f"u_{number}", spoken_at=1.8e9 + number)))
        async with hall.tells(settings) as store:
            await hall.told()
            assert await names(store) == [f"u_{number}" for number in reversed(range(count))]


async def test_a_gateway_that_dies_before_it_knows_that_the_store_has_it_tells_it_again(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with teller(tmp_path) as hall:
        await hall.hear("u_1", "u_2")
        before = await hall.journal.history.untold(10)
        async with hall.tells(settings) as store:
            await hall.told()
        assert before is not None
        async with opened(settings) as store:  # as if nothing of it had been written down
            rows = [hall.shipping._shared(one, one.row) for one in before.changes if one.row]
            await store.ship(
                Shipment(
                    gateway="hall",
                    journal=before.journal,
                    generation=before.generation,
                    position=before.changes[-1].number,
                    rows=tuple(rows),
                )
            )
            assert await names(store) == ["u_2", "u_1"]


async def test_the_answer_is_told_when_it_comes_and_is_found_by_its_words(
    server: Any, tmp_path: Path
) -> None:
    async with teller(tmp_path) as hall, hall.tells(house(server)):
        await hall.hear("u_1")
        await hall.told()
        await hall.journal.commit(e.Answered("c_u_1", HistoryReply(text="Certainly")))
        page = await hall.house.page(Selection(text="certain"), None, 10)
        (one,) = page.rows
        assert (one.gateway, one.row.reply) == ("hall", HistoryReply(text="Certainly"))
        assert page.whole


async def test_a_row_of_a_clock_that_was_never_set_is_kept_for_its_days(server: Any, tmp_path: Path) -> None:
    async with teller(tmp_path) as hall, hall.tells(house(server)) as store:
        await hall.hear("u_1", spoken_at=4.0)
        await hall.told()
        await store.prune()
        assert await names(store) == ["u_1"]


async def test_a_row_of_a_clock_that_ran_ahead_does_not_stay_for_ever(server: Any, tmp_path: Path) -> None:
    async with teller(tmp_path, days=1e-9) as hall, hall.tells(house(server)) as store:
        await hall.hear("u_1", spoken_at=time.time() + 4_000 * DAY)
        await hall.told()
        await asyncio.sleep(1.1)  # the server counts whole seconds
        await store.prune()
        assert await names(store) == []


async def test_what_is_to_be_forgotten_is_told_before_what_was_said(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with teller(tmp_path) as hall, teller(tmp_path, "attic") as attic:
        await attic.hear("u_1")
        async with attic.tells(settings):
            await attic.told()
        await hall.hear("u_2", spoken_at=time.time() - 100)
        await hall.journal.commit(e.ForgetEverywhere(e.USER, "ann", time.time() + 1))
        async with hall.tells(settings) as store:
            await hall.told()
            assert await names(store) == []


async def test_what_others_want_forgotten_is_forgotten_once_and_over_restarts(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    at = int(time.time()) * MICRO
    async with opened(settings) as store:
        await store.erase(Erasure(e.UTTERANCE, "u_1", at))
        await store.erase(Erasure(e.USER, "bob", at))
    async with teller(tmp_path) as hall:
        await hall.hear("u_1", "u_2")
        async with hall.tells(settings) as store:
            await hall.told()
            await until(lambda: len(hall.asked) == 2)
            assert [(kind, name, now) for kind, name, _, now in hall.asked] == [
                ("utterance", "u_1", False), ("user", "bob", False),
            ]  # fmt: skip
            assert hall.asked[1][2] == at / MICRO
            assert await names(store) == ["u_2"]
    async with teller(tmp_path) as hall, hall.tells(settings) as store:
        await hall.hear("u_4")
        await hall.told()
        await store.erase(Erasure(e.UTTERANCE, "u_3", at))
        hall.shipping.look()
        await until(lambda: bool(hall.asked))
        assert hall.asked[0][1:] == ("u_3", FOR_EVER / MICRO, True)


async def test_its_own_wish_is_not_put_to_it_again(server: Any, tmp_path: Path) -> None:
    async with teller(tmp_path) as hall, hall.tells(house(server)) as store:
        await hall.journal.commit(e.ForgetEverywhere(e.USER, "ann", 5.0))
        await hall.told()
        await store.erase(Erasure(e.USER, "bob", 6))
        hall.shipping.look()
        await until(lambda: bool(hall.asked))
        assert [name for _, name, _, _ in hall.asked] == ["bob"]


async def test_wishes_that_are_none_hurt_nobody(server: Any, tmp_path: Path) -> None:
    wrong = {
        "user:ann": b"soon",
        "user:bob": b"9" * 400,
        "planet:mars": b"5",
        "user": b"5",
        "user:a b": b"5",
        "": b"",
        "user:eve": b"\xff",
    }
    async with teller(tmp_path) as hall, hall.tells(house(server)) as store:
        await hall.hear("u_1")
        await store.change(ERASED, list(wrong), lambda _there: wrong)
        await store.erase(Erasure(e.UTTERANCE, "u_9", 1))
        hall.shipping.look()
        await until(lambda: bool(hall.asked))
        assert [name for _, name, _, _ in hall.asked] == ["u_9"]
        assert hall.shipping.garbage == len(wrong)
        await hall.told()
        assert await names(store) == ["u_1"]
        await hall.journal.commit(e.ForgetEverywhere(e.USER, "ann", time.time() + 1))
        await hall.told()
        assert await names(store) == []


async def test_rows_that_are_none_are_not_shown(server: Any, tmp_path: Path) -> None:
    facts = {
        "correlation_id": "c", "session_id": "s", "conversation_id": "v", "user_id": "ann", "device_id": "kitchen",
        "words": "", "replied": False, "goes_at": time.time() + DAY,
    }  # fmt: skip
    other = history.msgpack.encode(remembered("u_other"))
    records = {"u_text": b"no row", "u_nothing": b"", "u_other_ones": other, "u_deep": b"\x91" * 100_000}
    async with teller(tmp_path) as hall, hall.tells(house(server)) as store:
        rows = [
            SharedRow(utterance_id=name, spoken=number, record=record, **facts)
            for number, (name, record) in enumerate(records.items())
        ]
        await store.ship(Shipment(gateway="x", journal="j", generation=1, position=1, rows=tuple(rows)))
        await hall.hear("u_1")
        page = await hall.house.page(ALL, None, 10)
        assert [one.row.utterance_id for one in page.rows] == ["u_1"]
        for name in records:
            assert await hall.house.utterance(name) is None


async def test_a_store_that_was_restored_from_before_is_told_what_it_lacks(
    server: Any, tmp_path: Path
) -> None:
    settings = house(server)
    async with teller(tmp_path) as hall:
        await hall.hear("u_1", "u_2")
        async with hall.tells(settings) as store:
            await hall.told()
            untold = await hall.journal.history.untold(1)
            assert untold is not None
            gone = Shipment(
                gateway="hall", journal=untold.journal, generation=1, position=1, gone=("u_1", "u_2")
            )
            await store.ship(gone)
            assert await names(store) == []
        async with hall.tells(settings) as store:
            await until_true(lambda: names(store), ["u_2", "u_1"])


async def until_true(ask: Callable[[], Any], wanted: Any) -> None:
    async with asyncio.timeout(40):
        while await ask() != wanted:  # noqa: ASYNC110 - what several parts have come to
            await asyncio.sleep(0.01)


async def test_what_a_restored_store_has_and_nobody_else_is_swept(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with teller(tmp_path) as hall:
        await hall.hear("u_1", "u_2")
        async with hall.tells(settings):
            await hall.told()
        await hall.journal.commit(e.Erased("u_1"), e.ToldOthers(1_000))
        async with hall.tells(settings) as store:
            await until_true(lambda: names(store), ["u_2"])


async def test_a_question_is_answered_without_what_was_just_erased_though_the_store_has_it(
    redis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SEEN_SECONDS", 0.01)
    settings = house(redis)
    async with teller(tmp_path) as hall:
        await hall.hear("u_1", "u_2")
        await hall.hear("u_3", user_id="bob")
        async with hall.tells(settings):
            await hall.told()
        async with opened(settings) as store:  # and nobody tells it anything
            hall.store = store
            await hall.journal.commit(e.ForgetEverywhere(e.UTTERANCE, "u_2", time.time()))
            page = await hall.house.page(ALL, None, 10)
            assert ([one.row.utterance_id for one in page.rows], page.whole) == (["u_3", "u_1"], False)
            await hall.journal.commit(e.ForgetEverywhere(e.USER, "ann", time.time()))
            page = await hall.house.page(ALL, None, 10)
            assert [one.row.utterance_id for one in page.rows] == ["u_3"]


async def test_only_audio_that_is_here_is_said_to_be_here(redis: Any, tmp_path: Path) -> None:
    settings = house(redis)
    async with teller(tmp_path, audio_days=1.0) as hall, teller(tmp_path, "attic") as attic:
        await hall.journal.commit(e.Heard(utterance("u_1")))
        await hall.journal.commit(e.Transcribed("u_1"), e.Remembered(remembered("u_1")))
        async with hall.tells(settings), attic.tells(settings):
            await hall.told()
            await attic.told()
            assert [one.row.has_audio for one in (await hall.house.page(ALL, None, 1)).rows] == [True]
            assert [one.row.has_audio for one in (await attic.house.page(ALL, None, 1)).rows] == [False]


async def test_who_asks_while_the_store_is_away_is_told_so(redis: Any, tmp_path: Path) -> None:
    async with teller(tmp_path) as hall:
        with pytest.raises(HouseAway):
            await hall.house.page(ALL, None, 10)
        with pytest.raises(HouseAway):
            await hall.house.utterance("u_1")
        assert not await hall.house.caught_up()
        async with hall.tells(house(redis)):
            await hall.told()
            redis.kill()
            with pytest.raises(HouseAway):
                await hall.house.page(ALL, None, 10)
            with pytest.raises(HouseAway):
                await hall.house.utterance("u_1")


async def test_a_store_that_stands_still_keeps_nobody_waiting_for_ever(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "ASKED_SECONDS", 0.2)
    async with teller(tmp_path) as hall, hall.tells(house(server)):
        await hall.told()
        server.pause()
        began = time.monotonic()
        with pytest.raises(HouseAway, match="in time"):
            await hall.house.page(ALL, None, 10)
        assert time.monotonic() - began < 30
        server.resume()


async def test_a_store_that_goes_while_much_is_told_has_it_all_when_it_is_back(
    redis: Any, tmp_path: Path
) -> None:
    settings = house(redis)
    async with teller(tmp_path) as hall:
        for number in range(1_000):
            hall.journal.commit(e.Remembered(remembered(f"u_{number}", spoken_at=1.8e9 + number)))
        async with opened(settings) as store:
            pulse = await store.pulse("", None)
            working = asyncio.create_task(hall.shipping.run(store, pulse.epoch))
            while len(await names(store)) < history.AT_ONCE:  # noqa: ASYNC110 - what several parts have come to
                await asyncio.sleep(0)
            redis.kill()
            with pytest.raises(StoreUnavailable):
                await working
        redis.start()
        async with hall.tells(settings) as store:
            await hall.told()
            assert await names(store) == [f"u_{number}" for number in reversed(range(1_000))]


async def test_two_gateways_that_tell_the_same_utterance_agree(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with teller(tmp_path) as hall, teller(tmp_path, "attic") as attic:
        await hall.hear("u_1", text="asked at one")
        await attic.hear("u_1", text="asked at the other")
        await attic.journal.commit(e.Answered("c_u_1", HistoryReply(text="there")))
        async with hall.tells(settings) as store, attic.tells(settings):
            await hall.told()
            await attic.told()
            await hall.journal.commit(e.PublishedIn("c_u_1", 4.0))
            await hall.told()
            one = await store.utterance("u_1")
            assert one is not None
            assert one.gateway == "attic"
            await hall.journal.commit(e.Erased("u_1"))  # for its age there
            await hall.told()
            assert await names(store) == ["u_1"]
