"""What orchestrators say: each reply to its question, each question to its one end, and that to who waits for it.

The end is committed first; then the listeners are shown it, and the device that spoke is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from gateway.broker.base import Delivery, Subscription
from gateway.contract.messages import BadMessage, OrchestratorReply, WantedHints, decode_reply
from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import refused
from gateway.journal.effects import Effect, PieceCame, Received
from gateway.pipeline.asking.by_name import ByName, NotAsked
from gateway.pipeline.asking.endings import Ending, Endings
from gateway.pipeline.asking.late_answers import LateAnswers
from gateway.pipeline.asking.pieces import Piece, Pieces, acknowledge
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.asking.rows import received_row
from gateway.pipeline.asking.somebody import Somebody
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import (
    AnswerState,
    Awaited,
    Forged,
    Interim,
    Late,
    PendingRequest,
    Routed,
)
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.due_answers import DueAnswers
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.lanes import Lanes
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)

REPLIES_AT_ONCE = 256
"""Replies that are being taken, or wait for one before them to the same request."""
ERASED = "what was said is erased"
"""Why a turn has no answer whose words somebody erased."""
A_REPLY = "a reply"
"""The kind of work, as mishaps are counted."""


@dataclass(frozen=True, slots=True)
class HintsAsked:
    """What is still to come of a session's conversation is to be heard like this."""

    session_id: str
    hints: WantedHints


class Answers:
    """The replies, on their way to whoever waits for them; ``run`` takes them."""

    def __init__(
        self,
        questions: Questions,
        due: DueAnswers,
        announcer: Announcer,
        journal: AnyJournal,
        *,
        endings: Endings,
        by_name: ByName,
        pieces: Pieces,
        somebody: Somebody,
        late: LateAnswers,
        tell: Callable[[HintsAsked], None],
        mishaps: Mishaps,
    ) -> None:
        """``pieces``: those that the journal does not have yet."""
        self._announce = announcer
        self._journal = journal
        self._questions = questions
        self._tracker = questions.tracker
        self._due = due
        self._endings = endings
        self._by_name = by_name
        self._tell = tell
        self._mishaps = mishaps
        self._now = asyncio.get_running_loop().time
        self._pieces = pieces
        self._somebody = somebody
        self._late = late

    async def run(self, replies: Subscription) -> None:
        """Take replies until cancelled: those of one agent to one request in their order, the others beside them."""
        async with Lanes(REPLIES_AT_ONCE) as lanes:
            async for delivery in replies:
                reply = _read(delivery)
                await lanes.put(self._lane(reply), partial(self._take_in, delivery, reply))

    def _lane(self, reply: OrchestratorReply | BadMessage) -> str:
        if isinstance(reply, BadMessage):
            return ""
        if self._by_name.leads(reply.correlation_id):
            return f"{reply.correlation_id}/{reply.request_id}"
        return reply.correlation_id

    async def keep_pieces(self) -> None:
        """Write the pieces of answers until cancelled."""
        await self._pieces.run()

    # -- a reply comes

    async def _take_in(self, delivery: Delivery, reply: OrchestratorReply | BadMessage) -> None:
        with structlog.contextvars.bound_contextvars(**self._in_log(delivery, reply)):
            try:
                if isinstance(reply, BadMessage):
                    await self._refuse(delivery, str(reply))
                else:
                    await self._answer(delivery, reply)
            except Exception as error:  # noqa: BLE001 - the boundary: one reply must not stop the others
                await self._give_up(delivery, error)

    def _in_log(self, delivery: Delivery, reply: OrchestratorReply | BadMessage) -> dict[str, str]:
        """What it answers, by our own record of it; a reply may claim anything."""
        if isinstance(reply, BadMessage):
            return {"message_id": delivery.message.message_id}
        request = self._tracker.request(reply.correlation_id)
        known = {"correlation_id": reply.correlation_id} if request is None else request.name.in_log()
        return {**known, "agent": reply.agent}

    async def _answer(self, delivery: Delivery, reply: OrchestratorReply) -> None:
        received = _received(reply, delivery)
        if not self._tracker.knows_all_of(reply.correlation_id) and await self._was_received(received):
            await delivery.ack()
            return
        await self._pieces.room()
        if self._by_name.leads(reply.correlation_id):
            await self._answer_in_team(delivery, reply, received)
            return
        outcome = self._tracker.route(reply, self._now())
        if isinstance(outcome, Routed | Interim | Late):
            self._somebody.answered(reply.agent)
            self._take_hints(reply)
        match outcome:
            case Routed(request, text="", final=False) if reply.progress:
                await self._endings.show_progress(request.correlation_id, reply.progress)
            case Routed(request, final=False):
                self._endings.show_piece(request, outcome.text, reply.agent)
                came = PieceCame(request.correlation_id, outcome.text, received.source, received.message_id)
                self._pieces.keep(Piece(delivery, came))  # which acknowledges it, once it is safe
                return
            case Interim(request, text):
                await self._endings.show_interim(request, text, reply.agent)
                await self._commit(received)
            case Routed(request):
                await self._take_whole(request, outcome, reply, received)
            case Late():
                await self._late.take(outcome, reply, _missed(outcome, reply), received)
            case Forged():
                await self._refuse_forged(delivery, reply)
                return
            case _:  # unknown, or it came before: the tracker has counted it
                pass
        await delivery.ack()

    async def _answer_in_team(self, delivery: Delivery, reply: OrchestratorReply, received: Received) -> None:
        """Where agents are asked by name, an answer counts that is to such a request."""
        admission = self._tracker.admit(reply, self._now())
        if isinstance(admission, Forged):
            await self._refuse_forged(delivery, reply)
            return
        if not isinstance(admission, Awaited | Late):
            await delivery.ack()
            return
        try:
            await self._take_in_team(delivery, reply, received, admission)
        except NotAsked as error:
            self._tracker.counters.unasked += 1
            log.warning(
                "reply of nobody who was asked refused",
                agent=reply.agent,
                correlation_id=reply.correlation_id,
            )
            await self._refuse(delivery, str(error))

    async def _take_in_team(
        self, delivery: Delivery, reply: OrchestratorReply, received: Received, admission: Awaited | Late
    ) -> None:
        """Raises NotAsked."""
        is_piece = not reply.final and reply.error is None and not reply.interim and bool(reply.text)
        if is_piece and isinstance(admission, Awaited):
            kept = await self._by_name.take(reply)
            came = PieceCame(
                reply.correlation_id, kept, received.source, received.message_id, reply.request_id
            )
            self._pieces.keep(Piece(delivery, came))
        elif isinstance(admission, Awaited):
            await self._by_name.take(reply, received)
            await delivery.ack()
        else:
            await self._take_late_in_team(delivery, reply, received, admission)
        self._somebody.answered(reply.agent)
        self._take_hints(reply)

    async def _take_late_in_team(
        self, delivery: Delivery, reply: OrchestratorReply, received: Received, late: Late
    ) -> None:
        """Raises NotAsked. What the reply changes is known as soon as it is: it may come again."""
        await self._by_name.take(reply)
        if self._by_name.is_late_answer(reply):
            await self._late.take(late, reply, self._by_name.missed_answer(reply), received)
        else:
            await self._commit(received)
        await delivery.ack()

    def _take_hints(self, reply: OrchestratorReply) -> None:
        if reply.hints is not None:
            with self._mishaps.contained("hints of a reply", correlation_id=reply.correlation_id):
                self._tell(HintsAsked(reply.session_id, reply.hints))

    async def _refuse_forged(self, delivery: Delivery, reply: OrchestratorReply) -> None:
        log.warning("reply of a foreign session refused", correlation_id=reply.correlation_id)
        await self._refuse(delivery, "the session is not the request's")

    async def _commit(self, *effects: Effect) -> None:
        with suppress(JournalError):  # the journal's state is told once
            await self._journal.commit(*effects)

    async def _was_received(self, received: Received) -> bool:
        """Whether a gateway before this one had it, and perhaps was gone before the broker knew."""
        try:
            return await self._journal.knows(received.source, received.message_id)
        except JournalError:
            return False

    async def _refuse(self, delivery: Delivery, reason: str) -> None:
        self._journal.commit(refused(received_row(delivery.message), reason))
        await delivery.reject(reason)

    async def _give_up(self, delivery: Delivery, error: Exception) -> None:
        """A reply over which the gateway stumbled is a dead letter; it does not come again."""
        self._mishaps.note(A_REPLY, error)
        with self._mishaps.contained(A_REPLY):
            await self._refuse(delivery, f"the gateway failed on it ({type(error).__name__})")

    async def _take_whole(
        self, request: PendingRequest, outcome: Routed, reply: OrchestratorReply, received: Received
    ) -> None:
        """The end of an answer: durable first, then the device's and the listeners'."""
        question = self._questions.get(request.correlation_id)
        if question is not None:
            self._questions.note_published(question)
        ending = Ending(
            outcome.whole,
            reply.agent,
            outcome.error,
            confidence=reply.confidence,
            data=reply.data,
            puzzled=not reply.understood,
        )
        await self._endings.end(request, ending, received)

    # -- a request ends

    async def expire(self, now: float) -> None:
        """Whoever waited for too long gets the fallback."""
        over = [
            one for one in self._tracker.expire(now) if self._questions.get(one.correlation_id) is not None
        ]
        await asyncio.gather(*map(self._expire, over))  # the others' devices know

    async def _expire(self, request: PendingRequest) -> None:
        if self._by_name.leads(request.correlation_id):
            await self._by_name.expire(request)
        else:
            await self._endings.give_the_fallback(request)

    async def erase(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Neither ask nor answer these any more, whatever comes; a device that waits is told the fallback."""
        for name in self.waiting(is_gone):
            self._due.drop(name)
            question = self._questions.get(name)
            if question is None:
                self._questions.withdraw(name)
            else:
                self._questions.fail(question.spoken, question.message, ERASED, Apology.LATE)
            await acknowledge(self._pieces.take(name))
        self._questions.forget(is_gone)
        self._tracker.forget(is_gone)
        await self._by_name.forget(is_gone)

    def waiting(self, is_gone: Callable[[UtteranceName], bool]) -> set[str]:
        """The correlation ids of those that wait for an answer, or for their device."""
        return self._questions.waiting(is_gone) | self._due.waiting(is_gone)


def _read(delivery: Delivery) -> OrchestratorReply | BadMessage:
    try:
        return decode_reply(delivery.message.payload)
    except BadMessage as error:
        return error


def _missed(late: Late, reply: OrchestratorReply) -> str:
    """What was answered, where it is the answer that the request has missed."""
    is_good = reply.final and reply.error is None and reply.understood and not reply.interim
    return late.text if is_good and late.state is AnswerState.EXPIRED else ""


def _received(reply: OrchestratorReply, delivery: Delivery) -> Received:
    """What a reply is known by; an agent may number the replies to each transcript from one."""
    message_id = reply.message_id or delivery.message.message_id
    return Received(reply.agent, f"{reply.correlation_id}/{message_id}")
