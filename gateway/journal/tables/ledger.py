"""The journal's rows as they are written, on one SQLite connection: what each effect does to them.

Whoever owns the connection begins and ends the transactions; a list of effects is applied whole or not
at all within one. Everything here is synchronous.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from gateway.journal import effects as e
from gateway.journal import records as r
from gateway.journal.records import Room
from gateway.journal.tables.copying import Copies
from gateway.journal.tables.history_writing import Memory
from gateway.journal.tables.quotas import Quota, Retention
from gateway.journal.tables.reading import request_of, stream_of
from gateway.journal.tables.sharing import HistoryChanges
from gateway.journal.tables.tables import Tables, encode
from gateway.journal.tables.turn_writing import KeptTurns
from transcription.priority import priority_of

ASKED = "asked"
"""The state in which an agent's time begins."""
FORGOTTEN_AT_ONCE = 200
"""Rows that each tidying forgets of a kind, so that it keeps nobody waiting."""


class _KnownAlready(Exception):
    """The effects were applied before."""


class Ledger(Tables):
    """Applies effects, and reads rows."""

    def __init__(
        self,
        db: sqlite3.Connection,
        quotas: Mapping[Room, Quota],
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: what the rows are dated by, in seconds from any beginning."""
        super().__init__(db, quotas, clock)
        self._retention = retention or Retention()
        self._memory = Memory(self)
        self._turns = KeptTurns(self)
        self._sharing = HistoryChanges(self)
        self._sharing.begin(shared=self._retention.shared)
        # Those of a version that did not say when they were put away are as old as this start.
        db.execute("UPDATE dead_letters SET put_away_at = ? WHERE put_away_at IS NULL", (clock(),))
        self._apply: dict[type, Callable[[Any], None]] = {
            e.StreamOpened: self._opened,
            e.HeardFrom: self._heard_from,
            e.StreamEnded: self._ended,
            e.Rebooted: self._rebooted,
            e.Heard: self._heard,
            e.Tried: self._tried,
            e.Transcribed: self._transcribed,
            e.Queued: self._queued,
            e.Published: self._published,
            e.Asked: self._asked,
            e.Received: self._received,
            e.PieceCame: self._piece_came,
            e.InterimCame: self._interim_came,
            e.AgentMoved: self._agent_moved,
            e.RequestEnded: self._request_ended,
            e.Delivered: self._delivered,
            e.Died: self._died,
            e.LetterTaken: self._letter_taken,
            e.ErrandDone: self._errand_done,
            **self._memory.effects(),
            **self._turns.effects(),
            **self._sharing.effects(),
            **Copies(self).effects(),
        }

    def apply(self, effects: Sequence[e.Effect]) -> bool:
        """Apply all of them, or none (False) because they were applied before. Needs a transaction.

        Raises RoomFull, having changed nothing.
        """
        self._db.execute("SAVEPOINT effects")
        try:
            with self.usages.undone_on_error():
                for effect in effects:
                    self._apply[type(effect)](effect)
        except _KnownAlready:
            self._db.execute("ROLLBACK TO effects")
            return False
        except BaseException:
            if self._db.in_transaction:  # an error of the disk may have ended it
                self._db.execute("ROLLBACK TO effects")
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE effects")
        return True

    def tidy(self, now: float) -> None:
        """Forget some of what is older than it is to be kept, for good; ``now`` by the clock of the rows."""
        kept, some = self._retention, FORGOTTEN_AT_ONCE
        self.delete(Room.REQUESTS, "ended_at < ? AND NOT due", now - kept.requests)
        self._memory.forget(now - kept.history, some)
        self._turns.forget(now - kept.conversations, now - kept.history, some)
        for room, old, since in (
            (Room.UTTERANCES, "done AND heard_at", kept.audio),
            (
                Room.REQUESTS,
                "asked_at",
                max(kept.undelivered, kept.requests),
            ),  # a device that never came back
            (Room.DEAD_LETTERS, "put_away_at", kept.history),
        ):
            oldest = f"SELECT number FROM {room} WHERE {old} < ? ORDER BY number LIMIT ?"  # noqa: S608 - our own names
            self.delete(room, f"number IN ({oldest})", now - since, some)
        over = (  # what agents were asked for requests that are over
            "number IN (SELECT number FROM agent_requests WHERE asked_at < ? AND state <> 'compensating'"
            " AND correlation_id NOT IN (SELECT correlation_id FROM requests) ORDER BY number LIMIT ?)"
        )
        self.delete(Room.AGENT_REQUESTS, over, now - kept.requests, some)
        self._sharing.bound(self.usages.by_room[Room.HISTORY].rows)
        self.scrub()

    # -- what the effects do

    def _opened(self, effect: e.StreamOpened) -> None:
        row = effect.stream
        self.delete(
            Room.STREAMS, "device_id = ? AND boot = ? AND stream = ?", row.device_id, row.boot, row.stream
        )
        self.insert(
            Room.STREAMS, row,
            session_id=row.session_id, device_id=row.device_id, boot=row.boot, stream=row.stream,
            heard_to=row.heard_to, ended=row.ended,
        )  # fmt: skip

    def _heard_from(self, effect: e.HeardFrom) -> None:
        query = "SELECT record FROM streams WHERE session_id = ?"
        for (record,) in self._db.execute(query, (effect.session_id,)).fetchall():
            row = stream_of(record)
            row = replace(row, heard_from=max(row.heard_from, effect.position))
            self._db.execute(
                "UPDATE streams SET record = ? WHERE session_id = ?", (encode(row), effect.session_id)
            )

    def _ended(self, effect: e.StreamEnded) -> None:
        self._db.execute("UPDATE streams SET ended = 1 WHERE session_id = ?", (effect.session_id,))

    def _rebooted(self, effect: e.Rebooted) -> None:
        self.delete(Room.STREAMS, "device_id = ? AND boot <> ?", effect.device_id, effect.boot)
        self.delete(
            Room.REQUESTS,
            "device_id = ? AND boot <> ? AND boot >= 0 AND due",
            effect.device_id,
            effect.boot,
        )

    def _heard(self, effect: e.Heard) -> None:
        row = effect.utterance
        if effect.again:
            self.delete(Room.UTTERANCES, "session_id = ? AND start = ?", row.session_id, row.start)
        elif self._db.execute(
            "SELECT 1 FROM utterances WHERE session_id = ? AND start = ?", (row.session_id, row.start)
        ).fetchone():
            raise _KnownAlready
        self.insert(
            Room.UTTERANCES, row,
            utterance_id=row.utterance_id, session_id=row.session_id, start=row.start,
            attempts=row.attempts, done=False, user_id=row.user_id, heard_at=self.now(),
        )  # fmt: skip
        self._db.execute(
            "UPDATE streams SET heard_to = max(heard_to, ?) WHERE session_id = ?", (row.end, row.session_id)
        )

    def _tried(self, effect: e.Tried) -> None:
        self._db.execute(
            "UPDATE utterances SET attempts = attempts + 1 WHERE utterance_id = ?", (effect.utterance_id,)
        )

    def _transcribed(self, effect: e.Transcribed) -> None:
        if self._retention.audio and not effect.forget:
            self._db.execute("UPDATE utterances SET done = 1 WHERE utterance_id = ?", (effect.utterance_id,))
        else:
            self.delete(Room.UTTERANCES, "utterance_id = ?", effect.utterance_id)

    def _queued(self, effect: e.Queued) -> None:
        self.delete(Room.OUTBOX, "number = ?", effect.letter.number)
        letter = effect.letter
        self.insert(
            Room.OUTBOX, letter,
            number=letter.number, user_id=letter.user_id, correlation_id=letter.correlation_id,
            urgency=priority_of(letter.priority).urgency,
        )  # fmt: skip

    def _published(self, effect: e.Published) -> None:
        self.delete(Room.OUTBOX, "number = ?", effect.number)

    def _asked(self, effect: e.Asked) -> None:
        row = effect.request
        self.delete(Room.REQUESTS, "correlation_id = ?", row.correlation_id)
        self.insert(
            Room.REQUESTS, row,
            correlation_id=row.correlation_id, user_id=row.user_id, device_id=row.device_id, boot=row.boot,
            state=row.state.value, text=row.text, error=row.error, fallback=row.fallback, due=row.due,
            asked_at=self.now(), ended_at=None if row.state is r.RequestState.OPEN else self.now(),
        )  # fmt: skip

    def _received(self, effect: e.Received) -> None:
        if not self._is_news(effect.source, effect.message_id):
            raise _KnownAlready

    def _is_news(self, source: str, message_id: str) -> bool:
        """Whether a message of others comes for the first time, which it does once."""
        if self.knows(source, message_id):
            return False
        self.insert(Room.INBOX, None, source=source, message_id=message_id)
        return True

    def _piece_came(self, effect: e.PieceCame) -> None:
        if effect.message_id and not self._is_news(effect.source, effect.message_id):
            return
        room, column, name = Room.REQUESTS, "correlation_id", effect.correlation_id
        if effect.request_id:
            room, column, name = Room.AGENT_REQUESTS, "request_id", effect.request_id
        still = " AND ended_at IS NULL" if room is Room.REQUESTS else ""
        query = f"UPDATE {room} SET text = text || ? WHERE {column} = ?{still}"  # noqa: S608 - our own names
        if self._db.execute(query, (effect.text, name)).rowcount:
            self.grow(room, name, len(effect.text), column)

    def _interim_came(self, effect: e.InterimCame) -> None:
        self._db.execute(
            "UPDATE requests SET text = ? WHERE correlation_id = ? AND ended_at IS NULL",
            (effect.text, effect.correlation_id),
        )

    def _agent_moved(self, effect: e.AgentMoved) -> None:
        row = effect.row
        known = "SELECT asked_at FROM agent_requests WHERE request_id = ?"
        before = self._db.execute(known, (row.request_id,)).fetchone()
        asked_at = before[0] if before and row.state != ASKED else self.now()
        self.delete(Room.AGENT_REQUESTS, "request_id = ?", row.request_id)
        self.insert(
            Room.AGENT_REQUESTS, replace(row, text=""), len(row.text),
            request_id=row.request_id, correlation_id=row.correlation_id, user_id=row.user_id, state=row.state,
            text=row.text, asked_at=asked_at,
        )  # fmt: skip

    def _request_ended(self, effect: e.RequestEnded) -> None:
        self._db.execute(
            "UPDATE requests SET state = ?, text = ?, error = ?, fallback = ?, due = ?, ended_at = ?"
            " WHERE correlation_id = ?",
            (
                effect.state.value, effect.text, effect.error, effect.fallback, effect.due, self.now(),
                effect.correlation_id,
            ),
        )  # fmt: skip
        self._turns.ended(effect.correlation_id)
        if effect.due:
            self.grow(Room.REQUESTS, effect.correlation_id, len(effect.text))
        else:
            self._empty(effect.correlation_id)

    def _delivered(self, effect: e.Delivered) -> None:
        self._db.execute("UPDATE requests SET due = 0 WHERE correlation_id = ?", (effect.correlation_id,))
        self._empty(effect.correlation_id)

    def _empty(self, correlation_id: str) -> None:
        """Of a request that owes nobody anything, its ids are remembered (for late replies), and no words."""
        query = "SELECT record FROM requests WHERE correlation_id = ? AND ended_at IS NOT NULL AND NOT due"
        for (record,) in self._db.execute(query, (correlation_id,)).fetchall():
            row = replace(request_of(record), message=b"", text="", error=None)
            self.rewrite(Room.REQUESTS, row, "correlation_id", correlation_id, text="", error=None)

    def _died(self, effect: e.Died) -> None:
        self.put_away(effect.letter)

    def _letter_taken(self, effect: e.LetterTaken) -> None:
        self.delete(Room.DEAD_LETTERS, "number = ?", effect.number)

    def _errand_done(self, effect: e.ErrandDone) -> None:
        self._db.execute("DELETE FROM errands WHERE number = ?", (effect.number,))
