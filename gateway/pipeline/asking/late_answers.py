"""Answers that came when nobody waited for them any more: shown as late, and perhaps told after all.

They are told in the place of an apology, as long as the conversation is open and nothing was said in it since.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import replace

import structlog

from gateway.contract.messages import OrchestratorReply
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import Effect
from gateway.journal.records import RequestRow, RequestState
from gateway.pipeline.asking.endings import Ending, Endings
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.sessions.names import NO_BOOT, NO_STREAM, StreamName
from gateway.pipeline.sessions.requests import AnswerState, Late, PendingRequest
from gateway.pipeline.telling.announcements import Announcements, CannotAnnounce
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.due_answers import DueAnswers
from gateway.settings.orchestrator import OrchestratorSettings
from gateway.settings.sessions import SessionSettings

log = structlog.get_logger(__name__)

LEAST_SECONDS = 10.0
"""A device that is away just now gets a late answer if it is back by then, however short conversations are."""


class LateAnswers:
    """Takes them; each request has one at most."""

    def __init__(
        self,
        questions: Questions,
        endings: Endings,
        due: DueAnswers,
        announcements: Announcements,
        *,
        announcer: Announcer,
        journal: AnyJournal,
        settings: OrchestratorSettings,
        sessions: SessionSettings,
    ) -> None:
        self._conversing = questions.conversing
        self._endings = endings
        self._due = due
        self._announcements = announcements
        self._announce = announcer
        self._journal = journal
        self._most = settings.max_pending
        self._keep_seconds = max(LEAST_SECONDS, sessions.hints_seconds)
        self._told: OrderedDict[str, None] = OrderedDict()
        self._now = asyncio.get_running_loop().time

    async def take(self, late: Late, reply: OrchestratorReply, missed: str, *effects: Effect) -> None:
        """``missed``: the whole answer, where its request has none; ``effects`` are committed with it.

        A piece of what has its whole answer already is shown with its own end only.
        """
        is_piece = not reply.final and reply.error is None
        if is_piece and (late.state is AnswerState.DONE or self._endings.holds_pieces):
            return
        request = late.request
        agents = (reply.agent,) if reply.request_id else ()
        ending = Ending(
            missed or late.text,
            reply.agent,
            reply.error,
            agents=agents,
            confidence=reply.confidence,
            data=reply.data,
        )
        ending = await self._endings.looked_at(request, ending)
        if missed and ending.text and ending.error is None and self._may_tell(request):
            await self._tell(request, ending, *effects)
            return
        if not is_piece:
            await self._commit(*effects)
        self._show(request, ending, final=reply.final)

    def is_answered(self, correlation_id: str) -> bool:
        """Whether it has such an answer."""
        return correlation_id in self._told

    def _may_tell(self, request: PendingRequest) -> bool:
        name = request.name
        return not self.is_answered(name.correlation_id) and self._conversing.may_still_tell(name)

    async def _tell(self, request: PendingRequest, ending: Ending, *effects: Effect) -> None:
        """Durable first, then the listeners', then the device's, where one spoke."""
        self._told[request.correlation_id] = None
        if len(self._told) > self._most:
            self._told.popitem(last=False)
        effects = (*effects, *self._endings.learnt_late(request, ending))
        waits = request.name.boot != NO_BOOT and await self._keep(request, ending, *effects)
        if not waits:
            await self._commit(*effects)
        self._show(request, ending)
        if waits:
            log.info("told after all", correlation_id=request.correlation_id, agent=ending.agent)
            self._announcements.tell(request.name.device_id)

    async def _keep(self, request: PendingRequest, ending: Ending, *effects: Effect) -> bool:
        """For its device, in the place of what that was told; whether there is room."""
        row = self._row(request, ending.text)
        try:
            await self._announcements.keep(row, ending.agent, *effects)
        except CannotAnnounce as error:
            log.warning("late answer not told", correlation_id=request.correlation_id, reason=str(error))
            return False
        self._due.drop(request.correlation_id)
        return True

    def _row(self, request: PendingRequest, text: str) -> RequestRow:
        """The request itself, which is for any boot now."""
        now, since = time.time(), self._endings.since(request) / 1000
        name = replace(request.name, stream=StreamName(request.name.device_id, NO_BOOT, NO_STREAM))
        return RequestRow(
            **name.row_ids(),
            conversation_id=name.conversation_id,
            asked_at=now - since,
            deadline=now + self._keep_seconds,
            message=b"",
            state=RequestState.DONE,
            text=text,
            due=True,
            age=since,
        )

    def _show(self, request: PendingRequest, ending: Ending, *, final: bool = True) -> None:
        self._announce.reply(
            request.name,
            ending.text,
            agent=ending.agent,
            elapsed_ms=self._endings.since(request),
            final=final,
            error=ending.error,
            late=True,
            flags=ending.flags,
            agents=ending.agents,
            confidence=ending.confidence,
            data=ending.data,
        )

    async def _commit(self, *effects: Effect) -> None:
        try:
            await self._journal.commit(*effects)
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once
