"""The journal's place: whether what is written is what stands there, and how it comes back when somebody took it away.

SQLite writes on into files that were moved or deleted, and nobody would find what it wrote.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from msgspec import Struct

from gateway.access.private_files import open_private
from gateway.journal.file import quarantine

LIVE = ("", "-wal", "-shm")
"""The files of an open journal, by what their names end with."""
_Identity = tuple[int, int] | None


class Place(Struct, frozen=True):
    """The files that were opened, in the order of ``LIVE``."""

    path: Path
    files: tuple[_Identity, ...]

    @classmethod
    def of(cls, path: Path) -> Self:
        """What stands there now. Raises OSError."""
        return cls(path, tuple(_identity(path.with_name(path.name + end)) for end in LIVE))

    def is_kept(self) -> bool:
        """Whether all of it stands there still. Raises OSError."""
        return Place.of(self.path) == self

    def put_back(self, db: sqlite3.Connection) -> tuple[str, str]:
        """Write the whole journal anew from what is still open; what happened, and what to do about it.

        Whatever stands there by now is moved aside, never deleted. Raises OSError and sqlite3.Error.
        """
        fresh = self.path.with_name(f".{self.path.name}.{os.urandom(8).hex()}.new")
        try:
            os.close(open_private(fresh, os.O_RDWR | os.O_CREAT))
            with closing(sqlite3.connect(fresh)) as copy:
                db.backup(copy)
            told = self._make_room()
            fresh.replace(self.path)
        except BaseException:
            for end in ("", "-journal"):
                with suppress(OSError):
                    fresh.with_name(fresh.name + end).unlink(missing_ok=True)
            raise
        return told

    def _make_room(self) -> tuple[str, str]:
        if _identity(self.path) in (None, self.files[0]):
            return (
                "its file was moved away or deleted while the gateway ran; it was written again, whole",
                "stop the gateway before you touch it; this is forgotten at the next start",
            )
        moved = quarantine(self.path, "other", frozenset(self.files))
        return (
            f"another file was put in its place while the gateway ran; it is kept as {moved.name}",
            "to begin with that one, stop the gateway and move it back; this is forgotten at the next start",
        )


def _identity(path: Path) -> _Identity:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
