"""One utterance, wherever the journal has something of it: on its way, remembered, or put away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct
from msgspec.msgpack import Decoder
from msgspec.structs import replace

from gateway.journal.records import (
    AgentRow,
    DeadLetterRow,
    HistoryReply,
    HistoryRow,
    LetterRow,
    RequestRow,
    RequestState,
    UtteranceRow,
)
from gateway.journal.tables.reading import letter_of, request_of

MOST_LIVES = 20
"""Utterances of one request that are read."""

_row = Decoder(HistoryRow).decode
_reply = Decoder(HistoryReply).decode
_utterance = Decoder(UtteranceRow).decode
_agent = Decoder(AgentRow).decode
_dead = Decoder(DeadLetterRow).decode


class Life(Struct, frozen=True, kw_only=True):
    """What there is of it; ``unheard`` (without its audio): it has no text yet. ``letters``: the broker lacks them."""

    utterance_id: str
    correlation_id: str
    remembered: HistoryRow | None = None
    unheard: UtteranceRow | None = None
    request: RequestRow | None = None
    letters: tuple[LetterRow, ...] = ()
    agents: tuple[tuple[float, AgentRow], ...] = ()
    """Each with when it was asked last, in Unix seconds."""
    dead: tuple[DeadLetterRow, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known but its name."""
        return not (
            self.remembered or self.unheard or self.request or self.letters or self.agents or self.dead
        )


def lives(db: sqlite3.Connection, name: str) -> list[Life]:
    """Of the utterance with that utterance id or correlation id, or of all that came by that request; oldest first.

    Raises sqlite3.Error.
    """
    name = name.encode("utf-8", "replace").decode()
    if not name:
        return []
    db.execute("BEGIN")  # all of it as it is at one moment
    try:
        names = list(dict.fromkeys(_names(db, name))) or list(islice(_caused(db, name), MOST_LIVES))
        found = [_life(db, *one) for one in names or ((name, ""), ("", name))]
    finally:
        db.execute("ROLLBACK")
    return [one for one in found if not one.is_empty]


def _names(db: sqlite3.Connection, name: str) -> Iterator[tuple[str, str]]:
    """Utterance ids and correlation ids that may be meant."""
    known = [
        ("SELECT utterance_id, correlation_id FROM history WHERE utterance_id = ?1 OR correlation_id = ?1"),
        ("SELECT utterance_id, correlation_id FROM turns WHERE utterance_id = ?1 OR correlation_id = ?1"),
    ]
    for query in known:
        yield from db.execute(query, (name,))
    for waiting in _unheard(db):
        if name in (waiting.utterance_id, waiting.correlation_id):
            yield waiting.utterance_id, waiting.correlation_id
    for (record,) in db.execute("SELECT record FROM requests WHERE correlation_id = ?", (name,)):
        yield request_of(record).utterance_id, name
    for (record,) in db.execute("SELECT record FROM requests"):
        row = request_of(record)
        if row.utterance_id == name:
            yield name, row.correlation_id


def _caused(db: sqlite3.Connection, name: str) -> Iterator[tuple[str, str]]:
    """Those that came by that request; no index knows, so that all rows are looked at."""
    for (record,) in db.execute("SELECT record FROM history ORDER BY number"):
        row = _row(record)
        if row.causation_id == name:
            yield row.utterance_id, row.correlation_id


def _unheard(db: sqlite3.Connection) -> Iterator[UtteranceRow]:
    """Those without a text; their audio is left out."""
    for (record,) in db.execute("SELECT record FROM utterances WHERE NOT done ORDER BY number"):
        yield replace(_utterance(record), audio=b"")


def _life(db: sqlite3.Connection, utterance_id: str, correlation_id: str) -> Life:
    letters = "SELECT record FROM outbox WHERE correlation_id = ? ORDER BY number"
    asked = "SELECT asked_at, record, text FROM agent_requests WHERE correlation_id = ? ORDER BY number"
    unheard = "SELECT record, attempts FROM utterances WHERE utterance_id = ? AND NOT done"
    put_away = (
        "SELECT number, record FROM dead_letters WHERE subject = ?1 OR (?2 <> '' AND correlation_id = ?2)"
        " ORDER BY number"
    )
    waiting = db.execute(unheard, (utterance_id,)).fetchone()
    of_it = (correlation_id,)
    return Life(
        utterance_id=utterance_id,
        correlation_id=correlation_id,
        remembered=_remembered(db, utterance_id),
        unheard=replace(_utterance(waiting[0]), audio=b"", attempts=waiting[1]) if waiting else None,
        request=_request(db, correlation_id),
        letters=tuple(letter_of(record) for (record,) in db.execute(letters, of_it))
        if correlation_id
        else (),
        agents=tuple(
            (at, replace(_agent(record), text=text)) for at, record, text in db.execute(asked, of_it)
        )
        if correlation_id
        else (),
        dead=tuple(
            replace(_dead(record), number=number)
            for number, record in db.execute(put_away, (utterance_id or correlation_id, correlation_id))
        ),
    )


def _remembered(db: sqlite3.Connection, utterance_id: str) -> HistoryRow | None:
    query = "SELECT record, reply, publish_ms, speech_to_reply_ms FROM history WHERE utterance_id = ?"
    found = db.execute(query, (utterance_id,)).fetchone()
    if found is None:
        return None
    record, reply, publish_ms, speech_to_reply_ms = found
    return replace(
        _row(record),
        reply=_reply(reply) if reply is not None else None,
        publish_ms=publish_ms,
        speech_to_reply_ms=speech_to_reply_ms,
    )


def _request(db: sqlite3.Connection, correlation_id: str) -> RequestRow | None:
    query = "SELECT record, state, text, error, fallback, due FROM requests WHERE correlation_id = ?"
    found = db.execute(query, (correlation_id,)).fetchone()
    if found is None:
        return None
    record, state, text, error, fallback, due = found
    return replace(
        request_of(record),
        state=RequestState(state),
        text=text,
        error=error,
        fallback=bool(fallback),
        due=bool(due),
    )
