"""The journal's file: where it is, that one process owns it, and that what is in it is sound."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

import structlog

from gateway.access.private_files import open_private, refuse_links
from gateway.journal.errors import JournalError, JournalInUse, NoHome
from gateway.journal.tables.schema import VERSION, migrate

log = structlog.get_logger(__name__)

BUSY_SECONDS = 5.0
"""How long a transaction waits for that of another process (`earshot dlq`)."""
WAL_BYTES = 8 * 1024 * 1024
"""What the write-ahead log is cut back to."""

_BESIDE = ("-wal", "-shm", "-journal")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_PLACE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
        errno.EMLINK,
    }
)
_PRIMARY = 0xFF  # of an extended result code


def journal_path(configured: str, environ: Mapping[str, str]) -> Path:
    """The file: as configured, in systemd's state folder, or in the user's. Raises NoHome."""
    if configured:
        return Path(configured).expanduser()
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0]) / "journal.db"
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(state).expanduser() / "earshot" / "journal.db"
    except RuntimeError as error:
        raise NoHome(
            "this user has no home folder ($HOME) to keep the journal in; say journal.path in the configuration "
            "(or $EARSHOT_JOURNAL__PATH)"
        ) from error


class Lock:
    """The right to own a journal; it ends with the process that has it."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take it; idempotent. Raises JournalInUse, and OSError where no file can be made."""
        if self._file is not None:
            return
        file = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(file, 20).decode("ascii", "replace").strip() or "another"
            os.close(file)
            raise JournalInUse(
                f"{self._path.with_suffix('')} is in use by process {owner}; a second gateway on this machine "
                "needs a journal.path of its own"
            ) from error
        except BaseException:
            os.close(file)
            raise
        self._file = file
        with suppress(OSError):  # a full disk: the lock holds without the name of its owner
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    def is_in_place(self) -> bool:
        """Whether others who ask for it ask at the file that is held. Raises OSError."""
        try:
            there = self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._file is not None and os.path.samestat(there, os.fstat(self._file))

    def release(self) -> None:
        """Give it back. Idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def open_file(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """A connection that keeps what it commits, and where a damaged file was moved to (None: there was none).

    Raises sqlite3.Error and OSError when there can be no file now, JournalError for a newer version.
    """
    try:
        return _open_sound(path), None
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
    moved = quarantine(path)
    return _open_sound(path), moved


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is to blame, and would be again the next time."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in _DAMAGED


def copy_of_version(path: Path, version: int) -> Path:
    """Where the journal is kept as it was before it was of a newer version than this one."""
    return path.with_name(f"{path.name}.version-{version}")


def drop_copies(path: Path, older_than: float = 0.0) -> list[Path]:
    """Delete the copies of versions before that were made so many seconds ago; which they were. Raises OSError."""
    until = time.time() - older_than
    copies = [
        copy
        for copy in path.parent.glob(f"{glob.escape(path.name)}.version-*")
        if copy.lstat().st_mtime <= until
    ]
    for copy in copies:
        copy.unlink(missing_ok=True)
    return copies


def quarantine(
    path: Path, why: str = "corrupt", kept: frozenset[tuple[int, int] | None] = frozenset()
) -> Path:
    """Move a file aside, with what belongs to it, but for those ``kept`` (device and inode). Never deletes anything."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    moved = path.with_name(f"{path.name}.{why}-{stamp}")
    count = 1
    while moved.exists():
        count += 1
        moved = path.with_name(f"{path.name}.{why}-{stamp}-{count}")
    path.rename(moved)
    for suffix in _BESIDE:
        beside = path.with_name(path.name + suffix)
        if beside.exists() and (beside.stat().st_dev, beside.stat().st_ino) not in kept:
            beside.rename(moved.with_name(moved.name + suffix))
    return moved


def refuse_planted(path: Path) -> None:
    """SQLite opens its files by their names, and gives those beside the first one to its owner. Raises OSError."""
    for suffix in ("", *_BESIDE):
        refuse_links(path.with_name(path.name + suffix))


def _open_sound(path: Path) -> sqlite3.Connection:
    # What is said at home is nobody else's business; the files beside it get the same mode.
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))
    refuse_planted(path)
    db = sqlite3.connect(path.absolute(), timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    found = [text for (text,) in db.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise _damaged("; ".join(found))
    _keep_version(db)
    migrate(db)


def _keep_version(db: sqlite3.Connection) -> None:
    """Before a newer version changes it, a copy: the way back to the version that wrote it."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (_, _, path), *_ = db.execute("PRAGMA database_list").fetchall()
    if not 0 < found < VERSION or not path:
        return
    kept = copy_of_version(Path(path), found)
    part = kept.with_name(f"{kept.name}.part")
    part.unlink(missing_ok=True)
    os.close(open_private(part, os.O_RDWR | os.O_CREAT))
    with closing(sqlite3.connect(part)) as copy:
        db.backup(copy)
    part.replace(kept)
    log.info("a copy of the journal is kept, as the next version changes it", copy=str(kept), version=found)


def _damaged(message: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def explain(error: Exception) -> tuple[str, str]:
    """What is wrong with the disk or the file, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    number = getattr(error, "errno", None)
    if isinstance(error, JournalError):
        return str(error), ""
    if code == sqlite3.SQLITE_FULL or number in _NO_ROOM:
        return "the disk is full", "make room; it is tried again every second"
    told = (
        f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) or number in _NO_PLACE:
        return f"it cannot be written: {told}", "let the gateway's user write there, or set journal.path"
    return f"it cannot be written: {told}", "look at the disk (dmesg); it is tried again every second"
