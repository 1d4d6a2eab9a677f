"""The journal: what must not be lost is on the disk before anybody is told that it is safe."""

from typing import TypeAlias

from gateway.journal.errors import JournalError, JournalInUse, NotDurable, RoomFull
from gateway.journal.jobs import JournalState
from gateway.journal.journal import Journal, JournalStats
from gateway.journal.no_journal import NoJournal
from gateway.journal.tables.quotas import undelivered_seconds

AnyJournal: TypeAlias = Journal | NoJournal
"""What the gateway is given."""

__all__ = [
    "AnyJournal",
    "Journal",
    "JournalError",
    "JournalInUse",
    "JournalState",
    "JournalStats",
    "NoJournal",
    "NotDurable",
    "RoomFull",
    "undelivered_seconds",
]
