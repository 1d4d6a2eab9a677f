"""The last turns of each conversation, as they are written: said, answered, and gone with their conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.journal import effects as e
from gateway.journal.records import Room
from gateway.journal.tables.tables import Tables


class KeptTurns:
    """The room of the turns; the tables are the ledger's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def effects(self) -> dict[type, Callable[[Any], None]]:
        """What each effect does."""
        return {e.TurnSaid: self._said, e.TurnAnswered: self._answered}

    def ended(self, correlation_id: str) -> None:
        """Its answer is awaited no more: the conversation lasts from now on."""
        self._tables.execute(
            "UPDATE turns SET touched_at = ? WHERE correlation_id = ?", self._tables.now(), correlation_id
        )

    def forget(self, silent_since: float, said_before: float, limit: int) -> None:
        """Erase some of what is of no conversation that goes on, or too old; by the journal's clock."""
        over = (
            "SELECT conversation_id FROM turns GROUP BY conversation_id HAVING max(touched_at) < ?"
            " EXCEPT SELECT conversation_id FROM turns JOIN requests USING (correlation_id)"
            " WHERE requests.ended_at IS NULL"
        )
        which = f"SELECT number FROM turns WHERE touched_at < ? OR conversation_id IN ({over}) LIMIT ?"  # noqa: S608 - our own names
        self._tables.delete(Room.TURNS, f"number IN ({which})", said_before, silent_since, limit)

    def _said(self, effect: e.TurnSaid) -> None:
        row, tables = effect.turn, self._tables
        tables.delete(
            Room.TURNS, "correlation_id = ? OR (device_id = ? AND conversation_id != ?)",
            row.correlation_id, row.device_id, row.conversation_id,
        )  # fmt: skip
        tables.insert(
            Room.TURNS, row,
            correlation_id=row.correlation_id, conversation_id=row.conversation_id, user_id=row.user_id,
            device_id=row.device_id, utterance_id=row.utterance_id, touched_at=tables.now(),
        )  # fmt: skip
        last = "SELECT number FROM turns WHERE device_id = ?1 ORDER BY number DESC LIMIT ?2"
        tables.delete(Room.TURNS, f"device_id = ?1 AND number NOT IN ({last})", row.device_id, effect.kept)

    def _answered(self, effect: e.TurnAnswered) -> None:
        tables, name = self._tables, effect.correlation_id
        query = "SELECT length(reply) + length(agent) FROM turns WHERE correlation_id = ?"
        for (before,) in tables.execute(query, name).fetchall():
            tables.execute(
                "UPDATE turns SET reply = ?, agent = ?, touched_at = ? WHERE correlation_id = ?",
                effect.reply, effect.agent, tables.now(), name,
            )  # fmt: skip
            tables.grow(Room.TURNS, name, len(effect.reply) + len(effect.agent) - before)
