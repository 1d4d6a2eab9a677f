"""The journal's tables, and the way from each version of them to the next.

What is searched for is a column; the rest of a row is its ``record`` (msgpack), which knows how to be
read by later versions. ``size`` is what a row counts for in its quota. Columns that say when are in the
seconds of the journal's own clock (``clock``), which no step of the wall clock changes; records have the wall's.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable

from msgspec.msgpack import Decoder

from gateway.journal.dead_letters import whose
from gateway.journal.errors import JournalError
from gateway.journal.records import DeadLetterRow, LetterRow, RequestRow, UtteranceRow

_utterance = Decoder(UtteranceRow).decode
_dead_letter = Decoder(DeadLetterRow).decode
_request = Decoder(RequestRow).decode
_letter = Decoder(LetterRow).decode

_VERSION_1 = """
CREATE TABLE streams (
    number INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE,
    device_id TEXT NOT NULL, boot INTEGER NOT NULL, stream INTEGER NOT NULL,
    heard_to INTEGER NOT NULL, ended INTEGER NOT NULL, size INTEGER NOT NULL, record BLOB NOT NULL,
    UNIQUE (device_id, boot, stream));
CREATE TABLE utterances (
    number INTEGER PRIMARY KEY, utterance_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL, start INTEGER NOT NULL,
    attempts INTEGER NOT NULL, done INTEGER NOT NULL, size INTEGER NOT NULL, record BLOB NOT NULL,
    UNIQUE (session_id, start));
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY, source TEXT NOT NULL, message_id TEXT NOT NULL, size INTEGER NOT NULL,
    record BLOB NOT NULL DEFAULT x'', UNIQUE (source, message_id));
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, correlation_id TEXT NOT NULL UNIQUE,
    device_id TEXT NOT NULL, boot INTEGER NOT NULL,
    state TEXT NOT NULL, text TEXT NOT NULL, error TEXT, fallback INTEGER NOT NULL, due INTEGER NOT NULL,
    ended_at REAL, size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX requests_ended ON requests (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX requests_device ON requests (device_id);
CREATE TABLE dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL,
    size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX dead_letters_subject ON dead_letters (subject);
CREATE TABLE errands (
    number INTEGER PRIMARY KEY AUTOINCREMENT, verb TEXT NOT NULL, letter INTEGER NOT NULL);
"""

_VERSION_2 = """
CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, utterance_id TEXT NOT NULL UNIQUE, correlation_id TEXT NOT NULL,
    session_id TEXT NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL,
    spoken_at REAL NOT NULL, words TEXT NOT NULL, reply BLOB,
    publish_ms REAL NOT NULL DEFAULT 0, speech_to_reply_ms REAL NOT NULL DEFAULT 0,
    size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX history_correlation ON history (correlation_id);
CREATE INDEX history_session ON history (session_id);
CREATE INDEX history_user ON history (user_id);
CREATE INDEX history_device ON history (device_id);
CREATE INDEX history_spoken ON history (spoken_at);
ALTER TABLE utterances ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE utterances ADD COLUMN heard_at REAL NOT NULL DEFAULT 0;
CREATE INDEX utterances_done ON utterances (heard_at) WHERE done;
ALTER TABLE dead_letters ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN correlation_id TEXT NOT NULL DEFAULT '';
"""

_VERSION_3 = """
CREATE TABLE clock (number INTEGER PRIMARY KEY CHECK (number = 1), record BLOB NOT NULL);
ALTER TABLE requests ADD COLUMN asked_at REAL NOT NULL DEFAULT 0;
"""

_VERSION_4 = """
ALTER TABLE requests ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN correlation_id TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN put_away_at REAL;
CREATE INDEX requests_user ON requests (user_id);
CREATE INDEX outbox_user ON outbox (user_id);
CREATE INDEX outbox_correlation ON outbox (correlation_id);
"""

_VERSION_5 = """
CREATE TABLE agent_requests (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, correlation_id TEXT NOT NULL,
    user_id TEXT NOT NULL, state TEXT NOT NULL, text TEXT NOT NULL, asked_at REAL NOT NULL,
    size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX agent_requests_correlation ON agent_requests (correlation_id);
CREATE INDEX agent_requests_asked ON agent_requests (asked_at);
"""

_VERSION_6 = """
CREATE TABLE turns (
    number INTEGER PRIMARY KEY, correlation_id TEXT NOT NULL UNIQUE, conversation_id TEXT NOT NULL,
    device_id TEXT NOT NULL, user_id TEXT NOT NULL, utterance_id TEXT NOT NULL, touched_at REAL NOT NULL,
    reply TEXT NOT NULL DEFAULT '', agent TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX turns_device ON turns (device_id);
CREATE INDEX turns_user ON turns (user_id);
CREATE INDEX turns_utterance ON turns (utterance_id);
ALTER TABLE history ADD COLUMN conversation_id TEXT NOT NULL DEFAULT '';
CREATE INDEX history_conversation ON history (conversation_id);
"""

_VERSION_7 = """
ALTER TABLE outbox ADD COLUMN urgency INTEGER NOT NULL DEFAULT 1;
CREATE INDEX outbox_urgency ON outbox (urgency, number);
"""

_VERSION_8 = """
CREATE TABLE history_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL DEFAULT 0,
    UNIQUE (kind, subject));
CREATE TABLE history_sharing (
    number INTEGER PRIMARY KEY CHECK (number = 1), journal TEXT NOT NULL, generation INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0, sweep INTEGER NOT NULL DEFAULT 0, epoch TEXT NOT NULL DEFAULT '',
    erased INTEGER NOT NULL DEFAULT 0);
"""

_VERSION_9 = """
CREATE TABLE role (number INTEGER PRIMARY KEY CHECK (number = 1), role TEXT NOT NULL);
CREATE TABLE alone (number INTEGER PRIMARY KEY, room TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (room, name));
"""

Migration = Callable[[sqlite3.Connection], None]


def _script(text: str) -> Migration:
    """A migration that is nothing but statements; each alone, so that all are in one transaction."""

    def migrate(db: sqlite3.Connection) -> None:
        for statement in text.split(";"):
            if statement.strip():
                db.execute(statement)

    return migrate


def _to_version_2(db: sqlite3.Connection) -> None:
    """The history; and whose every row with words or audio is, so that it can be erased."""
    _script(_VERSION_2)(db)
    for (number,) in db.execute("SELECT number FROM utterances").fetchall():
        (record,) = db.execute("SELECT record FROM utterances WHERE number = ?", (number,)).fetchone()
        row = _utterance(record)
        db.execute(
            "UPDATE utterances SET user_id = ?, heard_at = ? WHERE number = ?",
            (row.user_id, row.heard_at, number),
        )
    for number, record in db.execute("SELECT number, record FROM dead_letters").fetchall():
        db.execute(
            "UPDATE dead_letters SET user_id = ?, correlation_id = ? WHERE number = ?",
            (*whose(_dead_letter(record)), number),
        )


def _to_version_3(db: sqlite3.Connection) -> None:
    """A clock of the journal's own, by which all its rows are dated from then on."""
    _script(_VERSION_3)(db)
    for number, record in db.execute("SELECT number, record FROM requests").fetchall():
        db.execute("UPDATE requests SET asked_at = ? WHERE number = ?", (_request(record).asked_at, number))


def _to_version_4(db: sqlite3.Connection) -> None:
    """Whose every row with words is, wherever it waits; and how old dead letters are, counted from now on."""
    _script(_VERSION_4)(db)
    for number, record in db.execute("SELECT number, record FROM requests").fetchall():
        db.execute("UPDATE requests SET user_id = ? WHERE number = ?", (_request(record).user_id, number))
    for (number,) in db.execute("SELECT number FROM outbox").fetchall():
        (record,) = db.execute("SELECT record FROM outbox WHERE number = ?", (number,)).fetchone()
        row = _letter(zlib.decompress(record))
        db.execute(
            "UPDATE outbox SET user_id = ?, correlation_id = ? WHERE number = ?",
            (row.user_id, row.correlation_id, number),
        )


MIGRATIONS: tuple[Migration, ...] = (
    _script(_VERSION_1),
    _to_version_2,
    _to_version_3,
    _to_version_4,
    _script(_VERSION_5),
    _script(_VERSION_6),
    _script(_VERSION_7),
    _script(_VERSION_8),
    _script(_VERSION_9),
)
"""The n-th leads from version n to n + 1. Never change one that was released: add another."""

VERSION = len(MIGRATIONS)


def migrate(db: sqlite3.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring a file to the present version, in one transaction. Raises JournalError for a newer one."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > len(migrations):
        raise JournalError(
            f"the journal is of version {found}, this gateway knows {len(migrations)}; "
            f"use the newer gateway again, or put the copy of before (it ends in .version-{len(migrations)}) "
            "in its place: what was said since is lost then"
        )
    if found == len(migrations):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations[found:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(migrations)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
