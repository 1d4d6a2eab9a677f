"""The journal as the gateway uses it: commits and questions from the event loop, nothing lost behind them.

::

    async with Journal(settings, on_state=...) as journal:
        async for utterance in journal.utterances(): ...         # what a gateway before this one left
        await journal.commit(Heard(utterance))                   # on the disk when this returns
        await journal.commit(Transcribed(id), Queued(letter), Asked(request))    # all of it, or nothing
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from gateway.journal.effects import Effect
from gateway.journal.errors import JournalError
from gateway.journal.file import drop_copies, journal_path
from gateway.journal.history import History
from gateway.journal.jobs import Commit, JournalState, Query, Result, WriterCounters
from gateway.journal.records import (
    AgentRow,
    DeadLetterRow,
    Errand,
    LetterRow,
    RequestRow,
    Room,
    StreamRow,
    TurnRow,
    UtteranceRow,
)
from gateway.journal.tables.ledger import Ledger
from gateway.journal.tables.quotas import Quota, Retention, Usage, undelivered_seconds
from gateway.journal.writer import Writer
from gateway.process.clock import DAY, SET_SINCE
from gateway.settings.history import HistorySettings
from gateway.settings.journal import JournalSettings
from gateway.settings.privacy import PrivacySettings
from gateway.settings.sessions import SessionSettings
from transcription.priority import Priority

PAGE = 32
"""Rows read at a time; an utterance's audio may be a megabyte."""
STREAM_ROWS = 10_000
INBOX_ROWS = 100_000
REQUEST_ROWS = 100_000
AGENT_ROWS = 400_000
"""Rows that are small and have no setting."""
LATE_SECONDS = 120.0
"""A conversation is over for good so long after nothing was said: what was said before may have its text only then."""

_Answer = TypeVar("_Answer")
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class JournalStats:
    """What there is of each class, and what happened since the start."""

    state: JournalState
    rooms: dict[Room, Usage]
    counters: WriterCounters


class Journal:
    """A journal in a file, kept by a thread of its own.

    Entering raises JournalInUse. A file that cannot be opened or written is a state: ``commit`` raises
    NotDurable until it can, and what was to be committed is written then.
    """

    keeps = True
    """Whether a commit outlives the process."""

    def __init__(
        self,
        settings: JournalSettings,
        *,
        history: HistorySettings | None = None,
        on_state: Callable[[JournalState], None] = lambda _state: None,
        remember_seconds: float = 300.0,
        privacy: PrivacySettings | None = None,
        sessions: SessionSettings | None = None,
        shared: bool = False,
    ) -> None:
        """``on_state`` is called on the event loop. ``remember_seconds``: for requests that ended.

        ``shared``: changes of the history are kept until somebody has told them others.
        """
        history, sessions = history or HistorySettings(), sessions or SessionSettings()
        self.path: Path = journal_path(settings.path, os.environ)
        self.history = History(self.path)
        """What was said, to be read; it is written with effects, as everything."""
        self._on_state = on_state
        self.on_commit: Callable[[asyncio.Future[bool]], None] = lambda _done: None
        """Called when something has been committed, or could not be."""
        self._writer = Writer(
            self.path,
            _quotas(settings, history, sessions),
            retention=replace(
                _retention(settings, history, privacy or PrivacySettings(), sessions, remember_seconds),
                shared=shared,
            ),
            on_results=self._results,
            on_state=self._state_changed,
        )

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._writer.own)
        self._writer.start()
        try:
            first = await self.ask(Ledger.highest_number) + 1
        except JournalError:  # it cannot be read: higher than any that may be in it
            first = int(max(time.time(), SET_SINCE) * 1_000_000)
        self._numbers = itertools.count(first)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """All that was committed is on the disk."""
        self._writer.stop()
        await asyncio.to_thread(self._writer.join)

    @property
    def state(self) -> JournalState:
        """Whether commits are safe at present."""
        return self._writer.state

    def stats(self) -> JournalStats:
        """How much of everything there is."""
        return JournalStats(self._writer.state, self._writer.usage(), self._writer.counters)

    def _begin_term(self, numbers: int) -> None:
        """Number messages from the next multiple of so many on."""
        self._numbers = itertools.count((next(self._numbers) // numbers + 1) * numbers)

    def next_number(self) -> int:
        """The number of the next message for the outbox."""
        return next(self._numbers)

    def commit(self, *effects: Effect) -> asyncio.Future[bool]:
        """Make all of them durable, or none: False when they were known already (Received, Heard).

        In the order of the calls, whether the result is waited for or not. Awaiting it raises NotDurable and
        RoomFull. Whoever is cancelled meanwhile has them committed all the same.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        future.add_done_callback(_looked_at)
        future.add_done_callback(self.on_commit)
        self._writer.submit(Commit(effects, future))
        return future

    # -- what was left by the gateway before this one, oldest first

    def streams(self) -> AsyncIterator[StreamRow]:
        """The streams that are remembered, open and ended."""
        return self._pages(Ledger.streams)

    def utterances(self) -> AsyncIterator[UtteranceRow]:
        """What has no text yet."""
        return self._pages(Ledger.utterances)

    def requests(self) -> AsyncIterator[RequestRow]:
        """Open ones, and those that ended not long ago or whose answer is due."""
        return self._pages(Ledger.requests)

    def agents(self) -> AsyncIterator[AgentRow]:
        """What the agents of teams were asked for requests that are remembered."""
        return self._pages(Ledger.agents)

    def turns(self) -> AsyncIterator[TurnRow]:
        """The last turns of conversations."""
        return self._pages(Ledger.turns)

    async def of_device(self, device_id: str, boot: int) -> tuple[list[StreamRow], list[TurnRow]]:
        """What one boot of a device has said, and what was said in its conversation, as it is now."""
        return await self.ask(lambda ledger: (ledger.streams_of(device_id, boot), ledger.turns_of(device_id)))

    # -- what there is now

    async def utterance(self, utterance_id: str) -> UtteranceRow | None:
        """One utterance that has no text yet."""
        return await self.ask(lambda ledger: ledger.utterance(utterance_id))

    async def letters(self, after: int, limit: int, priority: Priority | None = None) -> list[LetterRow]:
        """So many messages (of a class) with higher numbers than ``after`` that were not published yet, in order."""
        rows = await self.ask(lambda ledger: ledger.letters(after, limit, priority))
        return [row for _, row in rows]

    async def knows(self, source: str, message_id: str) -> bool:
        """Whether a message of others was received before."""
        return await self.ask(lambda ledger: ledger.knows(source, message_id))

    def dead_letters(self) -> AsyncIterator[DeadLetterRow]:
        """What could not be done."""
        return self._pages(Ledger.dead_letters)

    async def dead_letter(self, number: int) -> DeadLetterRow | None:
        """One of them."""
        rows = await self.ask(lambda ledger: ledger.dead_letters(number - 1, 1))
        return rows[0][1] if rows and rows[0][0] == number else None

    async def errands(self) -> list[Errand]:
        """What another process has asked for."""
        rows = await self.ask(lambda ledger: ledger.errands(0, PAGE))
        return [row for _, row in rows]

    async def scrub(self) -> bool:
        """Leave nothing in the files of what was erased; False: somebody reads them just now, so within a minute."""
        return await self.ask(Ledger.scrub)

    async def drop_copies(self) -> int:
        """Delete the copies of versions before, which nothing can be erased from; how many. Raises OSError."""
        return len(await asyncio.to_thread(drop_copies, self.path))

    # -- inside

    async def _pages(self, read: Callable[[Ledger, int, int], list[tuple[int, _Row]]]) -> AsyncIterator[_Row]:
        after = 0
        while page := await self.ask(lambda ledger: read(ledger, after, PAGE)):  # noqa: B023 - awaited here
            for _, row in page:
                yield row
            after = page[-1][0]

    async def ask(self, ask: Callable[[Ledger], _Answer]) -> _Answer:
        """What ``ask`` reads, after all that was committed before. Raises JournalError."""
        future: asyncio.Future[_Answer] = self._loop.create_future()
        self._writer.submit(Query(ask, future))
        return await future

    def _results(self, results: Sequence[Result]) -> None:
        self._loop.call_soon_threadsafe(_resolve, results)

    def _state_changed(self, state: JournalState) -> None:
        self._loop.call_soon_threadsafe(self._on_state, state)


def _resolve(results: Sequence[Result]) -> None:
    for ticket, result in results:
        if ticket.done():  # its caller was cancelled
            continue
        if isinstance(result, JournalError):
            ticket.set_exception(result)
        else:
            ticket.set_result(result)


def _looked_at(future: asyncio.Future[bool]) -> None:
    if not future.cancelled():  # nobody need wait for it: ``state`` tells the rest
        future.exception()


def _retention(
    settings: JournalSettings,
    history: HistorySettings,
    privacy: PrivacySettings,
    sessions: SessionSettings,
    requests: float,
) -> Retention:
    return Retention(
        requests=requests,
        history=history.days * DAY,
        audio=history.audio_days * DAY if settings.keep_audio else 0.0,
        undelivered=undelivered_seconds(history, privacy),
        conversations=sessions.hints_seconds + LATE_SECONDS,
        words=history.enabled and not privacy.redact,
    )


def _quotas(
    settings: JournalSettings, history: HistorySettings, sessions: SessionSettings
) -> dict[Room, Quota]:
    turns = sessions.max_sessions * max(1, sessions.conversation_turns)
    return {
        Room.STREAMS: Quota(STREAM_ROWS, STREAM_ROWS * 1024),
        Room.UTTERANCES: Quota(settings.audio_mb * 1000, settings.audio_mb * 1024 * 1024),
        Room.OUTBOX: Quota(settings.outbox_messages, settings.outbox_mb * 1024 * 1024),
        Room.INBOX: Quota(INBOX_ROWS, INBOX_ROWS * 1024),
        Room.REQUESTS: Quota(REQUEST_ROWS, settings.outbox_mb * 1024 * 1024),
        Room.AGENT_REQUESTS: Quota(AGENT_ROWS, settings.outbox_mb * 1024 * 1024),
        Room.DEAD_LETTERS: Quota(settings.dead_letters, settings.dead_letters_mb * 1024 * 1024),
        Room.HISTORY: Quota(history.utterances, history.mb * 1024 * 1024),
        Room.TURNS: Quota(turns, turns * 1024 + sessions.max_sessions * sessions.conversation_kb * 1024),
    }
