"""What teams do, done: each move committed first, then sent and shown; and their outcome, as the end of the request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

import structlog

from gateway.contract.messages import OrchestratorReply
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import Effect
from gateway.journal.records import AgentRow, LetterRow
from gateway.pipeline.asking.by_name import Moves
from gateway.pipeline.asking.endings import Ending, Endings
from gateway.pipeline.asking.outbox import Outbox
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.by_name.agent_letters import Topic
from gateway.pipeline.by_name.teams import Teams
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import PendingRequest
from gateway.pipeline.teams.outcome import Cause, TeamOutcome
from gateway.pipeline.teams.steps import ShowPiece
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)

A_TEAM = "the work of a team"
"""The kind of work, as mishaps are counted."""
GRACE_SECONDS = 5.0
"""After its team's time a request is over in any case."""
_APOLOGIES = {Cause.NOBODY: Apology.NOBODY, Cause.LATE: Apology.LATE}


class TeamAnswers:
    """Between the teams and everything else; ``run`` does what is due."""

    def __init__(
        self,
        teams: Teams,
        questions: Questions,
        endings: Endings,
        outbox: Outbox,
        journal: AnyJournal,
        *,
        mishaps: Mishaps,
    ) -> None:
        self._teams = teams
        self._questions = questions
        self._endings = endings
        self._outbox = outbox
        self._journal = journal
        self._mishaps = mishaps
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._now = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Do what is due until cancelled: time passes, and agents come and go."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._teams.wait()
                with self._mishaps.contained(A_TEAM):
                    after_all = self._teams.after_all(self._questions.conversing.may_still_tell)
                    for name, happens in (*self._teams.due(), *after_all):  # each beside the others
                        tasks.create_task(self._happens(name, happens), name=name)

    async def _happens(self, correlation_id: str, happens: Callable[[], Moves]) -> None:
        with self._mishaps.contained(A_TEAM, correlation_id=correlation_id):
            async with self._turn(correlation_id):
                moves = happens()
                await self._obey(correlation_id, moves)
            await self._show(correlation_id, moves)

    def _turn(self, correlation_id: str) -> asyncio.Lock:
        """What happens to one request is committed in the order in which it happened, however long it is looked at."""
        return self._turns.setdefault(correlation_id, asyncio.Lock())

    # -- what there is

    @property
    def named(self) -> bool:
        """Whether agents are asked by name."""
        return self._teams.named

    def leads(self, correlation_id: str) -> bool:
        """Whether a team was asked about it, however long ago that is remembered."""
        return self._teams.leads(correlation_id)

    def awaited(self, correlation_id: str, request_id: str) -> str:
        """The agent that was asked under that id and may still answer; empty: none."""
        return self._teams.awaited(correlation_id, request_id)

    def is_late_answer(self, reply: OrchestratorReply) -> bool:
        """Whether that, which was taken, is a good answer that came when nobody waited for it any more."""
        return self._teams.late_answer(reply) is not None

    def missed_answer(self, reply: OrchestratorReply) -> str:
        """All of it, where it is to a request that has no answer; empty: it is none."""
        return self._teams.missed_answer(reply)

    def could_not_ask(self, letter: LetterRow, reason: str, *, refused: bool) -> None:
        """Nobody has that message; ``refused``: nor will, it is a dead letter."""
        self._teams.could_not_ask(letter, reason, refused=refused)

    async def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Know nothing of these any more; who has waited for one of them is asked about now."""
        following = self._teams.forget(is_gone)
        self._teams.refresh(self._questions.conversing.before)
        for name in following:
            await self._begin_waiting(name)

    # -- a request begins

    def ask(self, correlation_id: str) -> Moves | None:
        """Put it to its team; what is to be committed with it, and then sent. None: it is for nobody."""
        moves = self._teams.begin(self._topic(correlation_id))
        self._postpone(correlation_id)
        return moves

    def _postpone(self, correlation_id: str) -> None:
        """The team's time is over first: it has what some have answered. Echoes have the same time."""
        deadline = self._teams.deadline(correlation_id)
        if deadline < math.inf:
            for name in (correlation_id, *self._teams.echoes(correlation_id)):
                self._questions.tracker.postpone(name, deadline + GRACE_SECONDS)

    def take_up(self, correlation_id: str, rows: Iterable[AgentRow], shown: str) -> None:
        """What a gateway before this one had asked agents, and is still awaited; ``shown``: a first answer."""
        known = list(rows)
        self._teams.take_up(self._topic(correlation_id), known)
        question = self._questions.get(correlation_id)
        if question is not None and shown:
            question.interim = (shown, known[0].agent if known else "")
        self._postpone(correlation_id)

    def _topic(self, correlation_id: str) -> Topic:
        question = self._questions.get(correlation_id)
        assert question is not None
        spoken, before = question.spoken, question.conversation
        seconds = question.message.audio.seconds
        began = spoken.complete_at - seconds if seconds else 0.0
        return Topic(question.request.name, question.message, before.turns, before.begun, began)

    def remember(self, name: UtteranceName, rows: Iterable[AgentRow], *, answered: bool) -> None:
        """What it had asked agents for a request that is over."""
        self._teams.remember(name, rows, answered=answered)

    # -- something happens

    async def take(self, reply: OrchestratorReply, *effects: Effect) -> str:
        """A reply of an agent that was asked, whose request may be over; what is kept of a piece.

        Raises NotAsked, and has done nothing then. One that tells nobody anything keeps no other waiting until it is
        on the disk: it is there before whatever is committed after it.
        """
        name = reply.correlation_id
        committed: asyncio.Future[bool] | None = None
        async with self._turn(name):
            moves = self._teams.take(reply, self._now())
            question = self._questions.get(name)
            if question is not None:
                self._questions.note_published(question)
                self._questions.wait(question)
            if moves.is_quiet and (changes := (*effects, *moves.effects)):
                committed = self._journal.commit(*changes)
            else:
                await self._obey(name, moves, *effects)
        await self._show(name, moves)
        if reply.progress:
            await self._endings.show_progress(name, reply.progress)
        if committed is not None:
            await self._settled(committed)
        return moves.kept

    async def expire(self, request: PendingRequest) -> None:
        """Its own deadline has come, while it waited for its turn or for its team."""
        name = request.correlation_id
        async with self._turn(name):
            await self.follow(name, self._teams.expire(name, self._now()))
            if self._questions.get(name) is not None:
                await self._endings.give_the_fallback(request)
                await self._begin_next(name)

    async def follow(self, correlation_id: str, moves: Moves, *effects: Effect) -> bool:
        """Commit, send, show; or end the request, where that is its outcome. Whether it is committed."""
        journaled = await self._obey(correlation_id, moves, *effects)
        await self._show(correlation_id, moves)
        return journaled

    async def _obey(self, correlation_id: str, moves: Moves, *effects: Effect) -> bool:
        request = self._questions.tracker.request(correlation_id)
        if moves.outcome is not None and request is not None:
            journaled = await self._end(request, moves.outcome, *effects, *moves.effects)
        else:
            journaled = await self._commit(*effects, *moves.effects)
        self.send(moves.letters, journaled=journaled)
        if moves.outcome is not None:
            await self._begin_next(correlation_id)
        return journaled

    def send(self, letters: Iterable[LetterRow], *, journaled: bool) -> None:
        """To the outbox, once they are committed."""
        for letter in letters:
            self._outbox.put(letter, journaled=journaled)

    async def _show(self, correlation_id: str, moves: Moves) -> None:
        """What is still open, however long it is looked at: nothing waits for that."""
        request = self._questions.tracker.request(correlation_id)
        if request is None or moves.outcome is not None:
            return
        for shown in moves.shown:
            if isinstance(shown, ShowPiece):
                self._endings.show_piece(request, shown.text, shown.agent)
            else:
                await self._endings.show_interim(request, shown.text, shown.agent)

    # -- a request ends

    async def _end(self, request: PendingRequest, outcome: TeamOutcome, *effects: Effect) -> bool:
        """Whether it is committed."""
        tracker, name = self._questions.tracker, request.correlation_id
        question = self._questions.get(name)
        if question is not None and outcome.falls_short:
            question.interim = None
        apology = _APOLOGIES.get(outcome.cause) if outcome.cause is not None else None
        if apology is not None and tracker.give_up(name, self._now()):
            return await self._endings.give_the_fallback(
                request, *effects, cause=apology, missing=outcome.missing
            )
        finished = tracker.finish(name, outcome.text, outcome.error, self._now())
        if finished is None:
            return await self._commit(*effects)  # it was ended by another hand
        ending = Ending(
            finished.whole if outcome.text else "",
            outcome.agent,
            outcome.error,
            agents=outcome.agents,
            missing=outcome.missing,
            confidence=outcome.confidence,
            data=outcome.data,
            puzzled=outcome.cause is Cause.PUZZLED,
            cached=outcome.cached,
            echo_of=outcome.echo_of,
        )
        return await self._endings.end(request, ending, *effects)

    async def _begin_next(self, correlation_id: str) -> None:
        """The next turn of the conversation is asked now, with what was answered before it."""
        following = self._teams.end(correlation_id)
        if following:
            await self._begin_waiting(following)
        for name in self._teams.echoes(correlation_id):
            outcome = self._teams.shared(correlation_id)
            if outcome is not None:
                await self.follow(name, Moves(outcome=outcome))
            elif self._teams.is_due(name):
                await self._begin_waiting(name)

    async def _begin_waiting(self, correlation_id: str) -> None:
        moves = self._teams.begin_waiting(correlation_id, self._questions.conversing.before)
        self._postpone(correlation_id)
        await self.follow(correlation_id, moves)

    async def _commit(self, *effects: Effect) -> bool:
        return await self._settled(self._journal.commit(*effects)) if effects else True

    async def _settled(self, committed: asyncio.Future[bool]) -> bool:
        try:
            await committed
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once
            return False
        return self._journal.keeps
