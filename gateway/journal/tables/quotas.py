"""How much of each class of rows the journal keeps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.journal.records import Room
from gateway.process.clock import DAY
from gateway.settings.history import HistorySettings
from gateway.settings.privacy import PrivacySettings


@dataclass(frozen=True, slots=True)
class Quota:
    """The bound of one class of rows."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is done with is kept, in seconds; ``audio``: speech that has its text, 0: not at all.

    ``undelivered``: answers that wait for their device. ``conversations``: those in which nothing is said.
    ``words``: whether what was said is remembered at all; else it leaves the files as soon as it is quiet.
    ``shared``: whether it is written down what is to be told a store that the house shares.
    """

    requests: float = 300.0
    history: float = 365 * 86_400.0
    audio: float = 0.0
    undelivered: float = 365 * 86_400.0
    conversations: float = 60.0
    words: bool = True
    shared: bool = False


def undelivered_seconds(history: HistorySettings, privacy: PrivacySettings) -> float:
    """How long an answer waits for its device: as long as anything is remembered; a day, where nothing is."""
    remembered = history.enabled and not privacy.redact
    return history.days * DAY if remembered else min(history.days, 1.0) * DAY


@dataclass(slots=True)
class Usage:
    """What a room holds; ``evicted``: rows given up for newer ones since the start."""

    rows: int = 0
    bytes: int = 0
    evicted: int = 0


@dataclass(slots=True)
class Usages:
    """What all rooms hold, kept in step with the transaction it belongs to."""

    quotas: Mapping[Room, Quota]
    by_room: dict[Room, Usage] = field(default_factory=lambda: {room: Usage() for room in Room})

    def count(self, db: sqlite3.Connection) -> None:
        """Look how much there is."""
        for room, usage in self.by_room.items():
            usage.rows, usage.bytes = db.execute(
                f"SELECT count(*), coalesce(sum(size), 0) FROM {room}"  # noqa: S608 - our own names
            ).fetchone()

    def added(self, room: Room, size: int) -> None:
        """A row was inserted."""
        usage = self.by_room[room]
        usage.rows += 1
        usage.bytes += size

    def removed(self, room: Room, sizes: list[tuple[int]]) -> None:
        """Rows of these sizes were deleted."""
        usage = self.by_room[room]
        usage.rows -= len(sizes)
        usage.bytes -= sum(size for (size,) in sizes)

    def full(self, room: Room, size: int) -> bool:
        """Whether a further row of this size is beyond the bound. A room that is empty is never full."""
        usage, quota = self.by_room[room], self.quotas[room]
        return usage.rows > 0 and (usage.rows >= quota.rows or usage.bytes + size > quota.bytes)

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Forget what was counted in a block that fails, as the database forgets it."""
        usages = list(self.by_room.values())
        before = [(usage.rows, usage.bytes, usage.evicted) for usage in usages]
        try:
            yield
        except BaseException:
            for usage, (rows, size, evicted) in zip(usages, before, strict=True):
                usage.rows, usage.bytes, usage.evicted = rows, size, evicted
            raise
