"""The journal seen from another process: it may be read at any time, and its owner asked for something."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from gateway.journal.errors import JournalError, JournalInUse
from gateway.journal.file import BUSY_SECONDS, Lock, explain, refuse_planted
from gateway.journal.life import Life, lives
from gateway.journal.records import DeadLetterRow, Verb
from gateway.journal.tables.reading import Reader

PAGE = 100


def dead_letters(path: Path) -> Iterator[DeadLetterRow]:
    """All of them, oldest first. Raises JournalError."""
    with closing(_connect(path, "ro")) as db:
        reader, after = Reader(db), 0
        try:
            while page := reader.dead_letters(after, PAGE):
                yield from (row for _, row in page)
                after = page[-1][0]
        except sqlite3.Error as error:
            raise JournalError(explain(error)[0]) from error


def lives_of(path: Path, name: str) -> list[Life]:
    """What it has of an utterance by its utterance id or correlation id. Raises JournalError."""
    with closing(_connect(path, "ro")) as db:
        try:
            return lives(db, name)
        except sqlite3.Error as error:
            raise JournalError(explain(error)[0]) from error


def ask(path: Path, verb: Verb, numbers: Iterable[int]) -> None:
    """Have the owner do something with dead letters. Raises JournalError."""
    with closing(_connect(path, "rw")) as db, db:
        try:
            db.executemany(
                "INSERT INTO errands (verb, letter) VALUES (?, ?)",
                [(verb.value, number) for number in numbers],
            )
        except sqlite3.Error as error:
            raise JournalError(explain(error)[0]) from error


def has_owner(path: Path) -> bool:
    """Whether a gateway has it open. Raises JournalError."""
    lock = Lock(path)
    try:
        lock.acquire()
    except JournalInUse:
        return True
    except OSError as error:
        raise JournalError(f"{error.filename}: {error.strerror}") from error
    lock.release()
    return False


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        there = path.exists()
    except PermissionError:
        there = True
    if not there:
        raise JournalError(f"there is no journal at {path}")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise JournalError(f"{path} is its owner's (the service's: `sudo -u earshot earshot ...`)")
    try:
        refuse_planted(path)
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS)
        try:
            db.execute("SELECT 1 FROM dead_letters LIMIT 1").fetchall()
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    except OSError as error:
        raise JournalError(f"{error.filename}: {error.strerror}") from error
    return db
