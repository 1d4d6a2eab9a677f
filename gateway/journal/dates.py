"""The journal's own clock, by which its rows are dated: no step of the wall clock makes any of them old."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from gateway.process.clock import SET_SINCE, Mark, SteadyClock, instant

_mark = msgspec.msgpack.Decoder(Mark).decode


def clock_of(db: sqlite3.Connection, running: SteadyClock | None = None) -> SteadyClock:
    """The clock of a journal, as it goes on. ``running``: the one of a file that had to be replaced."""
    found = db.execute("SELECT record FROM clock").fetchone()
    if found is not None:
        return SteadyClock(_mark(found[0]), time.time())
    if running is not None:
        return running
    newest = _newest(db)
    if newest is None:
        return SteadyClock(None, time.time())
    at, lead = instant(), 0.0 if newest >= SET_SINCE else None
    return SteadyClock(Mark(newest - at.up, 0.0, lead, at.wall, at.up, at.boot), newest)


def keep_clock(db: sqlite3.Connection, clock: SteadyClock) -> None:
    """Write down how far it has come."""
    record = msgspec.msgpack.encode(clock.mark())
    db.execute("INSERT OR REPLACE INTO clock (number, record) VALUES (1, ?)", (record,))


def _newest(db: sqlite3.Connection) -> float | None:
    """When the last row was written by a gateway that dated them by the wall clock."""
    for newest in (
        "SELECT spoken_at FROM history ORDER BY number DESC LIMIT 1",
        "SELECT heard_at FROM utterances ORDER BY number DESC LIMIT 1",
        "SELECT asked_at FROM requests ORDER BY number DESC LIMIT 1",
    ):
        if (found := db.execute(newest).fetchone()) is not None:
            return float(found[0])
    return None
