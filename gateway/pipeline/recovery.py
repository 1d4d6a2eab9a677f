"""What comes back: left in the journal by a gateway before this one, or brought back from the dead letters.

Streams go on under the same session, requests wait for the rest of their time, answers wait for their
device, and speech without a text is returned to be transcribed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import msgspec
import structlog

from gateway.contract.messages import BadMessage, decode_transcription
from gateway.journal import AnyJournal, JournalError
from gateway.journal.errands import hand_on, run_errands, take_letter
from gateway.journal.records import (
    AgentRow,
    LetterRow,
    RequestRow,
    RequestState,
    StreamRow,
    UtteranceRow,
    Verb,
)
from gateway.pipeline.asking.by_name import ByName
from gateway.pipeline.asking.outbox import Outbox
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.hearing.streams import NOTHING_HEARD, Hearing
from gateway.pipeline.sessions.names import NO_BOOT, NO_STREAM, SpeechPlace, StreamName, UtteranceName
from gateway.pipeline.sessions.requests import CorrelationError, PendingRequest
from gateway.pipeline.sessions.rows import stream_name
from gateway.pipeline.sessions.session import Session, SessionError, Turn, TurnEvent
from gateway.pipeline.telling.announcements import Announcements
from gateway.pipeline.telling.due_answers import DueAnswers
from gateway.pipeline.understanding import Understanding
from gateway.process.mishaps import Mishaps
from transcription.priority import Priority, priority_of

log = structlog.get_logger(__name__)

WhoseSpeech: TypeAlias = Callable[[SpeechPlace], Awaitable[str]]
"""The name of the gateway that has heard it since this one died; empty: none has."""


class Recovery:
    """Takes up what comes back: of the gateway before this one, and of the dead letters."""

    def __init__(
        self,
        journal: AnyJournal,
        hearing: Hearing,
        questions: Questions,
        due: DueAnswers,
        by_name: ByName,
        *,
        announcements: Announcements,
        understanding: Understanding,
        outbox: Outbox,
        mishaps: Mishaps,
        whose: WhoseSpeech | None = None,
    ) -> None:
        """``whose`` tells which gateway has heard speech since this one died; None: there are no others."""
        self._journal = journal
        self._whose = whose
        self._hearing = hearing
        self._questions = questions
        self._due = due
        self._by_name = by_name
        self._announcements = announcements
        self._understanding = understanding
        self._outbox = outbox
        self._mishaps = mishaps
        self._is_done = False

    # -- what a gateway before this one left

    async def recover(self) -> None:
        """Take up its streams, requests and speech. As long as the journal cannot be read, later."""
        try:
            left = await self._take_over()
        except JournalError as error:
            log.warning("nothing can be recovered yet", reason=str(error))
            return
        except Exception as error:  # noqa: BLE001 - the boundary: it would go wrong at each start
            self._mishaps.note("recovery", error)
            left = []
        self._is_done = True
        for session, turn in left:
            self._understanding.again(session, turn, self._owner(session.name, turn))

    def _owner(self, name: StreamName, turn: Turn) -> Awaitable[str] | None:
        if self._whose is None or name.boot == NO_BOOT or name.stream == NO_STREAM:
            return None
        return self._whose(SpeechPlace(*name, turn.start, turn.end))

    async def recover_late(self) -> None:
        """What could not be read at the start."""
        if not self._is_done and self._journal.state.durable:
            await self.recover()

    async def _take_over(self) -> list[tuple[Session, Turn]]:
        """Take up everything; the turns whose speech is to be transcribed. Raises JournalError."""
        streams = [row async for row in self._journal.streams()]
        said = [row async for row in self._journal.turns()]
        with self._mishaps.contained("recovering conversations"):
            self._questions.conversing.restore(said)
        requests = []
        async for row in self._journal.requests():
            if row.due and row.boot == NO_BOOT:
                self._announcements.restore(row)
            else:
                requests.append(row)
        utterances = [
            msgspec.structs.replace(row, audio=b"") async for row in self._journal.utterances()
        ]  # their audio one at a time, when its turn comes
        takeover = _Takeover(self._hearing, self._questions, self._due, self._by_name)
        async for agent in self._journal.agents():
            takeover.agents.setdefault(agent.correlation_id, []).append(agent)
        for stream in streams:
            self._hearing.former.remember(stream)
        takeover.priorities = {one.session_id: priority_of(one.priority) for one in streams}
        takeover.open_ids = {stream.session_id: stream for stream in streams if not stream.ended}
        # One session after the other: those that ended give the names of their streams back to the next.
        rows: list[RequestRow | UtteranceRow] = [*requests, *utterances]
        turns = []
        for one in sorted(rows, key=takeover.order):
            with self._mishaps.contained("recovering a row", utterance_id=one.utterance_id):
                turns.append(takeover.row(one))
        for stream in takeover.open_ids.values():
            with self._mishaps.contained("recovering a stream", session_id=stream.session_id):
                takeover.session(stream)
        self._put_to_teams(takeover, [row.correlation_id for row in requests])
        takeover.finish()
        left = [turn for turn in turns if turn is not None]
        if streams or requests or left:
            log.info(
                "recovered",
                streams=len(takeover.open_ids),
                utterances=len(left),
                requests=len(self._questions),
                answers=len(self._due),
                announcements=len(self._announcements),
            )
        return left

    def take_up(self, streams: list[StreamRow]) -> None:
        """Streams that another gateway has heard so far: they go on here, under the same sessions."""
        takeover = _Takeover(self._hearing, self._questions, self._due, self._by_name)
        takeover.priorities = {one.session_id: priority_of(one.priority) for one in streams}
        takeover.open_ids = {one.session_id: one for one in streams if not one.ended}
        for one in streams:
            self._hearing.former.remember(one)
        for one in takeover.open_ids.values():
            with self._mishaps.contained("taking up a stream", session_id=one.session_id):
                takeover.session(one)
        takeover.finish()

    def _put_to_teams(self, takeover: _Takeover, order: list[str]) -> None:
        """In the ``order`` in which it was said, whichever session that was in; and what is still to be undone."""
        for name in order:
            if (request := takeover.for_teams.get(name)) is not None:
                with self._mishaps.contained("recovering a team's work", correlation_id=name):
                    self._by_name.take_up(name, takeover.agents.pop(name, []), request.text)
        for rows in takeover.agents.values():  # of requests that nobody remembers any more
            if (letter := next((row.letter for row in rows if row.letter is not None), None)) is not None:
                with self._mishaps.contained(
                    "recovering a team's work", correlation_id=letter.correlation_id
                ):
                    self._by_name.remember(_name_of(letter), rows, answered=False)

    # -- what somebody brings back from the dead letters

    async def run_errands(self) -> None:
        """What was asked for with `earshot dlq`."""
        with suppress(JournalError):  # its state is told; the errands are still there
            await run_errands(self._journal, self._publish_again, self._transcribe_again, self._mishaps)

    async def carry_out(self, verb: Verb, number: int) -> bool:
        """Bring a dead letter back to life, or forget it; whether there is one. Raises JournalError."""
        effects = await take_letter(self._journal, verb, number)
        if effects is not None:
            hand_on(effects, self._publish_again, self._transcribe_again)
        return effects is not None

    def _publish_again(self, letter: LetterRow) -> None:
        self._outbox.put(letter, journaled=True)

    def _transcribe_again(self, row: UtteranceRow) -> None:
        """In a session of its former name."""
        takeover = _Takeover(self._hearing, self._questions, self._due, self._by_name)
        turn = takeover.row(row)
        takeover.finish()
        if turn is not None:
            self._understanding.again(*turn)


def _name_of(letter: LetterRow) -> UtteranceName:
    """What it is about, as far as it says so."""
    nowhere = StreamName(letter.device_id, NO_BOOT, NO_STREAM)
    return UtteranceName(letter.session_id, letter.user_id, nowhere, "", letter.correlation_id)


class _Takeover:
    """The sessions of before, as they are needed."""

    def __init__(self, hearing: Hearing, questions: Questions, due: DueAnswers, by_name: ByName) -> None:
        self.open_ids: dict[str, StreamRow] = {}
        self.priorities: dict[str, Priority] = {}
        self._hearing = hearing
        self._questions = questions
        self._due = due
        self._by_name = by_name
        self.agents: dict[str, list[AgentRow]] = {}
        """What agents were asked, by the request."""
        self.for_teams: dict[str, RequestRow] = {}
        """Requests that are put to agents by name."""
        self._now = asyncio.get_running_loop().time()
        self._sessions: dict[str, Session] = {}

    def order(self, row: RequestRow | UtteranceRow) -> tuple[bool, str]:
        """Rows of one session together, those last in which more may be said."""
        return row.session_id in self.open_ids, row.session_id

    def row(self, row: RequestRow | UtteranceRow) -> tuple[Session, Turn] | None:
        """A request, or (returned as its turn) an utterance."""
        if isinstance(row, UtteranceRow):
            return self._utterance(row)
        self._request(row)
        return None

    def session(self, row: StreamRow | RequestRow | UtteranceRow) -> Session | None:
        """The session of a row; one that has ended is open until ``finish``, or the next of its stream."""
        known = self._sessions.get(row.session_id)
        if known is not None:
            return known
        name = stream_name(row)
        if name.stream == NO_STREAM:  # of no device's: what it is to hear of it, its answer says
            name = name._replace(boot=NO_BOOT)
        before = self._hearing.sessions.find(name)
        if before is not None:
            if before.session_id not in self._sessions:
                return None  # the device was faster, and speaks in a new one
            before.end_stream()
        stream = self.open_ids.get(row.session_id)
        try:
            session = self._hearing.sessions.open(
                name,
                row.user_id,
                end_on_silence=stream.end_on_silence if stream else False,
                now=self._now,
                session_id=row.session_id,
                priority=self.priorities.get(row.session_id) or self._hearing.priority(row.device_id),
            )
        except SessionError as error:
            log.warning("session not recovered", session_id=row.session_id, reason=str(error))
            return None
        self._sessions[row.session_id] = session
        return session

    def _request(self, row: RequestRow) -> None:
        """A request that is open, or whose answer its device has not taken, or that ended not long ago."""
        try:
            request = self._questions.restore(row)
            if row.state is RequestState.OPEN:
                self._await(request, row)
            elif row.due:
                self._due.restore(row)
            if row.state is not RequestState.OPEN:
                self._remember(request, row)
        except (CorrelationError, SessionError, BadMessage) as error:
            log.warning("request not recovered", correlation_id=row.correlation_id, reason=str(error))

    def _remember(self, request: PendingRequest, row: RequestRow) -> None:
        """Who was asked for it may be late, or is undoing what it did."""
        if rows := self.agents.pop(row.correlation_id, ()):
            had_none = row.state is RequestState.EXPIRED or row.error is not None
            self._by_name.remember(request.name, rows, answered=not had_none)

    def _await(self, request: PendingRequest, row: RequestRow) -> None:
        session = self.session(row)
        if session is None:
            return
        message = decode_transcription(row.message)
        turn = session.begin_turn(0, 0, row.utterance_id)
        turn.durable = True
        session.advance(turn, TurnEvent.RECOGNIZE)
        session.advance(turn, TurnEvent.ASK)
        spoken = Spoken(request.name, session, turn, NOTHING_HEARD, request.published_at)
        self._questions.ask_again(spoken, message, request, row.text)
        if message.addressed:
            self.for_teams[row.correlation_id] = row

    def _utterance(self, row: UtteranceRow) -> tuple[Session, Turn] | None:
        """Speech without a text."""
        session = self.session(row)
        if session is None:
            return None
        try:
            turn = session.begin_turn(row.start, row.end, row.utterance_id)
        except SessionError as error:
            log.warning("utterance left for the next start", utterance_id=row.utterance_id, reason=str(error))
            return None
        turn.durable = True
        session.advance(turn, TurnEvent.RECOGNIZE)
        return session, turn

    def finish(self) -> None:
        """What nothing more is said in ends with its last turn; the others wait for their devices."""
        for session in self._sessions.values():
            name = session.name
            if session.session_id in self.open_ids:
                if not self._hearing.connected(name.device_id):
                    self._hearing.sessions.suspend_device(name.device_id, name.boot, self._now)
            elif self._hearing.sessions.find(name) is session:
                session.end_stream()
