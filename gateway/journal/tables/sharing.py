"""What of the history others have yet to be told, where a house shares one: written down with each change of a row.

The triggers are there only where somebody is told. Once they were not, nobody knows what has changed, and all of it is
told again; rows that a store has and the history has not are swept out of it then.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.journal import effects as e
from gateway.journal.records import HistoryRow
from gateway.journal.tables.tables import Tables

ROW = "row"
"""A row of the history has changed; other kinds of changes are what is to be forgotten in the whole house."""
SPARE_CHANGES = 10_000
"""So many more than twice the rows there are, and it is shorter to tell all of it again."""
_TRIGGERS = {"history_added": "INSERT", "history_changed": "UPDATE", "history_gone": "DELETE"}
_LIKE = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'history\\_%' ESCAPE '\\'"


class Change(Struct, frozen=True):
    """One change. ``row``: as it is now, with its ``words`` as they are searched for; None: it is gone.

    ``at``: until when a user is to be forgotten, in Unix seconds.
    """

    number: int
    kind: str
    subject: str
    at: float = 0.0
    row: HistoryRow | None = None
    words: str = ""


class Untold(Struct, frozen=True):
    """What has yet to be told, the oldest first; ``told``: the last that was. ``erased``: up to what, of which store.

    ``generation``: how often it was all told again; ``sweep``: whether what is of an earlier one is to go.
    """

    journal: str
    generation: int
    told: int
    sweep: bool
    epoch: str
    erased: int
    changes: tuple[Change, ...]


class HistoryChanges:
    """The tables are the ledger's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def effects(self) -> dict[type, Callable[[Any], None]]:
        """What each effect does."""
        return {
            e.ToldOthers: self._told,
            e.TellAgain: lambda _effect: self._again(),
            e.Swept: lambda _effect: self._set("sweep = 0"),
            e.ForgetEverywhere: self._forget,
            e.ForgotAsAsked: self._forgot,
        }

    def begin(self, *, shared: bool) -> None:
        """Write changes down from now on, or no more."""
        (there,) = self._tables.execute(_LIKE).fetchone()
        if bool(there) == shared:
            return
        self._tables.execute("BEGIN IMMEDIATE")
        try:
            self._switch(on=shared)
        except BaseException:
            self._tables.execute("ROLLBACK")
            raise
        self._tables.execute("COMMIT")

    def bound(self, rows: int) -> None:
        """A store that is away for long costs no more than all of the history does."""
        (count,) = self._tables.execute("SELECT count(*) FROM history_changes").fetchone()
        if count > 2 * rows + SPARE_CHANGES:
            self._tables.execute("BEGIN IMMEDIATE")
            self._again()
            self._tables.execute("COMMIT")

    def _switch(self, *, on: bool) -> None:
        for name, event in _TRIGGERS.items():
            self._tables.execute(_trigger(name, event) if on else f"DROP TRIGGER IF EXISTS {name}")
        if on:
            start = "INSERT OR IGNORE INTO history_sharing (number, journal) VALUES (1, ?)"
            self._tables.execute(start, secrets.token_hex(16))
            self._again()
        else:
            self._tables.execute("DELETE FROM history_changes WHERE kind = ?", ROW)

    def _again(self) -> None:
        self._tables.execute("DELETE FROM history_changes WHERE kind = ?", ROW)
        self._tables.execute(
            "INSERT INTO history_changes (kind, subject) SELECT ?, utterance_id FROM history ORDER BY number",
            ROW,
        )
        self._set("generation = generation + 1, sweep = 1")

    def _set(self, what: str) -> None:
        self._tables.execute(f"UPDATE history_sharing SET {what}")  # noqa: S608 - our own words

    def _told(self, effect: e.ToldOthers) -> None:
        self._tables.execute("DELETE FROM history_changes WHERE number <= ?", effect.number)
        self._tables.execute("UPDATE history_sharing SET told = max(told, ?)", effect.number)

    def _forget(self, effect: e.ForgetEverywhere) -> None:
        self._tables.execute(
            "INSERT OR REPLACE INTO history_changes (kind, subject, at) VALUES (?, ?, ?)",
            effect.kind,
            effect.subject,
            effect.at,
        )

    def _forgot(self, effect: e.ForgotAsAsked) -> None:
        self._tables.execute("UPDATE history_sharing SET epoch = ?, erased = ?", effect.epoch, effect.version)


def untold(
    db: sqlite3.Connection, limit: int, read: Callable[[str], tuple[HistoryRow, str] | None]
) -> Untold | None:
    """The next changes; None where none are written down. ``read``: a row of the history by its utterance."""
    about = db.execute(
        "SELECT journal, generation, told, sweep, epoch, erased FROM history_sharing WHERE number = 1"
    ).fetchone()
    if about is None:
        return None
    journal, generation, told, sweep, epoch, erased = about
    found = db.execute(
        "SELECT number, kind, subject, at FROM history_changes ORDER BY number LIMIT ?", (limit,)
    ).fetchall()
    changes = []
    for number, kind, subject, at in found:
        row, words = (read(subject) if kind == ROW else None) or (None, "")
        changes.append(Change(number, kind, subject, at, row, words))
    return Untold(journal, generation, told, bool(sweep), epoch, erased, tuple(changes))


def _trigger(name: str, event: str) -> str:
    row = "OLD" if event == "DELETE" else "NEW"
    return (
        f"CREATE TRIGGER {name} AFTER {event} ON history BEGIN"  # noqa: S608 - our own names
        f" DELETE FROM history_changes WHERE kind = '{ROW}' AND subject = {row}.utterance_id;"
        f" INSERT INTO history_changes (kind, subject) VALUES ('{ROW}', {row}.utterance_id); END"
    )
