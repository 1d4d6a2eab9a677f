"""What is remembered of utterances that are over, as it is written: made, completed, and erased for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.msgpack import Decoder

from gateway.journal import effects as e
from gateway.journal.records import HistoryReply, Room
from gateway.journal.tables.search_words import folded
from gateway.journal.tables.tables import Tables, encode

_reply = Decoder(HistoryReply).decode


class Memory:
    """The room of the history; the tables are the ledger's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def effects(self) -> dict[type, Callable[[Any], None]]:
        """What each effect does."""
        return {
            e.Remembered: self._remembered,
            e.PublishedIn: self._published_in,
            e.Answered: self._answered,
            e.HandedOver: self._handed_over,
            e.Erased: self._erased,
            e.Withdrawn: self._withdrawn,
        }

    def forget(self, before: float, limit: int) -> None:
        """Erase some of what was said before, by the journal's clock."""
        old = "SELECT utterance_id FROM history WHERE spoken_at < ? ORDER BY spoken_at LIMIT ?"
        for (utterance_id,) in self._tables.execute(old, before, limit).fetchall():
            self._tables.delete(Room.HISTORY, "utterance_id = ?", utterance_id)

    def _remembered(self, effect: e.Remembered) -> None:
        row = effect.row
        self._tables.delete(Room.HISTORY, "utterance_id = ?", row.utterance_id)
        words = folded(row.text)
        self._tables.insert(
            Room.HISTORY, row, len(words),
            utterance_id=row.utterance_id, correlation_id=row.correlation_id, session_id=row.session_id,
            user_id=row.user_id, device_id=row.device_id, spoken_at=self._tables.now(), words=words,
            conversation_id=row.conversation_id,
        )  # fmt: skip

    def _published_in(self, effect: e.PublishedIn) -> None:
        self._tables.execute(
            "UPDATE history SET publish_ms = ? WHERE correlation_id = ?",
            effect.publish_ms,
            effect.correlation_id,
        )

    def _answered(self, effect: e.Answered) -> None:
        """What somebody answered takes the place of what was said without an answer, never the other way round."""
        name, record, words = effect.correlation_id, encode(effect.reply), folded(effect.reply.text)
        query = "SELECT reply, words FROM history WHERE correlation_id = ?"
        found = self._tables.execute(query, name).fetchone()
        if found is None:
            return
        before, all_words = found
        growth = len(record) + len(words)
        if before is not None:
            apology = _reply(before)
            if effect.reply.fallback or not apology.fallback:
                return
            said = folded(apology.text)
            all_words, growth = all_words.removesuffix(f"\n{said}"), growth - len(before) - len(said)
        query = "UPDATE history SET reply = ?, words = ? WHERE correlation_id = ?"
        self._tables.execute(query, record, f"{all_words}\n{words}", name)
        self._tables.grow(Room.HISTORY, name, growth)

    def _handed_over(self, effect: e.HandedOver) -> None:
        self._tables.execute(
            "UPDATE history SET speech_to_reply_ms = ? WHERE correlation_id = ?",
            effect.speech_to_reply_ms,
            effect.correlation_id,
        )

    def _erased(self, effect: e.Erased) -> None:
        """Speech that has no text yet stays until it has."""
        name, tables = effect.utterance_id, self._tables
        found = tables.execute("SELECT correlation_id FROM history WHERE utterance_id = ?", name).fetchone()
        tables.delete(Room.HISTORY, "utterance_id = ?", name)
        tables.delete(Room.UTTERANCES, "utterance_id = ? AND done", name)
        tables.delete(Room.DEAD_LETTERS, "subject = ?", name)
        tables.delete(Room.TURNS, "utterance_id = ?", name)
        if found and found[0]:
            self._withdraw(found[0])

    def _withdrawn(self, effect: e.Withdrawn) -> None:
        self._tables.delete(Room.HISTORY, "correlation_id = ?", effect.correlation_id)
        self._withdraw(effect.correlation_id)

    def _withdraw(self, correlation_id: str) -> None:
        for room in (Room.DEAD_LETTERS, Room.REQUESTS, Room.AGENT_REQUESTS, Room.OUTBOX, Room.TURNS):
            self._tables.delete(room, "correlation_id = ?", correlation_id)
