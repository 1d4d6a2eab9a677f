"""Rows in and out of the journal's tables, on one SQLite connection, each room within its bound.

Whoever owns the connection begins and ends the transactions. Everything here is synchronous.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.journal import records as r
from gateway.journal.dead_letters import undelivered, unpublished, whose
from gateway.journal.errors import RoomFull
from gateway.journal.quotas import Quota, Usages
from gateway.journal.reading import Reader
from gateway.journal.records import Room

ROW_SIZE = 100
"""Bytes that a row counts for beside its record: its columns, and its part of the indexes."""

encode = msgspec.msgpack.Encoder().encode


class Tables(Reader):
    """What is in each room, and how much of it."""

    def __init__(
        self, db: sqlite3.Connection, quotas: Mapping[Room, Quota], clock: Callable[[], float] = time.time
    ) -> None:
        self.usages = Usages(quotas)
        self.usages.count(db)
        super().__init__(db, clock)

    def now(self) -> float:
        """By the clock that dates the rows."""
        return self._clock()

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        """A statement that changes no size."""
        return self._db.execute(statement, values)

    def insert(self, room: Room, row: msgspec.Struct | None, size: int = 0, **columns: Any) -> None:
        """Add a row, and make room for it. ``size``: what it has beside its record. Raises RoomFull."""
        if row is not None:
            record = encode(row)
            columns["record"] = zlib.compress(record, 1) if room is Room.OUTBOX else record
            size += len(columns["record"])
        columns["size"] = size = size + ROW_SIZE
        while self.usages.full(room, size):
            self._evict(room)
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {room} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        self._db.execute(statement, tuple(columns.values()))
        self.usages.added(room, size)

    def grow(self, room: Room, correlation_id: str, size: int) -> None:
        """A row has become larger; it may be gone."""
        statement = f"UPDATE {room} SET size = size + ? WHERE correlation_id = ?"  # noqa: S608 - our own names
        if size:
            grown = self._db.execute(statement, (size, correlation_id)).rowcount
            self.usages.by_room[room].bytes += size * grown

    def delete(self, room: Room, where: str, *values: object) -> int:
        """How many rows that were."""
        statement = f"DELETE FROM {room} WHERE {where} RETURNING size"  # noqa: S608 - our own names
        sizes = self._db.execute(statement, values).fetchall()
        self.usages.removed(room, sizes)
        return len(sizes)

    def put_away(self, letter: r.DeadLetterRow) -> None:
        """A dead letter."""
        user_id, correlation_id = whose(letter)
        self.insert(
            Room.DEAD_LETTERS, letter,
            kind=letter.kind.value, subject=letter.subject, user_id=user_id, correlation_id=correlation_id,
        )  # fmt: skip

    def _evict(self, room: Room) -> None:
        """Give up the first row that may be given up; what was owed to somebody becomes a dead letter."""
        row = self._db.execute(
            f"SELECT number FROM {room} {_EXPENDABLE[room]} LIMIT 1"  # noqa: S608 - our own names
        ).fetchone()
        if row is None:
            raise RoomFull(f"the journal keeps no more {room.value.replace('_', ' ')}")
        died = list(self._last_words(room, row[0]))
        self.delete(room, "number = ?", row[0])
        self.usages.by_room[room].evicted += 1
        for effect in died:
            self.put_away(effect.letter)

    def _last_words(self, room: Room, number: int) -> Iterator[r.Died]:
        if room is Room.OUTBOX:
            for _, letter in self.letters(number - 1, 1):
                yield unpublished(letter, "the outbox was full of newer messages")
        elif room is Room.REQUESTS:
            for _, request in self.requests(number - 1, 1):
                if request.due:
                    yield undelivered(
                        request, "its device did not take it, and newer answers needed the room"
                    )


_EXPENDABLE = {
    Room.STREAMS: "ORDER BY ended DESC, number",
    Room.UTTERANCES: "WHERE done ORDER BY number",
    Room.OUTBOX: "ORDER BY number",
    Room.INBOX: "ORDER BY number",
    Room.REQUESTS: "WHERE ended_at IS NOT NULL ORDER BY due, number",
    Room.DEAD_LETTERS: "ORDER BY number",
    Room.HISTORY: "ORDER BY number",
}
"""Which rows of a room may be given up, and which first."""
