"""That no step of the wall clock makes a row of the journal old, and that time which has passed does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.history import Selection
from gateway.journal.records import RequestState, Room
from gateway.journal.tables.schema import MIGRATIONS, migrate
from gateway.journal.tables.tables import encode
from gateway.process.clock import DAY
from gateway.settings.history import HistorySettings
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import remembered, request, utterance
from tests.gateway.machine import Machine

NOW = 1_800_000_000.0
KEPT = {Room.HISTORY: 1, Room.UTTERANCES: 1, Room.REQUESTS: 2}
"""An utterance that is over, with its audio; its request, and one that is open."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(NOW).install(monkeypatch)


def journal_in(folder: Path) -> Journal:
    settings = JournalSettings(path=str(folder / "journal.db"), keep_audio=True)
    return Journal(settings, history=HistorySettings(days=30.0, audio_days=2.0), remember_seconds=300.0)


async def hear(journal: Journal) -> None:
    await journal.commit(e.Heard(utterance("u_1")))
    await journal.commit(e.Transcribed("u_1"), e.Remembered(remembered("u_1")), e.Asked(request("c_1")))
    await journal.commit(e.RequestEnded("c_1", RequestState.DONE, text="yes"), e.Asked(request("c_2")))


async def kept(journal: Journal) -> dict[Room, int]:
    """What is left when it was tidied up."""
    await journal.ask(lambda ledger: ledger.tidy(ledger.now()))
    return {room: usage.rows for room, usage in journal.stats().rooms.items() if room in KEPT}


async def test_forty_days_ahead_for_a_minute_and_back_erase_nothing(tmp_path: Path, machine: Machine) -> None:
    async with journal_in(tmp_path) as journal:
        await hear(journal)
        machine.wall += 40 * DAY
        for _ in range(2):
            assert await kept(journal) == KEPT
            machine.pass_by(60)
        machine.wall -= 40 * DAY
        assert await kept(journal) == KEPT


async def test_a_gateway_that_is_restarted_while_the_clock_is_ahead_erases_nothing(
    tmp_path: Path, machine: Machine
) -> None:
    async with journal_in(tmp_path) as journal:
        await hear(journal)
    machine.wall += 40 * DAY
    async with journal_in(tmp_path) as journal:
        machine.pass_by(60)
        assert await kept(journal) == KEPT


async def test_what_was_heard_in_1970_is_there_when_the_time_has_come(
    tmp_path: Path, machine: Machine
) -> None:
    machine.wall = 50.0
    async with journal_in(tmp_path) as journal:
        await hear(journal)
    machine.reboot(wall=50.0)
    async with journal_in(tmp_path) as journal:
        machine.pass_by(40)
        assert await kept(journal) == KEPT
        machine.wall = NOW
        for _ in range(3):
            machine.pass_by(40)
            assert await kept(journal) == KEPT
    async with journal_in(tmp_path) as journal:
        machine.pass_by(40)
        assert await kept(journal) == KEPT
        (row,) = await journal.history.page(Selection(), 9)
        assert row.has_audio


async def test_time_that_has_passed_erases_also_when_the_clock_says_1970(
    tmp_path: Path, machine: Machine
) -> None:
    machine.wall = 50.0
    async with journal_in(tmp_path) as journal:
        await hear(journal)
        machine.pass_by(301)
        assert await kept(journal) == {**KEPT, Room.REQUESTS: 1}
        machine.pass_by(2 * DAY)
        assert await kept(journal) == {**KEPT, Room.REQUESTS: 1, Room.UTTERANCES: 0}
        machine.wall = 0.0
        machine.pass_by(28 * DAY)
        assert await kept(journal) == {Room.HISTORY: 0, Room.REQUESTS: 0, Room.UTTERANCES: 0}


async def test_time_switched_off_counts(tmp_path: Path, machine: Machine) -> None:
    async with journal_in(tmp_path) as journal:
        await hear(journal)
    machine.reboot(wall=NOW + 3 * DAY)
    async with journal_in(tmp_path) as journal:
        machine.pass_by(2 * 3600)
        assert await kept(journal) == {**KEPT, Room.REQUESTS: 1, Room.UTTERANCES: 0}


async def test_what_is_taken_up_is_as_old_as_it_is(tmp_path: Path, machine: Machine) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Heard(utterance("u_1")), e.Asked(request("c_1")))
    machine.pass_by(7.0)
    machine.wall = 0.0
    async with journal_in(tmp_path) as journal:
        assert [row.age for row in [one async for one in journal.utterances()]] == [pytest.approx(7.0)]
        assert [row.age for row in [one async for one in journal.requests()]] == [pytest.approx(7.0)]
        one = await journal.utterance("u_1")
        assert one is not None
        assert one.age == pytest.approx(7.0)


@pytest.mark.parametrize("wall", [NOW + 3 * DAY, NOW + 400 * DAY, 0.0], ids=["right", "ahead", "none"])
async def test_rows_of_an_earlier_gateway_are_as_old_as_the_newest_says(
    tmp_path: Path, machine: Machine, wall: float
) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:2])
        for name, spoken_at in (("u_old", NOW - 31 * DAY), ("u_new", NOW)):
            db.execute(
                "INSERT INTO history (utterance_id, correlation_id, session_id, user_id, device_id, spoken_at,"
                " words, size, record) VALUES (?, '', '', '', '', ?, '', 0, ?)",
                (name, spoken_at, encode(remembered(name, spoken_at=spoken_at))),
            )
    machine.wall = wall
    async with journal_in(tmp_path) as journal:
        machine.pass_by(60)
        assert (await kept(journal))[Room.HISTORY] == 1
        assert [row.utterance_id for row in await journal.history.page(Selection(), 9)] == ["u_new"]
