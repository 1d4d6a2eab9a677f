"""The one thread that touches the journal's file: what is to be committed at the same time shares one sync.

A commit waits for no other: the thread takes whatever is there, at most 32 effects of it or what comes
within 10 ms, and makes it one transaction. While it syncs the disk, the next group gathers.

A disk that is full or broken is a state. What could not be written stays in memory, in order and within a
bound, and goes first into the next transaction that succeeds; a try is made every second.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from gateway.journal.backlog import Backlog
from gateway.journal.dates import clock_of, keep_clock
from gateway.journal.effects import Effect
from gateway.journal.errors import JournalError, NotDurable
from gateway.journal.file import Lock, drop_copies, explain, is_damage, open_file, quarantine
from gateway.journal.jobs import Commit, Job, JournalState, Query, Result, WriterCounters
from gateway.journal.place import Place
from gateway.journal.records import Room
from gateway.journal.tables.ledger import Ledger
from gateway.journal.tables.quotas import Quota, Retention, Usage
from gateway.process.clock import SteadyClock

log = structlog.get_logger(__name__)

GROUP_EFFECTS = 32
GROUP_SECONDS = 0.010
"""A transaction takes no more than so many effects, nor gathers them for longer."""
RETRY_SECONDS = 1.0
"""How often it is tried again to write what could not be written."""
TIDY_SECONDS = 60.0
LOOK_SECONDS = 2.0
"""How often it is looked whether the file is still in its place, when there is nothing to write."""
QUIET_SECONDS = 1.0
"""Where nothing is to be remembered, what has left the tables leaves the files when nothing is written for so long."""
KEEP_CLOCK_SECONDS = 600.0
"""How often it is written down how far the journal's clock has come."""
VACUUM_PAGES = 1000
"""Pages given back to the disk each time it is tidied up."""

_THEIR_FAULT = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


class Writer(threading.Thread):
    """Owns the file from ``start`` to ``stop``; ``submit`` gives it work. The callbacks run in its thread."""

    def __init__(
        self,
        path: Path,
        quotas: Mapping[Room, Quota],
        *,
        retention: Retention,
        on_results: Callable[[Sequence[Result]], None],
        on_state: Callable[[JournalState], None],
    ) -> None:
        """Nothing is touched before ``start``."""
        super().__init__(name="journal", daemon=True)
        self.counters = WriterCounters()
        self.state = JournalState(durable=False, reason="it is being opened")
        self._path = path
        self._quotas = quotas
        self._retention = retention
        self._on_results = on_results
        self._on_state = on_state
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = Lock(path)
        self._db: sqlite3.Connection | None = None
        self._ledger: Ledger | None = None
        self._clock: SteadyClock | None = None
        self._backlog = Backlog()
        self._place: Place | None = None
        self._happened: tuple[str, str] = ("", "")
        self._tidied_at = self._clock_kept_at = time.monotonic()

    # -- from any thread

    def own(self) -> None:
        """Become the file's owner. Raises JournalInUse; a folder that cannot be made is a state."""
        try:
            self._lock.acquire()
        except OSError as error:
            self._report(error)

    def submit(self, job: Job) -> None:
        """Have it done, after all that was submitted before."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Do what was submitted, then close the file and end."""
        self._jobs.put(None)

    def usage(self) -> dict[Room, Usage]:
        """What there is of each class."""
        return dict(self._ledger.usages.by_room) if self._ledger else {}

    # -- the thread

    def run(self) -> None:
        """Until ``stop``."""
        try:
            self._open()
            while (jobs := self._gather()) is not None:
                self._serve(jobs)
            self._commit([])
        finally:
            with suppress(sqlite3.Error):
                if self._ledger is not None:
                    self._keep_clock()
            self._close()
            self._lock.release()

    def _gather(self) -> list[Job] | None:
        """What to do next, perhaps only to try again; None: the end."""
        jobs: list[Job] = []
        effects, until = 0, 0.0
        while effects < GROUP_EFFECTS:
            try:
                job = self._jobs.get_nowait() if jobs else self._first()
            except queue.Empty:
                break
            if job is None:
                if jobs:
                    self._jobs.put(None)  # again, after what is in hand
                return jobs or None
            until = until or time.monotonic() + GROUP_SECONDS
            jobs.append(job)
            effects += len(job.effects) if isinstance(job, Commit) else 1
            if time.monotonic() > until:
                break
        return jobs

    def _first(self) -> Job | None:
        seconds = LOOK_SECONDS if self.state.durable else RETRY_SECONDS
        if self._is_to_be_scrubbed:
            seconds = QUIET_SECONDS
        return self._jobs.get(timeout=seconds)

    @property
    def _is_to_be_scrubbed(self) -> bool:
        """Whether words may stand in the files that are not to be remembered, and nothing keeps them there."""
        return self._ledger is not None and self._ledger.unscrubbed and not self._retention.words

    def _serve(self, jobs: Sequence[Job]) -> None:
        """Commits together, but not past a question between them."""
        group: list[Commit] = []
        for job in jobs:
            if isinstance(job, Commit):
                group.append(job)
                continue
            self._commit(group)
            group = []
            self._answer(job)
        if group or not jobs:
            self._commit(group)
        if time.monotonic() > self._tidied_at + TIDY_SECONDS or (not jobs and self._is_to_be_scrubbed):
            self._tidy()

    def _commit(self, group: Sequence[Commit]) -> None:
        """All of the group in one transaction, after what could not be written before."""
        try:
            if not group and self.state.durable and self._is_in_place():
                return
            results = self._transaction(group)
        except (sqlite3.Error, OSError, JournalError) as error:
            self._fail(error, group)
            return
        self._report(None)
        if group:
            self._on_results([(commit.ticket, result) for commit, result in zip(group, results, strict=True)])

    def _transaction(self, group: Sequence[Commit]) -> list[bool | JournalError]:
        if not self._is_in_place():
            self._put_back()
        ledger = self._ledger or self._open_or_raise()
        assert self._db is not None
        self._db.execute("BEGIN IMMEDIATE")
        try:
            with ledger.usages.undone_on_error():
                for effects in self._backlog:
                    _apply(ledger, effects)
                results = [_apply(ledger, commit.effects) for commit in group]
                self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._backlog.clear()
        self.counters.transactions += 1
        self.counters.commits += len(group)
        self.counters.effects += sum(len(commit.effects) for commit in group)
        return results

    def _roll_back(self) -> None:
        assert self._db is not None
        try:
            if self._db.in_transaction:  # an error of the disk may have ended it
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._close()  # to be opened anew, which settles it

    def _answer(self, query: Query) -> None:
        result: Any
        try:
            result = query.ask(self._ledger or self._open_or_raise())
        except (sqlite3.Error, OSError) as error:
            result = NotDurable(explain(error)[0])
        except JournalError as error:
            result = error
        except Exception as error:  # a row that cannot be read; the thread must go on for the others
            log.exception("the journal cannot answer")
            result = JournalError(f"the journal cannot be read: {error}")
        self._on_results([(query.ticket, result)])

    def _tidy(self) -> None:
        self._tidied_at = time.monotonic()
        if self._ledger is None or self._db is None:
            return
        try:
            self._ledger.tidy(self._ledger.now())
            self._db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
            if time.monotonic() > self._clock_kept_at + KEEP_CLOCK_SECONDS:
                self._keep_clock()
            drop_copies(self._path, older_than=self._retention.undelivered)
        except (sqlite3.Error, OSError) as error:
            log.debug("the journal could not be tidied up", reason=str(error))

    # -- the file, and what is wrong with it

    def _open(self) -> None:
        try:
            self._open_or_raise()
        except (sqlite3.Error, OSError, JournalError) as error:
            self._report(error)
        else:
            self._report(None)

    def _open_or_raise(self) -> Ledger:
        self._lock.acquire()
        self._db, moved = open_file(self._path)
        if moved is not None:
            self._note_damage(moved)
        self._clock = clock_of(self._db, self._clock)
        self._keep_clock()
        self._place = Place.of(self._path)
        self._ledger = Ledger(self._db, self._quotas, self._retention, self._clock.now)
        return self._ledger

    def _is_in_place(self) -> bool:
        """Whether what is open is what stands there; so it is, too, where nothing is open."""
        return self._place is None or (self._place.is_kept() and self._lock.is_in_place())

    def _put_back(self) -> None:
        """Somebody has taken the file away. Nobody may own it by now, and nothing of it may be lost."""
        assert self._db is not None
        assert self._place is not None
        if not self._lock.is_in_place():
            self._lock.release()
            self._lock.acquire()
        self._happened = self._place.put_back(self._db)
        log.error("the journal was not in its place", reason=self._happened[0], path=str(self._path))
        self._close()

    def _keep_clock(self) -> None:
        assert self._db is not None
        assert self._clock is not None
        keep_clock(self._db, self._clock)
        self._clock_kept_at = time.monotonic()

    def _note_damage(self, moved: Path) -> None:
        self._happened = (
            f"the file was damaged; it is kept as {moved.name}, and a new one was begun",
            "keep it or delete it; this is forgotten at the next start",
        )

    def _fail(self, error: Exception, group: Sequence[Commit]) -> None:
        """Keep what could not be written; whoever waits for it is told."""
        self.counters.failures += 1
        if isinstance(error, sqlite3.Error) and is_damage(error):
            self._replace_file()
        self._report(error)
        for commit in group:
            self.counters.given_up += self._backlog.add(commit.effects)
        if group:
            self._on_results([(commit.ticket, NotDurable(self.state.reason)) for commit in group])

    def _replace_file(self) -> None:
        """The file was damaged under our hands: put it aside; the next transaction begins a new one."""
        self._close()
        try:
            self._note_damage(quarantine(self._path))
        except OSError as error:
            log.error("the damaged journal cannot be put aside", reason=str(error))  # noqa: TRY400

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = self._ledger = self._place = None

    def _report(self, error: Exception | None) -> None:
        told = self._happened if error is None else explain(error)
        state = JournalState(error is None, *told)
        if state != self.state:
            self.state = state
            self._on_state(state)


def _apply(ledger: Ledger, effects: Sequence[Effect]) -> bool | JournalError:
    """The result for whoever committed them. What only they are to blame for concerns nobody else."""
    try:
        return ledger.apply(effects)
    except JournalError as error:
        return error
    except Exception as error:
        if isinstance(error, OSError | sqlite3.Error) and not isinstance(error, _THEIR_FAULT):
            raise  # the disk's, or the file's
        log.exception("effects cannot be written", kinds=[type(effect).__name__ for effect in effects])
        return JournalError(f"these effects cannot be written: {error}")
