"""Where the file is, who owns it, and what is done about one that is damaged, new or of another time."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from gateway.journal import Journal, JournalError, JournalInUse, NotDurable
from gateway.journal import effects as e
from gateway.journal.file import Lock, explain, journal_path, open_file
from gateway.journal.tables.schema import MIGRATIONS, VERSION, migrate
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter


def settings(folder: Path) -> JournalSettings:
    return JournalSettings(path=str(folder / "journal.db"))


def set_aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal.db.corrupt-*"))


def test_the_file_is_where_the_settings_or_systemd_or_the_user_say() -> None:
    assert journal_path("/data/j.db", {"STATE_DIRECTORY": "/var/lib/earshot"}) == Path("/data/j.db")
    assert journal_path("~/j.db", {}) == Path.home() / "j.db"
    assert journal_path("", {"STATE_DIRECTORY": "/var/lib/earshot:/other"}) == Path(
        "/var/lib/earshot/journal.db"
    )
    assert journal_path("", {"XDG_STATE_HOME": "/state"}) == Path("/state/earshot/journal.db")
    assert journal_path("", {}) == Path.home() / ".local/state/earshot/journal.db"


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db, moved = open_file(path)
    db.execute("INSERT INTO inbox (source, message_id, size) VALUES ('a', 'b', 1)")
    assert moved is None
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert {file.name for file in tmp_path.iterdir()} == {"journal.db", "journal.db-wal", "journal.db-shm"}
    db.close()


def test_a_commit_is_synced(tmp_path: Path) -> None:
    db, _ = open_file(tmp_path / "journal.db")
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    db.close()


def test_the_lock_is_one_process_s_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Lock(path) as lock:
        lock.acquire()  # it has it already
        with pytest.raises(JournalInUse, match=r"journal\.db is in use by process \d+;"):
            Lock(path).acquire()
    Lock(path).acquire()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b"this is no database, whatever it says" * 99), id="text"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:5000]), id="cut"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(len(path.read_bytes()) - 4096)),
            id="zeroed",
        ),
    ],
)
async def test_a_damaged_file_is_put_aside_whole_and_reported(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "journal.db"
    async with Journal(settings(tmp_path)) as journal:
        await journal.commit(*(e.Queued(letter(i, payload=bytes(3000))) for i in range(1, 30)))
    damage(path)  # type: ignore[operator]
    damaged = path.read_bytes()
    async with Journal(settings(tmp_path)) as journal:
        assert await journal.letters(0, 100) == []
        assert await journal.commit(e.Queued(letter(1)))
        state = journal.state
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes()[100:] == damaged[100:], "but for its head it is as it was"
    assert state.durable
    assert aside.name in state.reason
    async with Journal(settings(tmp_path)) as journal:
        assert await journal.letters(0, 100) == [letter(1)]
        assert not journal.state.reason


async def test_a_second_damaged_file_does_not_replace_the_first(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / "journal.db").write_bytes(b"damaged" * 1000 + bytes([i]))
        async with Journal(settings(tmp_path)):
            pass
    assert len(set_aside(tmp_path)) == 3


async def test_a_file_that_is_damaged_under_our_hands_is_replaced(tmp_path: Path) -> None:
    async with Journal(settings(tmp_path)) as journal:
        await journal.commit(*(e.Queued(letter(i, payload=bytes(3000))) for i in range(1, 30)))
        await journal.ask(lambda ledger: ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        await journal.ask(lambda ledger: ledger._db.execute("PRAGMA shrink_memory").fetchall())
        with (tmp_path / "journal.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 40_000)
        with pytest.raises(NotDurable):
            await journal.commit(*(e.Published(i) for i in range(1, 30)))
        assert await journal.commit(e.Queued(letter(100)))
        assert journal.state.durable
        assert "damaged" in journal.state.reason
        assert [row.number for row in await journal.letters(0, 100)] == [100]
    assert len(set_aside(tmp_path)) == 1


async def test_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    db, _ = open_file(tmp_path / "journal.db")
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    async with Journal(settings(tmp_path)) as journal:
        with pytest.raises(NotDurable):
            await journal.commit(e.Queued(letter()))
        assert "use the newer gateway again" in journal.state.reason
    assert not set_aside(tmp_path)


def test_an_older_file_is_brought_to_the_present(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db, _ = open_file(path)
    db.execute("INSERT INTO inbox (source, message_id, size) VALUES ('a', 'b', 1)")
    migrate(db, (*MIGRATIONS, lambda one: one.execute("ALTER TABLE inbox ADD COLUMN taken_at REAL")))  # type: ignore[arg-type,return-value]
    assert db.execute("SELECT source, taken_at FROM inbox").fetchall() == [("a", None)]
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    db.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    db, _ = open_file(tmp_path / "journal.db")

    def half(one: sqlite3.Connection) -> None:
        one.execute("ALTER TABLE inbox ADD COLUMN taken_at REAL")
        raise JournalError("no further")

    with pytest.raises(JournalError, match="no further"):
        migrate(db, (*MIGRATIONS, half))
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert "taken_at" not in [row[1] for row in db.execute("PRAGMA table_info(inbox)")]
    db.close()


def test_every_trouble_is_explained_with_a_remedy() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert explain(full)[0] == "the disk is full"
    for error in (
        full,
        OSError(28, "No space left on device"),
        PermissionError(13, "no"),
        sqlite3.OperationalError("x"),
    ):
        reason, remedy = explain(error)
        assert reason
        assert remedy


@pytest.mark.parametrize("where", ["file/journal.db", "folder", "/proc/nowhere/journal.db"])
async def test_a_path_where_no_journal_can_be_is_blamed_and_not_the_disk(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    async with Journal(JournalSettings(path=str(tmp_path / where))) as journal:
        assert "journal.path" in journal.state.remedy
        assert "Errno" not in journal.state.reason
        assert str(tmp_path / where.partition("/journal.db")[0]) in journal.state.reason


def test_before_a_newer_version_changes_it_a_copy_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as db:
        migrate(db, MIGRATIONS[:4])
        db.execute("INSERT INTO inbox (source, message_id, size) VALUES ('a', 'b', 1)")
    db.close()
    opened, _ = open_file(path)
    assert opened.execute("PRAGMA user_version").fetchone() == (VERSION,)
    opened.close()
    kept = tmp_path / "journal.db.version-4"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with sqlite3.connect(kept) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (4,)
        assert copy.execute("SELECT source FROM inbox").fetchall() == [("a",)]
    copy.close()
    again, _ = open_file(path)
    again.close()
    assert [one.name for one in tmp_path.glob("*.version-*")] == ["journal.db.version-4"], (
        "one for each version"
    )


def test_nothing_is_kept_of_a_journal_that_is_new(tmp_path: Path) -> None:
    for _ in range(2):
        db, _ = open_file(tmp_path / "journal.db")
        db.close()
    assert not list(tmp_path.glob("*.version-*"))
