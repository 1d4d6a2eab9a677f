"""Whose words fill more of the history than is theirs, and so make room first: a visitor's before any board's."""

from __future__ import annotations

import sqlite3

from gateway.access.principals import WEB_DEVICE
from gateway.journal.tables.quotas import Quota

COUNTED_FOR = 200
"""Rows that make room before it is counted again how much there is of each visitor."""
_AFTER = WEB_DEVICE[:-1] + chr(ord("-") + 1)
"""What sorts behind everything that begins with WEB_DEVICE."""


class Crowding:
    """Visitors together have half of the room, in equal parts; with every one there is the part for one more."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._parts: dict[str, float] = {}
        self._counted_for = 0

    def came(self, quota: Quota, device_id: str, size: int) -> None:
        """One more row."""
        if device_id.startswith(WEB_DEVICE):
            visitor = _visitor(device_id)
            self._parts[visitor] = self._parts.get(visitor, 0.0) + _part(quota, 1, size)

    def expendable(self, quota: Quota) -> int | None:
        """The oldest row of the visitor who is furthest beyond their part; None: nobody is."""
        if self._counted_for <= 0:
            self._parts, self._counted_for = self._count(quota), COUNTED_FOR
        self._counted_for -= 1
        most = max(self._parts, key=lambda one: self._parts[one], default=None)
        if most is None or self._parts[most] <= 1 / (2 * len(self._parts) + 2):
            return None
        number = self._oldest(most)
        if number is None:  # gone meanwhile
            del self._parts[most]
            return None
        (size,) = self._db.execute("SELECT size FROM history WHERE number = ?", (number,)).fetchone()
        self._parts[most] -= _part(quota, 1, size)
        return number

    def _count(self, quota: Quota) -> dict[str, float]:
        """How much of the room each visitor has, with however many devices."""
        parts: dict[str, float] = {}
        query = (
            "SELECT device_id, count(*), sum(size) FROM history WHERE device_id >= ? AND device_id < ?"
            " GROUP BY device_id"
        )
        for device_id, rows, size in self._db.execute(query, (WEB_DEVICE, _AFTER)):
            visitor = _visitor(device_id)
            parts[visitor] = parts.get(visitor, 0.0) + _part(quota, rows, size)
        return parts

    def _oldest(self, visitor: str) -> int | None:
        found = self._db.execute(
            "SELECT min(number) FROM history WHERE device_id = ?"
            " UNION ALL SELECT min(number) FROM history WHERE device_id >= ? AND device_id < ?",
            (visitor, f"{visitor}-", f"{visitor}."),
        ).fetchall()
        return min((number for (number,) in found if number is not None), default=None)


def _visitor(device_id: str) -> str:
    """``web-ann`` for all that ann has."""
    return "-".join(device_id.split("-")[:2])


def _part(quota: Quota, rows: int, size: int) -> float:
    return max(rows / quota.rows, size / quota.bytes)
