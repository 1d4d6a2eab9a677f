"""A journal of each version so far, with rows as that version wrote them: all of it is there in the present one."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.journal import Journal
from gateway.journal.dead_letters import contents
from gateway.journal.file import copy_of_version, drop_copies
from gateway.journal.records import (
    DeadLetterRow,
    LetterKind,
    LetterRow,
    RequestRow,
    RequestState,
    StreamRow,
    TurnRow,
    UtteranceRow,
)
from gateway.journal.tables.schema import MIGRATIONS, VERSION, migrate
from gateway.settings.journal import JournalSettings

encode = msgspec.msgpack.Encoder().encode
IDS: dict[str, Any] = {"user_id": "ann", "device_id": "kitchen", "session_id": "s_1"}
PLACE: dict[str, Any] = {"boot": 7, "stream": 3}
STREAM = StreamRow(
    device_id="kitchen", **PLACE, session_id="s_1", user_id="ann", begun=4, end_on_silence=True
)
UTTERANCE = UtteranceRow(
    utterance_id="u_1", correlation_id="c_1", **IDS, **PLACE, start=160, end=1_600, heard_at=1.7e9,
    audio=b"\1\0" * 1_440,
)  # fmt: skip
LETTER = LetterRow(
    number=5, message_id="m_1", topic="transcription.results", **IDS, payload=b"{}", correlation_id="c_1"
)
REQUEST = RequestRow(
    correlation_id="c_2", **IDS, **PLACE, utterance_id="u_2", asked_at=1.7e9, deadline=1.7e9 + 30, message=b"{}",
    state=RequestState.DONE, text="it is on", due=True,
)  # fmt: skip
DEAD = DeadLetterRow(
    kind=LetterKind.OUTGOING, subject="c_3", reason="refused", died_at=1.7e9, record=encode(LETTER)
)


def columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def put(db: sqlite3.Connection, table: str, **values: Any) -> None:
    """A row with those of these columns that this version has."""
    known = {name: value for name, value in values.items() if name in columns(db, table)}
    names, places = ", ".join(known), ", ".join("?" for _ in known)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(known.values()))


def short(row: msgspec.Struct, fields: int) -> bytes:
    """The record as a version wrote it that knew only the first fields."""
    return encode(list(msgspec.structs.astuple(row))[:fields])


def written_by(version: int, path: Path) -> None:
    """A journal of that version, with one of everything that it had."""
    db = sqlite3.connect(path)
    migrate(db, MIGRATIONS[:version])
    put(
        db, "streams", session_id="s_1", device_id="kitchen", boot=7, stream=3, heard_to=1_600, ended=0, size=100,
        record=short(STREAM, 9),
    )  # fmt: skip
    put(
        db, "utterances", utterance_id="u_1", session_id="s_1", start=160, attempts=1, done=0, size=3_000,
        record=short(UTTERANCE, 12), user_id="ann", heard_at=1.7e9,
    )  # fmt: skip
    put(
        db, "outbox", number=5, size=100, record=zlib.compress(short(LETTER, 13)), user_id="ann", correlation_id="c_1",
        urgency=1,
    )  # fmt: skip
    put(db, "inbox", source="replies", message_id="m_9", size=1)
    put(
        db, "requests", correlation_id="c_2", device_id="kitchen", boot=7, state="done", text="it is on", fallback=0,
        due=1, ended_at=1.7e9, size=100, record=short(REQUEST, 15), asked_at=1.7e9, user_id="ann",
    )  # fmt: skip
    put(
        db, "dead_letters", kind=DEAD.kind.value, subject="c_3", size=100, record=encode(DEAD), user_id="ann",
        correlation_id="c_1", put_away_at=1.7e9,
    )  # fmt: skip
    db.execute("INSERT INTO errands (verb, letter) VALUES ('purge', 99)")
    if version >= 6:
        turn = TurnRow(
            correlation_id="c_2", conversation_id="v_1", **IDS, **PLACE, utterance_id="u_2", text="on"
        )
        put(
            db, "turns", correlation_id="c_2", conversation_id="v_1", device_id="kitchen", user_id="ann",
            utterance_id="u_2", touched_at=1.7e9, reply="it is on", agent="house", size=50, record=encode(turn),
        )  # fmt: skip
    db.commit()
    db.close()


@pytest.fixture(params=range(1, VERSION))
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def path(version: int, tmp_path: Path) -> Path:
    file = tmp_path / "journal.db"
    written_by(version, file)
    return file


async def test_what_an_older_version_left_is_taken_up(path: Path, version: int) -> None:
    async with Journal(JournalSettings(path=str(path))) as journal:
        assert journal.state.durable, journal.state.reason
        (stream,) = [row async for row in journal.streams()]
        assert (stream.session_id, stream.heard_to, stream.priority) == ("s_1", 1_600, "normal")
        assert stream.heard_from < 0, "no version before has said it"
        (said,) = [row async for row in journal.utterances()]
        assert (said.utterance_id, said.audio, said.attempts) == ("u_1", UTTERANCE.audio, 1)
        (letter,) = await journal.letters(0, 10)
        assert (letter.number, letter.message_id, letter.priority) == (5, "m_1", "normal")
        (request,) = [row async for row in journal.requests()]
        assert (request.state, request.text, request.due) == (RequestState.DONE, "it is on", True)
        assert await journal.knows("replies", "m_9")
        assert journal.next_number() > 5, "numbers go on"
        turns = [row async for row in journal.turns()]
        assert [row.reply for row in turns] == (["it is on"] if version >= 6 else [])


async def test_dead_letters_and_whose_they_are_come_along(path: Path) -> None:
    async with Journal(JournalSettings(path=str(path))) as journal:
        (dead,) = [row async for row in journal.dead_letters()]
        assert (dead.kind, dead.reason) == (LetterKind.OUTGOING, "refused")
        assert contents(dead)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT user_id FROM dead_letters").fetchall() == [("ann",)]
        assert db.execute("SELECT user_id FROM utterances").fetchall() == [("ann",)]
        assert db.execute("SELECT user_id FROM outbox").fetchall() == [("ann",)]
        assert db.execute("SELECT user_id FROM requests").fetchall() == [("ann",)]
    db.close()


async def test_the_copy_is_what_that_version_can_go_on_with(path: Path, version: int) -> None:
    async with Journal(JournalSettings(path=str(path))):
        pass
    with sqlite3.connect(copy_of_version(path, version)) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (version,)
        assert copy.execute("SELECT utterance_id FROM utterances").fetchall() == [("u_1",)]
        migrate(copy, MIGRATIONS[:version])  # as that version does: nothing
    copy.close()


async def test_of_what_is_erased_no_copy_is_left(path: Path, version: int) -> None:
    async with Journal(JournalSettings(path=str(path))) as journal:
        copy = copy_of_version(path, version)
        assert copy.exists() == (version < VERSION)
        assert await journal.drop_copies() == (version < VERSION)
        assert not copy.exists()
        assert await journal.drop_copies() == 0


def test_a_copy_goes_by_itself_when_its_time_has_come(tmp_path: Path) -> None:
    path, young, old = (tmp_path / name for name in ("j[1].db", "j[1].db.version-7", "j[1].db.version-6"))
    young.touch()
    old.touch()
    os.utime(old, (1, 1))
    (tmp_path / "j1.db.version-6").touch()
    assert drop_copies(path, older_than=3_600.0) == [old]
    assert young.exists()
    assert (tmp_path / "j1.db.version-6").exists(), "another journal's"


def test_every_version_adds_and_none_takes_away(tmp_path: Path) -> None:
    tables: Callable[[sqlite3.Connection], dict[str, set[str]]] = lambda db: {  # noqa: E731 - short
        name: columns(db, name)
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    }
    before: dict[str, set[str]] = {}
    for version in range(1, VERSION + 1):
        with sqlite3.connect(tmp_path / f"{version}.db") as db:
            migrate(db, MIGRATIONS[:version])
            found = tables(db)
        db.close()
        assert before.keys() <= found.keys()
        assert all(names <= found[table] for table, names in before.items()), f"version {version}"
        before = found
