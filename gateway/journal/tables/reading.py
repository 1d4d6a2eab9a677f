"""The journal's rows as they are read, on any SQLite connection to it. Synchronous.

Every list comes in pages, oldest first: ``after`` is the number of the last row of the page before.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable
from typing import Any

from msgspec.msgpack import Decoder
from msgspec.structs import replace

from gateway.journal import records as r
from gateway.journal.records import Room
from transcription.priority import Priority

stream_of = Decoder(r.StreamRow).decode
_utterances = Decoder(r.UtteranceRow).decode
_letter = Decoder(r.LetterRow).decode
request_of = Decoder(r.RequestRow).decode
_agent = Decoder(r.AgentRow).decode
_turns = Decoder(r.TurnRow).decode
_dead_letters = Decoder(r.DeadLetterRow).decode


def letter_of(record: bytes) -> r.LetterRow:
    """A message; those of a broker that is away for long are many, and therefore packed."""
    return _letter(zlib.decompress(record))


class Reader:
    """Reads rows."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], float] = time.time) -> None:
        """``clock``: by which its rows are dated."""
        self._db = db
        self._clock = clock

    def knows(self, source: str, message_id: str) -> bool:
        """Whether a message was received before."""
        query = "SELECT 1 FROM inbox WHERE source = ? AND message_id = ?"
        return self._db.execute(query, (source, message_id)).fetchone() is not None

    def received(self, limit: int) -> tuple[tuple[str, str], ...]:
        """The last messages of others that were received, by source and id."""
        query = "SELECT source, message_id FROM inbox ORDER BY number DESC LIMIT ?"
        return tuple(self._db.execute(query, (limit,)).fetchall())

    def highest_number(self) -> int:
        """Of all messages that were ever queued."""
        (sequence,) = self._db.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"
        ).fetchone()
        return int(sequence)

    def streams(self, after: int, limit: int) -> list[tuple[int, r.StreamRow]]:
        """Streams, oldest first, each with what it comes after."""
        found = self._page("number, record, heard_to, ended", Room.STREAMS, "", after, limit)
        return [
            (number, replace(stream_of(record), heard_to=heard_to, ended=bool(ended)))
            for number, record, heard_to, ended in found
        ]

    def streams_of(self, device_id: str, boot: int) -> list[r.StreamRow]:
        """Those of one boot of a device, oldest first."""
        query = "SELECT record, heard_to, ended FROM streams WHERE device_id = ? AND boot = ? ORDER BY number"
        found = self._db.execute(query, (device_id, boot)).fetchall()
        return [replace(stream_of(record), heard_to=to, ended=bool(ended)) for record, to, ended in found]

    def turns_of(self, device_id: str) -> list[r.TurnRow]:
        """What was said and answered in a device's conversation, oldest first."""
        query = "SELECT record, reply, agent, touched_at FROM turns WHERE device_id = ? ORDER BY number"
        now = self._clock()
        return [
            replace(_turns(record), reply=reply, agent=agent, age=now - touched_at)
            for record, reply, agent, touched_at in self._db.execute(query, (device_id,)).fetchall()
        ]

    def utterances(self, after: int, limit: int) -> list[tuple[int, r.UtteranceRow]]:
        """Utterances that have no text yet, oldest first."""
        columns, now = "number, record, attempts, heard_at", self._clock()
        found = self._page(columns, Room.UTTERANCES, "NOT done AND", after, limit)
        return [
            (number, replace(_utterances(record), attempts=attempts, age=now - heard_at))
            for number, record, attempts, heard_at in found
        ]

    def utterance(self, utterance_id: str) -> r.UtteranceRow | None:
        """One of them."""
        query = "SELECT record, attempts, heard_at FROM utterances WHERE utterance_id = ? AND NOT done"
        found = self._db.execute(query, (utterance_id,)).fetchone()
        if found is None:
            return None
        record, attempts, heard_at = found
        return replace(_utterances(record), attempts=attempts, age=self._clock() - heard_at)

    def letters(
        self, after: int, limit: int, priority: Priority | None = None
    ) -> list[tuple[int, r.LetterRow]]:
        """Messages (of a class) that are not published yet, in the order of their numbers."""
        of_class = "" if priority is None else f"urgency = {priority.urgency:d} AND"
        found = self._page("number, record", Room.OUTBOX, of_class, after, limit)
        return [(number, letter_of(record)) for number, record in found]

    def requests(self, after: int, limit: int) -> list[tuple[int, r.RequestRow]]:
        """Requests, open and ended, oldest first."""
        columns, now = "number, record, state, text, error, fallback, due, asked_at", self._clock()
        found = self._page(columns, Room.REQUESTS, "", after, limit)
        return [
            (
                number,
                replace(
                    request_of(record), state=r.RequestState(state), text=text, error=error,
                    fallback=bool(fallback), due=bool(due), age=now - asked_at,
                ),
            )
            for number, record, state, text, error, fallback, due, asked_at in found
        ]  # fmt: skip

    def agents(self, after: int, limit: int) -> list[tuple[int, r.AgentRow]]:
        """What agents were asked, oldest first."""
        now = self._clock()
        found = self._page("number, record, text, asked_at", Room.AGENT_REQUESTS, "", after, limit)
        return [
            (number, replace(_agent(record), text=text, age=now - asked_at))
            for number, record, text, asked_at in found
        ]

    def turns(self, after: int, limit: int) -> list[tuple[int, r.TurnRow]]:
        """The last turns of conversations, in the order in which they were said."""
        now = self._clock()
        found = self._page("number, record, reply, agent, touched_at", Room.TURNS, "", after, limit)
        return [
            (number, replace(_turns(record), reply=reply, agent=agent, age=now - touched_at))
            for number, record, reply, agent, touched_at in found
        ]

    def dead_letters(self, after: int, limit: int) -> list[tuple[int, r.DeadLetterRow]]:
        """Dead letters, oldest first."""
        found = self._page("number, record", Room.DEAD_LETTERS, "", after, limit)
        return [(number, replace(_dead_letters(record), number=number)) for number, record in found]

    def errands(self, after: int, limit: int) -> list[tuple[int, r.Errand]]:
        """What is asked for from outside, in the order of asking."""
        query = "SELECT number, verb, letter FROM errands WHERE number > ? ORDER BY number LIMIT ?"
        found = self._db.execute(query, (after, limit)).fetchall()
        return [(number, r.Errand(number, r.Verb(verb), letter)) for number, verb, letter in found]

    def _page(self, columns: str, room: Room, which: str, after: int, limit: int) -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM {room} WHERE {which} number > ? ORDER BY number LIMIT ?"  # noqa: S608
        return self._db.execute(query, (after, limit)).fetchall()
