"""What of a journal is copied to another gateway's, and what of another's has been copied here.

A journal is its gateway's ``own`` as long as nobody else has it, kept ``together`` with another that has all of it, or
a ``copy`` of another's, beside what only this one has (``alone``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.journal import effects as e
from gateway.journal.records import Room
from gateway.journal.tables.reading import Reader
from gateway.journal.tables.tables import Tables

OWN, TOGETHER, COPY = "own", "together", "copy"
ALL = 1 << 62
RECEIVED = 5_000
"""Messages of others that a copy knows: such as may come again."""
_NAMED = {
    Room.UTTERANCES: "utterance_id",
    Room.OUTBOX: "number",
    Room.REQUESTS: "correlation_id",
    Room.AGENT_REQUESTS: "request_id",
}
"""By what rows are told from others, of those that are owed to somebody."""
_WORK = {Room.UTTERANCES: "NOT done"}
"""What of a room is copied: not the speech that is only kept."""
OF_ONE_BOX = (
    e.Died, e.LetterTaken, e.ErrandDone, e.ToldOthers, e.TellAgain, e.Swept, e.ForgotAsAsked,
    e.WentAlone, e.KeptAlone, e.SetApart, e.KeptTogether, e.CopyTaken, e.CopyGivenUp,
)  # fmt: skip
"""What is not copied."""


def names(effects: tuple[e.Effect, ...]) -> tuple[tuple[str, str], ...]:
    """The rows that these make, by room and name."""
    return tuple(one for effect in effects for one in _name(effect))


def _name(effect: e.Effect) -> tuple[tuple[str, str], ...]:
    match effect:
        case e.Heard(utterance):
            return ((Room.UTTERANCES.value, utterance.utterance_id),)
        case e.Queued(letter):
            return ((Room.OUTBOX.value, str(letter.number)),)
        case e.Asked(request):
            return ((Room.REQUESTS.value, request.correlation_id),)
        case e.AgentMoved(row):
            return ((Room.AGENT_REQUESTS.value, row.request_id),)
    return ()


def everything(reader: Reader) -> tuple[e.Effect, ...]:
    """What makes a copy of all work that is there, and of what is known of devices."""
    turns = [row for _, row in reader.turns(0, ALL)]
    return (
        e.CopyTaken(reader.received(RECEIVED)),
        *(e.StreamOpened(row) for _, row in reader.streams(0, ALL)),
        *(e.Heard(row, again=True) for _, row in reader.utterances(0, ALL)),
        *(e.Queued(row) for _, row in reader.letters(0, ALL)),
        *(e.Asked(row) for _, row in reader.requests(0, ALL)),
        *(e.AgentMoved(row) for _, row in reader.agents(0, ALL)),
        *(e.TurnSaid(row, ALL) for row in turns),
        *(e.TurnAnswered(row.correlation_id, row.reply, row.agent) for row in turns if row.reply),
    )


class Copies:
    """The role of a journal; the tables are the ledger's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def effects(self) -> dict[type, Callable[[Any], None]]:
        """What each effect does."""
        return {
            e.WentAlone: lambda _effect: self._become(OWN),
            e.KeptAlone: self._kept_alone,
            e.SetApart: self._set_apart,
            e.KeptTogether: lambda _effect: self._become(TOGETHER),
            e.CopyTaken: self._taken,
            e.CopyGivenUp: self._given_up,
        }

    def _become(self, role: str) -> None:
        self._call(role)
        self._tables.execute("DELETE FROM alone")

    def _call(self, role: str) -> None:
        self._tables.execute("INSERT OR REPLACE INTO role (number, role) VALUES (1, ?)", role)

    @property
    def _role(self) -> str:
        found = self._tables.execute("SELECT role FROM role").fetchone()
        return str(found[0]) if found else OWN

    def _kept_alone(self, effect: e.KeptAlone) -> None:
        for room, name in effect.rows:
            self._tables.execute("INSERT OR IGNORE INTO alone (room, name) VALUES (?, ?)", room, name)

    def _set_apart(self, _effect: e.SetApart) -> None:
        if self._role == OWN:
            for room, column in _NAMED.items():
                all_of_it = f"SELECT '{room}', {column} FROM {room}"  # noqa: S608 - our own names
                self._tables.execute(f"INSERT OR IGNORE INTO alone (room, name) {all_of_it}")
            self._call(TOGETHER)

    def _taken(self, effect: e.CopyTaken) -> None:
        tables = self._tables
        self._set_apart(e.SetApart())
        self._drop()
        self._call(COPY)
        for source, message_id in effect.received:
            if not tables.knows(source, message_id):
                tables.insert(Room.INBOX, None, source=source, message_id=message_id)

    def _given_up(self, _effect: e.CopyGivenUp) -> None:
        if self._role == COPY:
            self._drop()
            self._call(TOGETHER)

    def _drop(self) -> None:
        tables = self._tables
        for room, column in _NAMED.items():
            work = _WORK.get(room, "TRUE")
            kept = f"SELECT name FROM alone WHERE room = '{room}'"  # noqa: S608 - our own names
            tables.delete(room, f"{work} AND CAST({column} AS TEXT) NOT IN ({kept})")
        tables.delete(Room.STREAMS, "TRUE")
        tables.delete(Room.TURNS, "TRUE")
