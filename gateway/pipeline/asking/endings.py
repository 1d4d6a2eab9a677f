"""How a request ends: committed first, then shown to the listeners, then told to the device that spoke."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog

from gateway.contract.messages import Data
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import Answered, Effect, InterimCame, RequestEnded
from gateway.journal.records import HistoryReply, RequestState, redacted_reply
from gateway.pipeline.asking.pieces import Pieces, acknowledge
from gateway.pipeline.asking.questions import Question, Questions
from gateway.pipeline.content.port import KEPT_BACK, ContentFilter, Way
from gateway.pipeline.sessions.names import NO_BOOT
from gateway.pipeline.sessions.requests import PendingRequest
from gateway.pipeline.sessions.session import TurnEvent
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.due_answers import DueAnswer, DueAnswers
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.pipeline.telling.witnesses import First, Grown
from gateway.process.mishaps import Mishaps
from gateway.settings.history import HistorySettings
from gateway.settings.privacy import PrivacySettings

log = structlog.get_logger(__name__)

AN_ANSWER = "the end of a request"
"""The kind of work, as mishaps are counted."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended. ``text``: what the listeners are shown; where it is empty, a device is told the fallback.

    ``agents``: who has a part in it, ``missing``: who was asked and has none. ``puzzled``: they did not understand.
    ``seen``: everybody has it already, so nobody asks whether they may. ``cached``: so it was answered
    before, to the same. ``echo_of``: this is the answer to that request, which was the same voice.
    """

    text: str
    agent: str
    error: str | None = None
    fallback: bool = False
    flags: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    confidence: float = 0.0
    data: Data | None = None
    puzzled: bool = False
    seen: bool = False
    cached: bool = False
    echo_of: str = ""

    @property
    def partial(self) -> bool:
        """Whether somebody's answer is not in it that should be."""
        return bool(self.agents and self.missing)

    @property
    def apology(self) -> Apology:
        """Why there is no answer."""
        if self.error == KEPT_BACK:
            return Apology.FILTERED
        return Apology.PUZZLED if self.puzzled else Apology.FAILED

    @property
    def turn_event(self) -> TurnEvent:
        """What it is to the turn."""
        if self.fallback:
            return TurnEvent.DEADLINE
        return TurnEvent.FAIL if self.error else TurnEvent.FINAL


class Endings:
    """Where every request comes to its one end, and what of its answer is shown before."""

    def __init__(
        self,
        questions: Questions,
        due: DueAnswers,
        pieces: Pieces,
        announcer: Announcer,
        journal: AnyJournal,
        *,
        history: HistorySettings,
        privacy: PrivacySettings,
        content: ContentFilter,
        mishaps: Mishaps,
    ) -> None:
        self._questions = questions
        self._due = due
        self._pieces = pieces
        self._announce = announcer
        self._journal = journal
        self._remembers = history.enabled
        self._redact = privacy.redact
        self._content = content
        self._mishaps = mishaps
        self._now = asyncio.get_running_loop().time

    @property
    def holds_pieces(self) -> bool:
        """Whether an answer is shown only when all of it is there: what is in it, its pieces do not say."""
        return self._content.holds(Way.REPLY)

    async def looked_at(self, request: PendingRequest, ending: Ending) -> Ending:
        """As everybody gets it, once the word in between is spoken: about the answer, and about why there is none."""
        if ending.fallback or ending.seen:
            return ending
        text = await self._content.look(Way.REPLY, ending.text, request.name)
        error = await self._content.look(Way.REPLY, ending.error or "", request.name)
        data = await self._content.look_into(Way.REPLY, ending.data or {}, request.name)
        flags = tuple(dict.fromkeys((*text.flags, *error.flags, *data.flags)))
        if text.dropped or error.dropped or data.dropped:
            return replace(ending, text="", error=KEPT_BACK, flags=flags, data=None)
        return replace(
            ending, text=text.text, error=error.text or ending.error, flags=flags, data=data.data or None
        )

    def show_piece(self, request: PendingRequest, text: str, agent: str) -> None:
        """A piece of an answer: the listeners' at once, for its end says it again."""
        question = self._questions.get(request.correlation_id)
        if question is not None:  # an answer proves that the broker had it
            self._questions.note_published(question)
        if not self.holds_pieces:
            self._announce.reply(request.name, text, agent=agent, elapsed_ms=self.since(request), final=False)
        if question is not None:
            self._questions.wait(question)
            if not self.holds_pieces:
                self._announce.live.piece(request.name, text)
                self._announce.witnesses.grown(request.correlation_id, Grown(text))
            question.spoken.advance(TurnEvent.PIECE)

    async def show_interim(self, request: PendingRequest, text: str, agent: str) -> None:
        """A whole first answer, in place of what was shown: it is the answer, should no better one come."""
        looked_at = await self.looked_at(request, Ending(text, agent))
        text, question = looked_at.text, self._questions.get(request.correlation_id)
        if question is None or looked_at.error is not None:
            return
        question.interim = (text, agent)
        self._questions.note_published(question)
        self._journal.commit(InterimCame(request.correlation_id, text))
        self._announce.reply(
            request.name,
            text,
            agent=agent,
            elapsed_ms=self.since(request),
            final=False,
            interim=True,
            flags=looked_at.flags,
        )
        self._announce.live.interim(request.name, text)
        self._announce.witnesses.grown(request.correlation_id, First(text))
        self._questions.wait(question)
        question.spoken.advance(TurnEvent.PIECE)

    async def show_progress(self, correlation_id: str, progress: str) -> None:
        """An agent is at work on it, and says at what."""
        question = self._questions.get(correlation_id)
        if question is None:
            return
        self._questions.note_published(question)
        self._questions.wait(question)
        ruling = await self._content.look(Way.REPLY, progress, question.request.name)
        if self._questions.get(correlation_id) is question:
            self._announce.progress(question.spoken.session, correlation_id, ruling.text)

    async def give_the_fallback(
        self,
        request: PendingRequest,
        *effects: Effect,
        cause: Apology = Apology.LATE,
        missing: tuple[str, ...] = (),
    ) -> bool:
        """Nobody has answered it, or will; whether that is committed."""
        text = self._apology(cause, request, self._questions.get(request.correlation_id))
        return await self.end(request, Ending(text, "gateway", fallback=True, missing=missing), *effects)

    async def end(self, request: PendingRequest, ending: Ending, *effects: Effect) -> bool:
        """The end of a request, which comes once: whatever goes wrong, its device hears of one.

        Returns whether it is committed.
        """
        question = self._questions.take(request.correlation_id)
        pieces = self._pieces.take(request.correlation_id)
        if question is not None and question.interim is not None and (ending.fallback or ending.error):
            text, agent = question.interim
            ending = Ending(text, agent, agents=(agent,), missing=ending.missing, seen=True)
        committed = False
        try:
            committed = await self._conclude(request, question, ending, *effects)
        except Exception as mishap:  # noqa: BLE001 - the boundary: between this request and the others
            self._fail(request, question, mishap, *effects)
        await acknowledge(pieces)
        return committed

    def _fail(
        self, request: PendingRequest, question: Question | None, mishap: Exception, *effects: Effect
    ) -> None:
        """The gateway stumbled over the end of a request."""
        correlation_id, reason = request.correlation_id, f"the gateway failed on it ({type(mishap).__name__})"
        self._mishaps.note(AN_ANSWER, mishap, correlation_id=correlation_id)
        answered = self._due.is_sent(correlation_id)
        if not answered:
            self._due.drop(correlation_id)
            with self._mishaps.contained(AN_ANSWER, correlation_id=correlation_id):
                ended = RequestEnded(correlation_id, RequestState.CANCELLED, error=reason)
                self._journal.commit(*effects, ended, *self._questions.settled(correlation_id))
        if question is not None and not answered:
            with self._mishaps.contained(AN_ANSWER, correlation_id=correlation_id):
                language = question.message.language
                self._announce.failure(question.spoken.session, correlation_id, Apology.FAILED, language)
        if question is not None:
            with self._mishaps.contained(AN_ANSWER, correlation_id=correlation_id):
                self._questions.end_turn(question.spoken, question.message, TurnEvent.FAIL, reason)

    async def _conclude(
        self, request: PendingRequest, question: Question | None, ending: Ending, *effects: Effect
    ) -> bool:
        ending = await self.looked_at(request, ending)
        whole = ending.text
        if not whole and ending.error is not None:
            whole = self._apology(ending.apology, request, question)
        ended = RequestEnded(
            request.correlation_id,
            RequestState.EXPIRED if ending.fallback else RequestState.DONE,
            text=whole,
            error=ending.error,
            fallback=ending.fallback,
            due=question is not None and request.name.boot != NO_BOOT,
        )
        settled = self._questions.settled(request.correlation_id)
        kept = (*self._said_to(request, ending), *self._remembered(request, question, whole, ending))
        committed = await self._commit(*effects, ended, *settled, *kept)
        self._announce.reply(
            request.name,
            ending.text,
            agent=ending.agent,
            elapsed_ms=self.since(request),
            publish_ms=question.publish_ms if question is not None else 0.0,
            error=ending.error,
            fallback=ending.fallback,
            flags=ending.flags,
            agents=ending.agents,
            partial=ending.partial,
            missing=ending.missing,
            confidence=ending.confidence,
            data=ending.data,
            cached=ending.cached,
            echo_of=ending.echo_of,
            puzzled=ending.puzzled,
            apology="" if ending.text else whole,
        )
        if question is not None:
            self._hand_over(question, whole, ending)
        return committed

    def _hand_over(self, question: Question, whole: str, ending: Ending) -> None:
        """To the device that spoke; with that, the turn is over."""
        self._questions.wait(question)
        self._due.deliver(
            DueAnswer(
                question.request.name,
                question.message,
                whole,
                ending.error,
                ending.fallback,
                asked_at=question.request.published_at,
                ended_at=question.spoken.ended_at,
                told=question.told,
            )
        )
        self._questions.end_turn(question.spoken, question.message, ending.turn_event, ending.error)

    def _said_to(self, request: PendingRequest, ending: Ending) -> tuple[Effect, ...]:
        """What the conversation learns of it: what somebody answered, and no apology."""
        if ending.fallback or ending.error is not None:
            return ()
        return self._questions.conversing.answered(request.correlation_id, ending.text, ending.agent)

    def _remembered(
        self, request: PendingRequest, question: Question | None, text: str, ending: Ending
    ) -> tuple[Effect, ...]:
        """What the history learns of an answer."""
        if not self._remembers:
            return ()
        reply = HistoryReply(
            text=text,
            agent=ending.agent,
            error=ending.error,
            fallback=ending.fallback,
            text_to_reply_ms=self.since(request),
            agents=ending.agents,
            missing=ending.missing,
            flags=ending.flags,
            cached=ending.cached,
        )
        kept = redacted_reply(reply) if self._redact else reply
        return (*self._questions.published_in(question), Answered(request.correlation_id, kept))

    def learnt_late(self, request: PendingRequest, ending: Ending) -> tuple[Effect, ...]:
        """What the conversation and the history learn of an answer in the place of the fallback."""
        return (*self._said_to(request, ending), *self._remembered(request, None, ending.text, ending))

    async def _commit(self, *effects: Effect) -> bool:
        try:
            await self._journal.commit(*effects)
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once
            return False
        return self._journal.keeps

    def _apology(self, cause: Apology, request: PendingRequest, question: Question | None) -> str:
        """What its device is told without an answer."""
        language = question.message.language if question is not None else ""
        return self._announce.texts.text(cause, language, request.name.device_id)

    def since(self, request: PendingRequest) -> float:
        """How long ago it was asked, in milliseconds."""
        return 1000 * (self._now() - request.published_at)
