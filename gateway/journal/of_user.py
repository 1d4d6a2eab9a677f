"""All that is kept of one user beside the history, as it is read for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct
from msgspec.msgpack import Decoder

from gateway.journal.records import DeadLetterRow, LetterRow, RequestRow, TurnRow
from gateway.journal.tables.reading import Reader, letter_of, request_of

_dead = Decoder(DeadLetterRow).decode
_Row = TypeVar("_Row")


class OfUser(Struct, frozen=True):
    """Oldest first. ``unheard``: ids of utterances that have no text yet."""

    dead_letters: tuple[DeadLetterRow, ...]
    turns: tuple[TurnRow, ...]
    requests: tuple[RequestRow, ...]
    letters: tuple[LetterRow, ...]
    unheard: tuple[str, ...]


def of_user(db: sqlite3.Connection, user_id: str) -> OfUser:
    """Read it. Raises sqlite3.Error."""

    def rows(table: str, read: Callable[[bytes], _Row], also: str = "") -> tuple[_Row, ...]:
        query = f"SELECT record FROM {table} WHERE user_id = ? {also} ORDER BY number"  # noqa: S608 - our own names
        return tuple(read(record) for (record,) in db.execute(query, (user_id,)))

    devices = db.execute("SELECT DISTINCT device_id FROM turns WHERE user_id = ?", (user_id,)).fetchall()
    reader = Reader(db)
    return OfUser(
        dead_letters=rows("dead_letters", _dead),
        turns=tuple(
            turn for (device,) in devices for turn in reader.turns_of(device) if turn.user_id == user_id
        ),
        requests=rows("requests", request_of, "AND (due OR ended_at IS NULL)"),
        letters=rows("outbox", letter_of),
        unheard=tuple(
            name
            for (name,) in db.execute(
                "SELECT utterance_id FROM utterances WHERE user_id = ? AND NOT done ORDER BY number",
                (user_id,),
            )
        ),
    )
