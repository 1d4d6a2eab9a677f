"""What is remembered of utterances that are over, as it is written: made, completed, and erased for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.journal import records as r
from gateway.journal.records import Room
from gateway.journal.tables import Tables, encode
from gateway.journal.words import folded

SCRUB_BUSY_MS = 100
"""How long those who read are waited for when what was erased is to leave the files."""


class Memory:
    """The room of the history; the tables are the ledger's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.unscrubbed = False
        """Whether there may still be something in the files of what was erased."""
        tables.execute("PRAGMA secure_delete = ON")

    def effects(self) -> dict[type, Callable[[Any], None]]:
        """What each effect does."""
        return {
            r.Remembered: self._remembered,
            r.PublishedIn: self._published_in,
            r.Answered: self._answered,
            r.HandedOver: self._handed_over,
            r.Erased: self._erased,
        }

    def forget(self, before: float, limit: int) -> None:
        """Erase some of what was said before, by the journal's clock."""
        old = "SELECT utterance_id FROM history WHERE spoken_at < ? ORDER BY spoken_at LIMIT ?"
        for (utterance_id,) in self._tables.execute(old, before, limit).fetchall():
            self._tables.delete(Room.HISTORY, "utterance_id = ?", utterance_id)
            self.unscrubbed = True

    def scrub(self) -> bool:
        """Empty the write-ahead log, in which pages stand as they were before; False: it has to be done later."""
        if not self.unscrubbed:
            return True
        (patience,) = self._tables.execute("PRAGMA busy_timeout").fetchone()
        self._tables.execute(f"PRAGMA busy_timeout = {SCRUB_BUSY_MS}")
        try:
            busy = self._tables.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._tables.execute(f"PRAGMA busy_timeout = {patience}")
        self.unscrubbed = bool(busy)
        return not busy

    def _remembered(self, effect: r.Remembered) -> None:
        row = effect.row
        self._tables.delete(Room.HISTORY, "utterance_id = ?", row.utterance_id)
        words = folded(row.text)
        self._tables.insert(
            Room.HISTORY, row, len(words),
            utterance_id=row.utterance_id, correlation_id=row.correlation_id, session_id=row.session_id,
            user_id=row.user_id, device_id=row.device_id, spoken_at=self._tables.now(), words=words,
        )  # fmt: skip

    def _published_in(self, effect: r.PublishedIn) -> None:
        self._tables.execute(
            "UPDATE history SET publish_ms = ? WHERE correlation_id = ?",
            effect.publish_ms,
            effect.correlation_id,
        )

    def _answered(self, effect: r.Answered) -> None:
        record, words = encode(effect.reply), folded(effect.reply.text)
        query = (
            "UPDATE history SET reply = ?, words = words || char(10) || ?"
            " WHERE correlation_id = ? AND reply IS NULL"
        )
        if self._tables.execute(query, record, words, effect.correlation_id).rowcount:
            self._tables.grow(Room.HISTORY, effect.correlation_id, len(record) + len(words))

    def _handed_over(self, effect: r.HandedOver) -> None:
        self._tables.execute(
            "UPDATE history SET speech_to_reply_ms = ? WHERE correlation_id = ?",
            effect.speech_to_reply_ms,
            effect.correlation_id,
        )

    def _erased(self, effect: r.Erased) -> None:
        """Rows that are still needed by what is on its way (no text yet, no answer yet) stay until its end."""
        name, tables = effect.utterance_id, self._tables
        found = tables.execute("SELECT correlation_id FROM history WHERE utterance_id = ?", name).fetchone()
        correlation_id = found[0] if found else ""
        tables.delete(Room.HISTORY, "utterance_id = ?", name)
        tables.delete(Room.UTTERANCES, "utterance_id = ? AND done", name)
        tables.delete(Room.DEAD_LETTERS, "subject = ?", name)
        if correlation_id:
            tables.delete(Room.DEAD_LETTERS, "correlation_id = ?", correlation_id)
            tables.delete(
                Room.REQUESTS, "correlation_id = ? AND ended_at IS NOT NULL AND NOT due", correlation_id
            )
        self.unscrubbed = True
