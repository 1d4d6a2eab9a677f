"""The history when one visitor says more than all boards together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from gateway.journal.tables.crowding import Crowding
from gateway.journal.tables.quotas import Quota
from gateway.journal.tables.schema import migrate

QUOTA = Quota(100, 1_000_000)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def said(db: sqlite3.Connection, device_id: str, times: int) -> None:
    for _ in range(times):
        (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM history").fetchone()
        db.execute(
            "INSERT INTO history (number, utterance_id, correlation_id, session_id, user_id, device_id, spoken_at,"
            " words, size, record) VALUES (?, ?, '', '', '', ?, 0, '', 100, x'')",
            (number, f"u_{number}", device_id),
        )


def test_boards_go_by_age_as_long_as_no_visitor_crowds_them(db: sqlite3.Connection) -> None:
    said(db, "kitchen", 80)
    said(db, "web-ann", 20)
    assert Crowding(db).expendable(QUOTA) is None


def test_with_however_many_devices_a_visitor_is_one(db: sqlite3.Connection) -> None:
    said(db, "kitchen", 60)
    said(db, "web-bob", 2)
    for number in range(38):
        said(db, f"web-ann-{number}", 1)
    assert Crowding(db).expendable(QUOTA) == 63


def test_what_came_since_it_was_counted_counts(db: sqlite3.Connection) -> None:
    said(db, "kitchen", 99)
    crowding = Crowding(db)
    assert crowding.expendable(QUOTA) is None
    said(db, "web-ann", 30)
    for _ in range(30):
        crowding.came(QUOTA, "web-ann", 100)
    assert crowding.expendable(QUOTA) == 100


def test_who_was_erased_meanwhile_makes_no_room(db: sqlite3.Connection) -> None:
    said(db, "web-ann", 90)
    crowding = Crowding(db)
    assert crowding.expendable(QUOTA) == 1
    db.execute("DELETE FROM history")
    assert crowding.expendable(QUOTA) is None
