"""What an orchestrator is written with: a function from what was heard to what is said.

::

    house = Orchestrator()

    @house.on_transcript
    async def answer(heard):
        return f"You said {heard.text}"

The function returns the whole reply, or an async iterator of its pieces (or is an async generator),
in which case each piece travels at once. None is no answer: another orchestrator may give one, or the
request expires. ``""`` is the answer that there is nothing to say. ``Say(text, hints)`` is a reply that also
tells the gateway how to hear the rest of the session.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import structlog

from firmware_bridge.pacing import Backoff
from gateway.broker.base import BrokerClosed, BrokerError, BrokerUnavailable, Delivery, MessageBroker
from gateway.broker.opening import open_broker
from gateway.contract.messages import (
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    BadMessage,
    OrchestratorReply,
    TranscriptionMessage,
    WantedHints,
    decode_transcription,
    encode,
    is_token,
    new_id,
)
from gateway.process.foreign_code import is_our_end, shelter
from gateway.process.lanes import Lanes
from gateway.process.stopwatch import OnStep, Timed, timed_items
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
"""A transcript whose reply the broker refuses is answered so often."""
BLOCKED_SECONDS = 1.0
"""A step of an answer, from one await to the next, that takes so long is told: everybody else waits for it."""
RETRY_SECONDS = 1.0
"""A reply is published again after a tenth of it, and then after up to so long, until the broker is there."""


@dataclass(frozen=True, slots=True)
class Say:
    """A whole reply, and what the recognizer is told from the next utterance of the session on."""

    text: str
    hints: WantedHints


Answer: TypeAlias = str | Say | AsyncIterator[str] | None
AnswerFunction: TypeAlias = Callable[[TranscriptionMessage], Awaitable[Answer] | AsyncIterator[str]]
_F = TypeVar("_F", bound=AnswerFunction)


class BadOrchestrator(Exception):
    """An orchestrator that cannot be used; the message says what to change."""


class Orchestrator:
    """Answers transcripts from a broker.

    ``name`` signs the replies, and orchestrators of one name compete: each transcript goes to one of
    them. At most ``concurrency`` transcripts are taken at once; further ones wait in the broker's
    buffer. Those of one session are answered one after the other, in their order, and a reply that cannot be
    published is kept until it can. An answer that takes longer than ``timeout_seconds`` in all becomes an error
    reply, and so does whatever else ends it early, SystemExit included; nothing ends the orchestrator.
    """

    def __init__(
        self, name: str = "orchestrator", *, concurrency: int = 16, timeout_seconds: float = 25.0
    ) -> None:
        if not is_token(name):
            raise BadOrchestrator(f"an orchestrator's name is 1-64 of A-Z a-z 0-9 _ -; got {name!r:.80}")
        self.name = name
        self.on_blocked: Callable[[str, float], None] = _nobody_to_tell
        """Told the name and for how many seconds, when its function kept the event loop from everything else."""
        self.turn: Callable[[Delivery, TranscriptionMessage], AbstractAsyncContextManager[bool]] = (
            _as_it_comes
        )
        """Around each answer; false: this transcript is not to be answered any more."""
        self._concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._function: AnswerFunction | None = None
        self._include_unheard = False

    def on_transcript(self, function: _F) -> _F:
        """Decorator: ``function`` answers every transcript that has words."""
        return self._answer_with(function, include_unheard=False)

    def on_every_result(self, function: _F) -> _F:
        """Decorator: as ``on_transcript``, also for silence (empty text) and failures (``success`` false)."""
        return self._answer_with(function, include_unheard=True)

    async def run(self, broker: MessageBroker) -> None:
        """Answer until the broker is closed, or this is cancelled.

        Raises BadOrchestrator when there is no function to answer with.
        """
        if self._function is None:
            raise BadOrchestrator("nothing answers: put @....on_transcript above an async function")
        async with (
            broker.subscribe(RESULTS_TOPIC, group=self.name) as results,
            Lanes(self._concurrency) as lanes,
        ):
            log.info("orchestrator listening", name=self.name)
            async for delivery in results:
                await lanes.put(delivery.message.routing_key.session, partial(self._take, broker, delivery))

    def run_forever(self, url: str) -> None:
        """Answer until interrupted, in a process of its own. Raises BrokerError."""
        if url.startswith("memory:"):
            raise BrokerError(
                "memory:// lives inside the gateway; name this orchestrator there (orchestrator.app: module:name)"
            )
        with suppress(KeyboardInterrupt):
            asyncio.run(self._run_over(open_broker(url, BrokerSettings(url=url))))

    async def _run_over(self, broker: MessageBroker) -> None:
        try:
            await self.run(broker)
        finally:
            await broker.close()

    def _answer_with(self, function: _F, *, include_unheard: bool) -> _F:
        if self._function is not None:
            raise BadOrchestrator("an orchestrator has one function that answers; this is the second")
        if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            name = getattr(function, "__qualname__", repr(function))
            raise BadOrchestrator(f"{name} is not an async function; write it with `async def`")
        self._function, self._include_unheard = function, include_unheard
        return function

    async def _take(self, broker: MessageBroker, delivery: Delivery) -> None:
        try:
            await self._work(broker, delivery)
        except Exception as error:  # the boundary: one transcript must not stop the others
            log.exception(
                "a transcript could not be answered", correlation_id=delivery.message.correlation_id
            )
            with suppress(BrokerError):
                await delivery.reject(f"{self.name} stumbled over it ({type(error).__name__})")

    async def _work(self, broker: MessageBroker, delivery: Delivery) -> None:
        try:
            heard = decode_transcription(delivery.message.payload)
        except BadMessage as error:
            with suppress(BrokerError):
                await delivery.reject(str(error))
            return
        names = {"session_id": heard.session_id, "correlation_id": heard.correlation_id}
        with structlog.contextvars.bound_contextvars(**names):
            try:
                if self._include_unheard or (heard.success and heard.text.strip()):
                    replies = _Replies(broker, delivery, heard, self.name)
                    async with self.turn(delivery, heard) as may:
                        await (self._answer(replies) if may else replies.fail(f"{self.name} gave it up"))
                await delivery.ack()
            except BrokerError as error:
                await _try_later(delivery, error)

    async def _answer(self, replies: _Replies) -> None:
        limit = asyncio.timeout(self._timeout_seconds)
        try:
            async with limit:
                whole = await self._whole(replies)
        except BrokerError:
            raise
        except BaseException as error:
            # The border to somebody else's code: whatever it raises is this request's failure only.
            if is_our_end(error, asyncio.current_task()):
                raise
            if limit.expired():
                log.warning("the orchestrator took too long", limit_seconds=self._timeout_seconds)
                await replies.fail(f"{self.name} took longer than {self._timeout_seconds:g} s")
            else:
                log.exception("the orchestrator failed")
                await replies.fail(f"{self.name} failed ({type(error).__name__})")
        else:
            if whole is not None:
                await replies.send(whole)

    async def _whole(self, replies: _Replies) -> _Reply | None:
        """What there is to say in all, ready to be sent. Pieces are sent on the way."""
        assert self._function is not None
        shelter()
        begun = self._function(replies.heard)
        answer = begun if isinstance(begun, AsyncIterator) else await Timed(begun, self._stepped)
        if answer is None:
            return None
        if isinstance(answer, AsyncIterator):
            answer = await replies.send_pieces(answer, self._stepped)
        if isinstance(answer, Say):
            return replies.make(answer.text, hints=answer.hints)
        return replies.make(answer)

    def _stepped(self, seconds: float) -> None:
        if seconds >= BLOCKED_SECONDS:
            log.warning("the orchestrator blocked everything else", name=self.name, seconds=round(seconds, 1))
            self.on_blocked(self.name, seconds)


def _nobody_to_tell(_name: str, _seconds: float) -> None:
    """In a process of its own only its own conversations wait."""


def _as_it_comes(_delivery: Delivery, _heard: TranscriptionMessage) -> AbstractAsyncContextManager[bool]:
    """In a process of its own it ends nobody else's work."""
    return nullcontext(enter_result=True)


class _Reply(NamedTuple):
    """A reply as it travels, each time under the same id."""

    message_id: str
    payload: bytes


class _Replies:
    """Where the answer to one transcript goes."""

    def __init__(
        self, broker: MessageBroker, delivery: Delivery, heard: TranscriptionMessage, agent: str
    ) -> None:
        self.heard = heard
        self._broker = broker
        self._key = delivery.message.routing_key
        self._agent = agent

    async def send_pieces(self, pieces: AsyncIterator[str], on_step: OnStep) -> str:
        """Each as it comes, and all of them together: there is also what the broker did not take meanwhile."""
        sent = []
        try:
            async for piece in timed_items(pieces, on_step):
                reply = self.make(piece, final=False)
                sent.append(piece)
                with suppress(BrokerUnavailable):
                    await self._publish(reply)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        return "".join(sent)

    async def fail(self, error: str) -> None:
        """The final reply that there is no answer, and why."""
        await self.send(self.make("", error=error))

    async def send(self, reply: _Reply) -> None:
        """As often as the broker is not there."""
        backoff = Backoff(RETRY_SECONDS / 10, RETRY_SECONDS)
        told = False
        while True:
            try:
                await self._publish(reply)
            except BrokerUnavailable as error:
                if not told:
                    log.warning("the reply waits for the broker", reason=str(error))
                    told = True
                await asyncio.sleep(backoff.next())
            else:
                return

    def make(
        self, text: str, *, final: bool = True, error: str | None = None, hints: WantedHints | None = None
    ) -> _Reply:
        """Raises TypeError and ValueError for what is no text, and what cannot be written as UTF-8."""
        if not isinstance(text, str):
            raise TypeError(f"an answer is made of str; got {type(text).__name__}")
        reply = OrchestratorReply(
            correlation_id=self.heard.correlation_id,
            session_id=self.heard.session_id,
            text=text,
            final=final,
            error=error,
            agent=self._agent,
            message_id=new_id("m"),
            timestamp=time.time(),
            hints=hints,
        )
        return _Reply(reply.message_id, encode(reply))

    async def _publish(self, reply: _Reply) -> None:
        await self._broker.publish(
            REPLIES_TOPIC,
            self._key,
            reply.payload,
            correlation_id=self.heard.correlation_id,
            message_id=reply.message_id,
        )


async def _try_later(delivery: Delivery, error: BrokerError) -> None:
    """The broker refused the reply: answer again later, a few times."""
    last = delivery.attempt >= MAX_ATTEMPTS or isinstance(error, BrokerClosed)
    log.warning("reply not published", reason=str(error), attempt=delivery.attempt, last=last)
    with suppress(BrokerError):  # closed meanwhile: it is no longer ours to settle
        await (delivery.reject(f"reply not published: {error}") if last else delivery.nack(RETRY_SECONDS))
