"""What of the history others have yet to be told: every change, over restarts, and again where it is not known."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.records import HistoryReply
from gateway.journal.tables import sharing
from gateway.journal.tables.sharing import Change, Untold
from gateway.settings.history import HistorySettings
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import remembered


def journal_in(folder: Path, *, shared: bool = True, **history: Any) -> Journal:
    settings = JournalSettings(path=str(folder / "journal.db"))
    return Journal(settings, history=HistorySettings(**history), shared=shared)


async def untold(journal: Journal, limit: int = 100) -> Untold:
    found = await journal.history.untold(limit)
    assert found is not None
    return found


def rows(found: Untold) -> list[tuple[str, str | None]]:
    """Each changed utterance, and its text now."""
    return [(one.subject, one.row.text if one.row else None) for one in found.changes]


async def told(journal: Journal) -> None:
    """All of it."""
    changes = (await untold(journal)).changes
    await journal.commit(e.ToldOthers(changes[-1].number), e.Swept())


async def test_where_nobody_is_told_nothing_is_written_down(tmp_path: Path) -> None:
    async with journal_in(tmp_path, shared=False) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
        assert await journal.history.untold(10) is None


async def test_each_change_of_a_row_is_to_be_told_and_the_row_is_as_it_is_now(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1", "Hello")), e.Remembered(remembered("u_2")))
        await journal.commit(e.Answered("c_u_1", HistoryReply(text="Good day")))
        found = await untold(journal)
        assert [one.subject for one in found.changes] == ["u_2", "u_1"]
        last = found.changes[-1]
        assert last.row is not None
        assert (last.row.reply, last.words) == (HistoryReply(text="Good day"), "hello\ngood day")
        await told(journal)
        await journal.commit(e.HandedOver("c_u_1", 450.0), e.PublishedIn("c_u_2", 3.0))
        assert [one.subject for one in (await untold(journal)).changes] == ["u_1", "u_2"]


async def test_what_is_erased_is_to_be_told_too(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
        await told(journal)
        await journal.commit(e.Erased("u_1"))
        assert rows(await untold(journal)) == [("u_1", None)]


async def test_what_makes_room_is_to_be_told_too(tmp_path: Path) -> None:
    async with journal_in(tmp_path, utterances=2) as journal:
        for number in range(3):
            await journal.commit(e.Remembered(remembered(f"u_{number}", "x")))
        assert dict(rows(await untold(journal))) == {"u_0": None, "u_1": "x", "u_2": "x"}


async def test_a_change_that_comes_while_the_one_before_is_told_stays(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
        (first,) = (await untold(journal)).changes
        await journal.commit(e.PublishedIn("c_u_1", 3.0))
        await journal.commit(e.ToldOthers(first.number))
        found = await untold(journal)
        assert rows(found) == [("u_1", "turn on the light")]
        assert found.told == first.number


async def test_what_was_not_told_is_there_after_a_restart_and_what_was_is_not(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
        await told(journal)
        await journal.commit(e.Remembered(remembered("u_2")))
        before = await untold(journal)
    async with journal_in(tmp_path) as journal:
        assert await untold(journal) == before
        assert rows(before) == [("u_2", "turn on the light")]


async def test_what_was_there_before_anybody_was_told_is_told_whole(tmp_path: Path) -> None:
    async with journal_in(tmp_path, shared=False) as journal:
        for number in range(3):
            await journal.commit(e.Remembered(remembered(f"u_{number}", "x")))
    async with journal_in(tmp_path) as journal:
        found = await untold(journal)
        assert [one.subject for one in found.changes] == ["u_0", "u_1", "u_2"]
        assert (found.generation, found.sweep) == (1, True)
        await told(journal)
        assert not (await untold(journal)).sweep


async def test_what_changed_while_nobody_was_told_is_found_by_telling_all_again(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")), e.Remembered(remembered("u_2", "x")))
        await told(journal)
        name = (await untold(journal)).journal
    async with journal_in(tmp_path, shared=False) as journal:
        await journal.commit(e.Erased("u_1"))
    async with journal_in(tmp_path) as journal:
        found = await untold(journal)
        assert rows(found) == [("u_2", "x")]
        assert (found.journal, found.generation, found.sweep) == (name, 2, True)


async def test_all_of_it_is_told_again_when_it_was_lost(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
        await told(journal)
        await journal.commit(e.TellAgain())
        found = await untold(journal)
        assert [one.subject for one in found.changes] == ["u_1"]
        assert (found.generation, found.sweep) == (2, True)


async def test_what_is_to_be_forgotten_everywhere_waits_with_the_rest_in_order(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
        await journal.commit(e.ForgetEverywhere(e.USER, "ann", 5.0))
        await journal.commit(e.ForgetEverywhere(e.UTTERANCE, "u_9", 6.0))
        found = (await untold(journal)).changes
        assert [(one.kind, one.subject, one.at) for one in found] == [
            (sharing.ROW, "u_1", 0.0), (e.USER, "ann", 5.0), (e.UTTERANCE, "u_9", 6.0),
        ]  # fmt: skip
        await journal.commit(e.TellAgain())
        assert {one.kind for one in (await untold(journal)).changes} == {"row", "user", "utterance"}


async def test_it_is_remembered_what_others_wanted_forgotten(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.ForgotAsAsked("epoch", 7))
    async with journal_in(tmp_path) as journal:
        found = await untold(journal)
        assert (found.epoch, found.erased) == ("epoch", 7)


async def test_a_store_that_is_away_for_long_costs_no_more_than_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "SPARE_CHANGES", 3)
    async with journal_in(tmp_path, utterances=2) as journal:
        for number in range(20):
            await journal.commit(e.Remembered(remembered(f"u_{number}", "x")))
        assert len((await untold(journal)).changes) == 20
        await journal.ask(lambda ledger: ledger.tidy(ledger.now()))
        found = await untold(journal)
        assert [one.subject for one in found.changes] == ["u_18", "u_19"]
        assert found.sweep


async def test_some_at_a_time(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        for number in range(5):
            await journal.commit(e.Remembered(remembered(f"u_{number}", "x")))
        assert [one.subject for one in (await untold(journal, 2)).changes] == ["u_0", "u_1"]


async def test_who_wants_to_know_is_called_with_each_commit(tmp_path: Path) -> None:
    calls: list[bool] = []
    async with journal_in(tmp_path) as journal:
        journal.on_commit = lambda done: calls.append(done.done())
        await journal.commit(e.Remembered(remembered("u_1")))
        assert calls == [True]


async def test_a_change_and_its_row_are_one_transaction(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("BEGIN")
        db.execute("DELETE FROM history")
        db.rollback()
    async with journal_in(tmp_path) as journal:
        assert isinstance((await untold(journal)).changes[0], Change)
        assert rows(await untold(journal)) == [("u_1", "turn on the light")]
