"""What was said, and what failed, read from the journal beside its writer: a search keeps no speech waiting.

Every question has a connection of its own, in a thread of its own, and sees what was committed before it. A
search looks at every row, newest first, until it has enough: no index of words has to be kept, and what is
erased is gone (``docs/adr/0017-history.md``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.msgpack import Decoder
from msgspec.structs import replace

from gateway.journal.effects import Effect, Erased, LetterTaken, Published, Transcribed, Withdrawn
from gateway.journal.errors import JournalError
from gateway.journal.file import BUSY_SECONDS, explain
from gateway.journal.of_user import OfUser, of_user
from gateway.journal.records import DeadLetterRow, HistoryReply, HistoryRow, TurnRow, UtteranceRow
from gateway.journal.tables.reading import Reader, letter_of, request_of
from gateway.journal.tables.search_words import terms
from gateway.journal.tables.sharing import ROW, Untold, untold

AT_ONCE = 2
"""Questions that are answered at the same time; further ones wait."""

_COLUMNS = (
    "number, record, reply, publish_ms, speech_to_reply_ms,"
    " EXISTS (SELECT 1 FROM utterances WHERE utterances.utterance_id = history.utterance_id AND done)"
)
_row = Decoder(HistoryRow).decode
_reply = Decoder(HistoryReply).decode
_utterance = Decoder(UtteranceRow).decode
_dead = Decoder(DeadLetterRow).decode
_turn = Decoder(TurnRow).decode

_Answer = TypeVar("_Answer")


class Selection(Struct, frozen=True, kw_only=True):
    """Which utterances: those that pass every part that is not empty.

    ``text``: words, all of which stand in what was said or answered, also within longer words, whatever their case
    and accents. ``users`` and ``devices`` bound what is seen at all. ``before``: the number of the last row of
    the page before; 0: the newest.
    """

    text: str = ""
    session_id: str = ""
    conversation_id: str = ""
    device_id: str = ""
    user_id: str = ""
    users: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    before: int = 0


class Belongings(Struct, frozen=True):
    """Some of what is kept of a user: utterances by their ids, dead letters and messages by their numbers.

    ``requests``: by their correlation ids, those with words that belong to none of the remembered utterances.
    ``speech``: utterances that have no text yet.
    """

    utterances: tuple[str, ...]
    dead_letters: tuple[int, ...]
    requests: tuple[str, ...] = ()
    letters: tuple[int, ...] = ()
    speech: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, (self.utterances, self.dead_letters, self.requests, self.letters, self.speech)))

    def effects(self) -> Iterator[Effect]:
        """What is to be committed for it to be gone."""
        yield from map(Transcribed, self.speech)
        yield from map(Erased, (*self.speech, *self.utterances))
        yield from map(LetterTaken, self.dead_letters)
        yield from map(Withdrawn, self.requests)
        yield from map(Published, self.letters)  # which is what takes a message out


class History:
    """The history in a journal's file. Everything raises JournalError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def page(self, wanted: Selection, limit: int) -> list[HistoryRow]:
        """The newest that are wanted, newest first."""
        return await self._ask(lambda db: _page(db, wanted, limit))

    async def utterance(self, utterance_id: str) -> HistoryRow | None:
        """One of them."""
        return await self._ask(lambda db: _one(db, utterance_id))

    async def audio(self, utterance_id: str) -> bytes | None:
        """What was said, as PCM16 mono at 16 kHz; None when it is not kept."""
        return await self._ask(lambda db: _audio(db, utterance_id))

    async def with_audio(self, utterances: Collection[str]) -> set[str]:
        """Which of these can be heard here."""
        return await self._ask(lambda db: {name for name in utterances if _audio(db, name) is not None})

    async def belongings(self, user_id: str, limit: int) -> Belongings:
        """What is kept of a user and can be erased, at most so much of each kind."""
        return await self._ask(lambda db: _belongings(db, user_id, limit))

    async def belongings_until(self, user_id: str, limit: int, until: float) -> Belongings:
        """The same that was said, asked or put away until then, in Unix seconds as they were written down."""
        return await self._ask(lambda db: _belongings_until(db, user_id, limit, until))

    async def of_user(self, user_id: str) -> OfUser:
        """What is kept of a user beside what is in the pages."""
        return await self._ask(lambda db: of_user(db, user_id))

    async def erasures(self) -> list[tuple[str, str, float]]:
        """What the whole house has yet to be told to forget: kind, subject, and until when (Unix seconds)."""
        query = "SELECT kind, subject, at FROM history_changes WHERE kind <> ?"
        return await self._ask(lambda db: db.execute(query, (ROW,)).fetchall())

    async def untold(self, limit: int) -> Untold | None:
        """What others have yet to be told; None where nobody is."""
        return await self._ask(lambda db: untold(db, limit, lambda name: _with_words(db, name)))

    async def dead_letters(self, after: int, limit: int) -> list[DeadLetterRow]:
        """What could not be done, oldest first, beyond a number."""
        return [row for _, row in await self._ask(lambda db: Reader(db).dead_letters(after, limit))]

    async def _ask(self, ask: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        async with self._turns:
            return await asyncio.to_thread(self._answer, ask)

    def _answer(self, ask: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as db:
                return ask(db)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"the history cannot be read: {explain(error)[0]}") from error


def _page(db: sqlite3.Connection, wanted: Selection, limit: int) -> list[HistoryRow]:
    where, values = _conditions(wanted)
    query = f"SELECT {_COLUMNS} FROM history WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608 - our own names
    return [_whole(found) for found in db.execute(query, (*values, limit))]


def _conditions(wanted: Selection) -> tuple[str, list[object]]:
    parts, values = ["1"], []
    for column in ("session_id", "conversation_id", "device_id", "user_id"):
        if value := getattr(wanted, column):
            parts.append(f"{column} = ?")
            values.append(value)
    for column, allowed in (("user_id", wanted.users), ("device_id", wanted.devices)):
        if allowed:
            parts.append(_one_of(column, allowed))
            values += sorted(allowed)
    if wanted.before:
        parts.append("number < ?")
        values.append(wanted.before)
    for term in terms(wanted.text):
        parts.append("instr(words, ?)")
        values.append(term)
    return " AND ".join(parts), values


def _one_of(column: str, allowed: Collection[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(allowed))})"


def _one(db: sqlite3.Connection, utterance_id: str) -> HistoryRow | None:
    query = f"SELECT {_COLUMNS} FROM history WHERE utterance_id = ?"  # noqa: S608 - our own names
    found = db.execute(query, (utterance_id,)).fetchone()
    return _whole(found) if found else None


def _with_words(db: sqlite3.Connection, utterance_id: str) -> tuple[HistoryRow, str] | None:
    """And with the words by which it is found."""
    query = f"SELECT {_COLUMNS}, words FROM history WHERE utterance_id = ?"  # noqa: S608 - our own names
    found = db.execute(query, (utterance_id,)).fetchone()
    return (_whole(found[:-1]), found[-1]) if found else None


def _whole(columns: tuple[int, bytes, bytes | None, float, float, int]) -> HistoryRow:
    number, record, reply, publish_ms, speech_to_reply_ms, audio = columns
    return replace(
        _row(record),
        number=number,
        reply=_reply(reply) if reply is not None else None,
        publish_ms=publish_ms,
        speech_to_reply_ms=speech_to_reply_ms,
        has_audio=bool(audio),
    )


def _audio(db: sqlite3.Connection, utterance_id: str) -> bytes | None:
    query = "SELECT record FROM utterances WHERE utterance_id = ? AND done"
    found = db.execute(query, (utterance_id,)).fetchone()
    return _utterance(found[0]).audio if found else None


def _belongings(db: sqlite3.Connection, user_id: str, limit: int) -> Belongings:
    said = (
        "SELECT utterance_id FROM history WHERE user_id = ?1"
        " UNION SELECT utterance_id FROM utterances WHERE user_id = ?1 AND done LIMIT ?2"
    )
    dead = "SELECT number FROM dead_letters WHERE user_id = ? LIMIT ?"
    known = "correlation_id IN (SELECT correlation_id FROM history WHERE user_id = ?1)"
    asked = (
        f"SELECT correlation_id FROM requests WHERE user_id = ?1 AND (due OR ended_at IS NULL) AND NOT {known}"  # noqa: S608
        f" UNION SELECT correlation_id FROM turns WHERE user_id = ?1 AND NOT {known}"
        f" UNION SELECT correlation_id FROM agent_requests WHERE user_id = ?1 AND NOT {known} LIMIT ?2"
    )
    letters = f"SELECT number FROM outbox WHERE user_id = ?1 AND NOT {known} LIMIT ?2"  # noqa: S608

    def found(query: str) -> tuple[Any, ...]:
        return tuple(value for (value,) in db.execute(query, (user_id, limit)))

    speech = "SELECT utterance_id FROM utterances WHERE user_id = ? AND NOT done LIMIT ?"
    return Belongings(found(said), found(dead), found(asked), found(letters), found(speech))


def _belongings_until(db: sqlite3.Connection, user_id: str, limit: int, until: float) -> Belongings:
    """What is of the one and the other time is told by the records, which have the wall's."""

    def found(query: str, at: Callable[[bytes], float]) -> tuple[Any, ...]:
        old = (name for name, record in db.execute(query, (user_id,)) if at(record) <= until)
        return tuple(islice(old, limit))

    speech = "SELECT utterance_id, record FROM utterances WHERE user_id = ?1 AND"
    turns = "SELECT correlation_id, record FROM turns WHERE user_id = ?"
    asked = found(
        "SELECT correlation_id, record FROM requests WHERE user_id = ? AND (due OR ended_at IS NULL)",
        lambda one: request_of(one).asked_at,
    )
    said = found(
        "SELECT utterance_id, record FROM history WHERE user_id = ?", lambda one: _row(one).spoken_at
    )
    return Belongings(
        tuple(dict.fromkeys((*said, *found(f"{speech} done", lambda one: _utterance(one).heard_at))))[:limit],
        found("SELECT number, record FROM dead_letters WHERE user_id = ?", lambda one: _dead(one).died_at),
        tuple(dict.fromkeys((*asked, *found(turns, lambda one: _turn(one).timestamp))))[:limit],
        found("SELECT number, record FROM outbox WHERE user_id = ?", lambda one: letter_of(one).queued_at),
        found(f"{speech} NOT done", lambda one: _utterance(one).heard_at),
    )
