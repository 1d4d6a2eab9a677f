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

from gateway.journal import effects as e
from gateway.journal import records as r
from gateway.journal.dead_letters import undelivered, unpublished, whose
from gateway.journal.errors import RoomFull
from gateway.journal.records import Room
from gateway.journal.tables.columns import WITH_WORDS
from gateway.journal.tables.crowding import Crowding
from gateway.journal.tables.quotas import Quota, Usages
from gateway.journal.tables.reading import Reader

ROW_SIZE = 100
"""Bytes that a row counts for beside its record: its columns, and its part of the indexes."""

SCRUB_BUSY_MS = 100
"""How long those who read are waited for when what was erased is to leave the files."""

encode = msgspec.msgpack.Encoder().encode


class Tables(Reader):
    """What is in each room, and how much of it."""

    def __init__(
        self, db: sqlite3.Connection, quotas: Mapping[Room, Quota], clock: Callable[[], float] = time.time
    ) -> None:
        self.usages = Usages(quotas)
        self.usages.count(db)
        self.unscrubbed = True
        """Whether there may still be something in the files of words that are gone: at first, what another left."""
        db.execute("PRAGMA secure_delete = ON")
        super().__init__(db, clock)
        self._crowding = Crowding(db)

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
        if room is Room.HISTORY:
            self._crowding.came(self.usages.quotas[room], columns["device_id"], size)

    def grow(self, room: Room, name: str, size: int, column: str = "correlation_id") -> None:
        """A row has become larger; it may be gone."""
        statement = f"UPDATE {room} SET size = size + ? WHERE {column} = ?"  # noqa: S608 - our own names
        if size:
            grown = self._db.execute(statement, (size, name)).rowcount
            self.usages.by_room[room].bytes += size * grown

    def delete(self, room: Room, where: str, *values: object) -> int:
        """How many rows that were."""
        statement = f"DELETE FROM {room} WHERE {where} RETURNING size"  # noqa: S608 - our own names
        sizes = self._db.execute(statement, values).fetchall()
        self.usages.removed(room, sizes)
        if sizes and room in WITH_WORDS:
            self.unscrubbed = True
        return len(sizes)

    def rewrite(self, room: Room, row: msgspec.Struct, which: str, value: object, **columns: Any) -> None:
        """What a row holds is from now on this, which is less than it was; of what it was nothing is left."""
        record = encode(row)
        columns |= {"record": record, "size": len(record) + ROW_SIZE}
        before = self._db.execute(f"SELECT size FROM {room} WHERE {which} = ?", (value,)).fetchall()  # noqa: S608
        changes = ", ".join(f"{name} = ?" for name in columns)
        statement = f"UPDATE {room} SET {changes} WHERE {which} = ?"  # noqa: S608 - our own names
        self._db.execute(statement, (*columns.values(), value))
        self.usages.by_room[room].bytes += sum(columns["size"] - size for (size,) in before)
        self.unscrubbed = True

    def scrub(self) -> bool:
        """Empty the write-ahead log, in which pages stand as they were before; False: it has to be done later."""
        if not self.unscrubbed:
            return True
        (patience,) = self._db.execute("PRAGMA busy_timeout").fetchone()
        self._db.execute(f"PRAGMA busy_timeout = {SCRUB_BUSY_MS}")
        try:
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {patience}")
        self.unscrubbed = bool(busy)
        return not busy

    def put_away(self, letter: r.DeadLetterRow) -> None:
        """A dead letter."""
        user_id, correlation_id = whose(letter)
        self.insert(
            Room.DEAD_LETTERS, letter,
            kind=letter.kind.value, subject=letter.subject, user_id=user_id, correlation_id=correlation_id,
            put_away_at=self.now(),
        )  # fmt: skip

    def _evict(self, room: Room) -> None:
        """Give up the first row that may be given up; what was owed to somebody becomes a dead letter."""
        number = self._expendable(room)
        if number is None:
            raise RoomFull(f"the journal keeps no more {room.value.replace('_', ' ')}")
        died = list(self._last_words(room, number))
        self.delete(room, "number = ?", number)
        self.usages.by_room[room].evicted += 1
        for effect in died:
            self.put_away(effect.letter)

    def _expendable(self, room: Room) -> int | None:
        if (
            room is Room.HISTORY
            and (number := self._crowding.expendable(self.usages.quotas[room])) is not None
        ):
            return number
        row = self._db.execute(
            f"SELECT number FROM {room} {_EXPENDABLE[room]} LIMIT 1"  # noqa: S608 - our own names
        ).fetchone()
        return None if row is None else int(row[0])

    def _last_words(self, room: Room, number: int) -> Iterator[e.Died]:
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
    Room.OUTBOX: "ORDER BY urgency, number",
    Room.INBOX: "ORDER BY number",
    Room.REQUESTS: "WHERE ended_at IS NOT NULL ORDER BY due, number",
    Room.AGENT_REQUESTS: "ORDER BY number",
    Room.DEAD_LETTERS: "ORDER BY number",
    Room.HISTORY: "ORDER BY number",
    Room.TURNS: "ORDER BY number",
}
"""Which rows of a room may be given up, and which first."""
