"""One orchestrator at work on one broker: what it is asked, in which order, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import partial

import structlog

from gateway.broker.base import BrokerClosed, BrokerError, Delivery, MessageBroker, Subscription
from gateway.contract.agents import REQUESTS_TOPIC, Wanted
from gateway.contract.messages import RESULTS_TOPIC, BadMessage
from gateway.orchestrators.announcing import announcement
from gateway.orchestrators.answer import AnswerFunction, ComesLater, Compensation, Reply
from gateway.orchestrators.answering import Answering, Call, NotWanted, failure
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.inquiry import Inquiry, read_request, read_transcript
from gateway.orchestrators.other_agents import OtherAgents
from gateway.orchestrators.outdating import outdated
from gateway.orchestrators.past_replies import PastReplies
from gateway.orchestrators.post import Letter, Post
from gateway.orchestrators.presence import Figures, Heartbeat
from gateway.orchestrators.replies import Replies
from gateway.orchestrators.speaking import Speaking
from gateway.process.foreign_code import is_our_end
from gateway.process.lanes import Lanes
from gateway.process.stopwatch import OnStep
from transcription.priority import priority_of

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
"""A transcript whose reply the broker refuses is answered so often."""
CANNOT_UNDO = "cannot be undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What an orchestrator is, when it begins to work."""

    name: str
    version: str
    description: str
    by_name: bool
    concurrency: int
    timeout_seconds: float
    retry_seconds: float
    choose: Callable[[Heard], AnswerFunction | None]
    """Which function answers; None: it is not for this orchestrator."""
    undo: Compensation | None
    turn: Callable[[Delivery, Heard], AbstractAsyncContextManager[bool]]
    stepped: OnStep
    ending_seconds: float


class Shift:
    """``run`` once."""

    def __init__(self, broker: MessageBroker, duty: Duty) -> None:
        self.figures = Figures()
        self._broker = broker
        self._duty = duty
        self._post = Post(broker, duty.retry_seconds)
        self._others = OtherAgents(broker, self._post, duty.name)
        self._done = PastReplies()
        self._answering = Answering(duty.stepped, duty.ending_seconds)
        self._places = asyncio.Semaphore(duty.concurrency)
        self._taking = asyncio.timeout(None)
        self._presence = Heartbeat(
            broker,
            duty.name,
            self.figures,
            concurrency=duty.concurrency,
            version=duty.version,
            description=duty.description,
        )

    async def run(self) -> None:
        """Until the broker is closed, ``leave`` is called and all work is done, or this is cancelled."""
        name = self._duty.name
        async with (
            self._broker.subscribe(RESULTS_TOPIC, group=name) as results,
            self._requests() as requests,
            asyncio.TaskGroup() as tasks,
        ):
            log.info("orchestrator listening", name=name)
            answers = tasks.create_task(self._others.listen(), name="answers")
            try:
                await self._take_all(results, requests, tasks)
            finally:
                answers.cancel()
                log.info("orchestrator left", name=name, **asdict(self.figures))

    def _requests(self) -> AbstractAsyncContextManager[Subscription | None]:
        if not self._duty.by_name:
            return nullcontext()
        name = self._duty.name
        return self._broker.subscribe(REQUESTS_TOPIC, f"user.{name}", group=name)

    async def _take_all(
        self, results: Subscription, requests: Subscription | None, tasks: asyncio.TaskGroup
    ) -> None:
        at_once = self._duty.concurrency
        async with Lanes(at_once) as transcripts, Lanes(at_once, waiting=at_once) as asked:
            beside = []
            if requests is not None:
                beside = [
                    tasks.create_task(self._presence.tell(), name="presence"),
                    tasks.create_task(self._read_requests(requests, asked), name="requests"),
                ]
            try:
                with suppress(TimeoutError):
                    async with self._taking:
                        await self._read_results(results, transcripts)
            finally:
                for task in beside:
                    task.cancel()
                if beside:
                    await self._presence.leave()

    def leave(self) -> None:
        """Take nothing more; what was taken is worked on to its end."""
        with suppress(RuntimeError):  # it has not begun, or has ended
            self._taking.reschedule(asyncio.get_running_loop().time())

    async def announce(self, text: str, device_id: str, keep_seconds: float) -> None:
        """Returns when the broker has it. Raises ValueError and BrokerError."""
        await self._post.send(announcement(self._duty.name, device_id, text, keep_seconds))

    async def outdate(self, text: str) -> None:
        """Returns when the broker has it. Raises ValueError and BrokerError."""
        await self._post.send(outdated(self._duty.name, text))

    # -- what comes

    async def _read_results(self, results: Subscription, lanes: Lanes) -> None:
        async for inquiry in self._inquiries(results, read_transcript):
            if inquiry.heard.addressed:  # those who are to answer are asked by name
                await _settled(inquiry.delivery)
            else:
                await lanes.put(
                    inquiry.lane, partial(self._take, inquiry), priority_of(inquiry.heard.priority)
                )

    async def _read_requests(self, requests: Subscription, lanes: Lanes) -> None:
        async for inquiry in self._inquiries(requests, partial(read_request, agent=self._duty.name)):
            if inquiry.kind is Wanted.STOP:
                self._stop(inquiry)
                await _settled(inquiry.delivery)
            else:
                await lanes.put(
                    inquiry.lane, partial(self._take, inquiry), priority_of(inquiry.heard.priority)
                )

    async def _inquiries(
        self, deliveries: Subscription, read: Callable[[Delivery], Inquiry]
    ) -> AsyncIterator[Inquiry]:
        async for delivery in deliveries:
            try:
                inquiry = read(delivery)
            except BadMessage as error:
                with suppress(BrokerError):
                    await delivery.reject(str(error))
            else:
                yield inquiry

    def _stop(self, inquiry: Inquiry) -> None:
        request_id = inquiry.heard.request_id
        self._done.stop(request_id, inquiry.heard.attempt)
        if self._answering.stop(request_id):
            log.info("stopped: the answer is not needed any more", request_id=request_id)

    # -- what becomes of it

    async def _take(self, inquiry: Inquiry) -> None:
        heard = inquiry.heard
        names = {
            "correlation_id": heard.correlation_id,
            "utterance_id": heard.utterance_id,
            "session_id": heard.session_id,
            "device_id": heard.device_id,
            "agent": self._duty.name,
        }
        if heard.traceparent:
            names["traceparent"] = heard.traceparent
        with structlog.contextvars.bound_contextvars(**names):
            try:
                await self._work(inquiry)
            except Exception as error:  # the boundary: one transcript must not stop the others
                log.exception("a transcript could not be answered")
                with suppress(BrokerError):
                    await inquiry.delivery.reject(
                        f"{self._duty.name} stumbled over it ({type(error).__name__})"
                    )

    async def _work(self, inquiry: Inquiry) -> None:
        try:
            async with self._places:
                await self._answer(inquiry)
            await inquiry.delivery.ack()
        except BrokerError as error:
            await _try_later(inquiry.delivery, error, self._duty.retry_seconds)

    async def _answer(self, inquiry: Inquiry) -> None:
        replies = Replies(inquiry, self._duty.name)
        known = self._done.reply_to(inquiry)
        if known is not None:
            self.figures.repeated += 1
            await self._post.send(known)
        elif self._done.is_stopped(inquiry):
            self.figures.stopped += 1
        elif inquiry.is_stale:
            self.figures.stale += 1
            log.info("too late: nobody waits for it any more", request_id=inquiry.heard.request_id)
        else:
            await self._answer_new(inquiry, replies)

    async def _answer_new(self, inquiry: Inquiry, replies: Replies) -> None:
        turn = Speaking(replies, self._post, self._others, self._due(inquiry))
        heard = inquiry.heard.with_tools(turn)
        call = self._call(inquiry, heard)
        if call is None:
            if inquiry.is_named:
                await self._post.send(self._declined(inquiry, replies))
            return
        async with self._duty.turn(inquiry.delivery, heard) as may:
            if may:
                reply = await self._worked_out(inquiry, replies, call, turn)
            else:
                reply = replies.failure(f"{self._duty.name} gave it up")
            if reply is not None:
                await self._post.send(reply)

    def _due(self, inquiry: Inquiry) -> float:
        return min(inquiry.due, asyncio.get_running_loop().time() + self._duty.timeout_seconds)

    def _call(self, inquiry: Inquiry, heard: Heard) -> Call | None:
        """What is to be asked; None: it is not for this orchestrator."""
        if inquiry.kind is Wanted.COMPENSATE:
            undo = self._duty.undo
            return None if undo is None else partial(_undone, undo, heard, inquiry.reason)
        function = self._duty.choose(heard)
        return None if function is None else partial(function, heard)

    def _declined(self, inquiry: Inquiry, replies: Replies) -> Letter:
        """Who asked goes on without."""
        if inquiry.kind is Wanted.COMPENSATE:
            return replies.failure(CANNOT_UNDO)
        return replies.end(Reply(understood=False))

    async def _worked_out(
        self, inquiry: Inquiry, replies: Replies, call: Call, turn: Speaking
    ) -> Letter | None:
        """The last reply; None: there is none."""
        figures, seconds = self.figures, turn.seconds_left()
        figures.answering += 1
        failed = False
        try:
            reply = await self._answering.ask(inquiry.stoppable, call, turn, seconds)
        except NotWanted:
            figures.stopped += 1
            return None
        except ComesLater:
            log.info("the answer comes by another way", request_id=inquiry.heard.request_id)
            return None
        except BaseException as error:
            if is_our_end(error, asyncio.current_task()):
                raise
            if isinstance(error, BrokerError) and not inquiry.is_named:
                raise  # a request is not worked on twice for that
            failed = True
            reply = replies.failure(failure(error, self._duty.name, seconds))
        finally:
            figures.answering -= 1
        if reply is None and inquiry.is_named:
            reply = self._declined(inquiry, replies)
        figures.failed += failed
        figures.answered += not failed and reply is not None
        if reply is not None:
            self._done.note(inquiry, reply, failed=failed)
        return reply


async def _undone(undo: Compensation, heard: Heard, reason: str) -> str:
    await undo(heard, reason)
    return ""


async def _settled(delivery: Delivery) -> None:
    with suppress(BrokerError):
        await delivery.ack()


async def _try_later(delivery: Delivery, error: BrokerError, retry_seconds: float) -> None:
    """The broker refused the reply: answer again later, a few times."""
    last = delivery.attempt >= MAX_ATTEMPTS or isinstance(error, BrokerClosed)
    log.warning("reply not published", reason=str(error), attempt=delivery.attempt, last=last)
    with suppress(BrokerError):  # closed meanwhile: it is no longer ours to settle
        await (delivery.reject(f"reply not published: {error}") if last else delivery.nack(retry_seconds))
