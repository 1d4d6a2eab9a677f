"""A journal that somebody moves, deletes or replaces under the gateway: told, and nothing is lost."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.journal import Journal, JournalState, NotDurable, visiting, writer
from gateway.journal import effects as e
from gateway.journal.file import Lock
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter
from tests.gateway.journal.test_full_disk import no_file_longer_than
from tests.system.house import passes

pytestmark = pytest.mark.slow


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Journal, list[JournalState]]]:
    states: list[JournalState] = []
    async with Journal(JournalSettings(path=str(folder / "journal.db")), on_state=states.append) as journal:
        await journal.commit(e.Queued(letter(1)))
        yield journal, states


def numbers(path: Path) -> list[int]:
    db = sqlite3.connect(path)
    try:
        return [number for (number,) in db.execute("SELECT number FROM outbox ORDER BY number")]
    finally:
        db.close()


def moved(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "journal.db").rename(folder / "elsewhere" / "journal.db")


def moved_whole(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    for file in folder.glob("journal.db*"):
        file.rename(folder / "elsewhere" / file.name)


def deleted(folder: Path) -> None:
    (folder / "journal.db").unlink()


def all_deleted(folder: Path) -> None:
    for file in folder.glob("journal.db*"):
        file.unlink()


def log_deleted(folder: Path) -> None:
    (folder / "journal.db-wal").unlink()


def folder_deleted(folder: Path) -> None:
    shutil.rmtree(folder)


ATTACKS = pytest.mark.parametrize(
    "attack",
    [moved, moved_whole, deleted, all_deleted, log_deleted, folder_deleted],
    ids=lambda one: one.__name__,
)


@ATTACKS
async def test_it_comes_back_whole_and_says_so(tmp_path: Path, attack: Callable[[Path], None]) -> None:
    folder = tmp_path / "state"
    async with opened(folder) as (journal, states):
        attack(folder)
        await journal.commit(e.Queued(letter(2)))
        assert numbers(folder / "journal.db") == [1, 2], "what is promised is there at once"
        assert journal.state.durable
        assert "moved away or deleted while the gateway ran" in journal.state.reason
        assert journal.state.remedy
        with pytest.raises(Exception, match="in use by process"):
            Lock(folder / "journal.db").acquire()
        await journal.commit(e.Queued(letter(3)))
    assert len(states) == 2
    assert numbers(folder / "journal.db") == [1, 2, 3]
    assert {file.stat().st_mode & 0o077 for file in folder.glob("journal.db*")} == {0}
    async with Journal(JournalSettings(path=str(folder / "journal.db"))) as again:
        assert again.state == JournalState(durable=True)


@ATTACKS
async def test_it_is_noticed_though_nothing_is_written(
    tmp_path: Path, attack: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOOK_SECONDS", 0.05)
    folder = tmp_path / "state"
    async with opened(folder) as (journal, _):
        attack(folder)
        await passes(lambda: bool(journal.state.reason))
        assert numbers(folder / "journal.db") == [1]


async def test_it_comes_back_at_the_very_end(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with opened(folder):
        all_deleted(folder)
    assert numbers(folder / "journal.db") == [1]


async def test_what_was_put_in_its_place_is_kept(tmp_path: Path) -> None:
    old = tmp_path / "backup"
    async with opened(old) as (journal, _):
        await journal.commit(e.Queued(letter(7)))
    folder = tmp_path / "state"
    async with opened(folder) as (journal, _):
        (old / "journal.db").replace(folder / "journal.db")
        await journal.commit(e.Queued(letter(2)))
        assert numbers(folder / "journal.db") == [1, 2]
        (kept,) = folder.glob("journal.db.other-*")
        assert kept.name in journal.state.reason
        assert numbers(kept) == [1, 7]


async def test_what_cannot_be_put_back_is_a_state_and_made_good(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with opened(folder) as (journal, _):
        with no_file_longer_than(1000):
            all_deleted(folder)
            with pytest.raises(NotDurable):
                await journal.commit(e.Queued(letter(2)))
            assert not journal.state.durable
        await passes(lambda: journal.state.durable)
        assert numbers(folder / "journal.db") == [1, 2]
        assert not list(folder.glob(".*")), "no half a copy stays"


async def test_whoever_owns_the_place_by_now_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with opened(folder) as (journal, _):
        moved_whole(folder)
        async with Journal(JournalSettings(path=str(folder / "journal.db"))) as another:
            await another.commit(e.Queued(letter(5)))
            with pytest.raises(NotDurable):
                await journal.commit(e.Queued(letter(2)))
            assert "in use by process" in journal.state.reason
            assert numbers(folder / "journal.db") == [5]
        await passes(lambda: journal.state.durable)
        assert numbers(folder / "journal.db") == [1, 2]
        (kept,) = folder.glob("journal.db.other-*")
        assert numbers(kept) == [5]


async def test_who_asks_from_outside_finds_the_one_that_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with opened(folder) as (journal, _):
        deleted(folder)
        await journal.commit(e.Queued(letter(2)))
        assert list(visiting.dead_letters(folder / "journal.db")) == []
        assert visiting.has_owner(folder / "journal.db")
