"""The last part of the way: what orchestrators say, into the hands of the device that spoke.

Every transcript that was put to them is kept here until its one end: an answer, a failure, or the
fallback at its deadline. An answer is kept on until its device has acknowledged it. The journal has
both, so that they outlive the gateway.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog

from firmware_bridge.link.events import DeviceStatus
from gateway.broker.base import Delivery, MessageBroker
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import (
    REPLIES_TOPIC,
    BadMessage,
    OrchestratorReply,
    TranscriptionMessage,
    WantedHints,
    decode_reply,
)
from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import refused
from gateway.journal.records import (
    Answered,
    Delivered,
    Effect,
    HandedOver,
    HistoryReply,
    PieceCame,
    PublishedIn,
    Received,
    RequestEnded,
    RequestState,
    redacted_reply,
)
from gateway.journal.records import Asked as AskedEffect
from gateway.journal.tables.quotas import undelivered_seconds
from gateway.pipeline.asking.pieces import Piece, Pieces, acknowledge
from gateway.pipeline.asking.rows import received_row, request_row
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.sessions.names import NO_BOOT, UtteranceName
from gateway.pipeline.sessions.requests import CorrelationTracker, Forged, Late, PendingRequest, Routed
from gateway.pipeline.sessions.requests import RequestState as TrackedState
from gateway.pipeline.sessions.session import SessionState, TurnEvent, TurnState
from gateway.pipeline.telling.announcer import Announcer
from gateway.process.lanes import Lanes
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)

REPLIES_AT_ONCE = 256
"""Replies that are being taken, or wait for one before them to the same request."""
CUT_OFF = " \N{HORIZONTAL ELLIPSIS} (cut off)"
"""The end of an answer that is longer than any may be."""

ERASED = "what was said is erased"
"""Why a turn has no answer whose words somebody erased."""
A_REPLY, AN_ANSWER, A_DELIVERY = "a reply", "the end of a request", "the delivery of an answer"
"""The kinds of work here, as mishaps are counted."""


@dataclass(slots=True, eq=False)
class Asked:
    """A transcript that was put to the orchestrators, until its answer is there."""

    spoken: Spoken
    message: TranscriptionMessage
    request: PendingRequest
    told: bool
    """Whether its device was told the transcript."""
    publish_ms: float = 0.0
    """From the text to the broker's receipt; 0: there is none yet."""
    delayed: bool = False
    """Whether its device was told that it is waited for, although the broker does not have it yet."""
    again: bool = False
    """Whether a gateway before this one asked it."""


@dataclass(slots=True, eq=False)
class Answer:
    """An answer, until it is in its device's hands."""

    request: PendingRequest
    message: TranscriptionMessage
    text: str
    error: str | None
    fallback: bool
    ended_at: float
    """When the speaker stopped."""
    told: bool
    """Whether its device was told the transcript."""
    sent: bool = False


class Answers:
    """The requests that are open, and the answers on their way. ``async with``; ``run`` takes the replies."""

    def __init__(
        self,
        config: GatewayConfig,
        broker: MessageBroker,
        announcer: Announcer,
        journal: AnyJournal,
        *,
        group: str,
        on_hints: Callable[[str, WantedHints], None],
        settled: Callable[[str], tuple[Effect, ...]],
        mishaps: Mishaps,
    ) -> None:
        """``group`` is this gateway's own, so it sees every reply.

        ``on_hints``: a session (by its id) is to be heard like this from now on.
        ``settled``: what is to be committed beside the end of a request.
        """
        settings = self._settings = config.orchestrator
        self._remembers = config.history.enabled
        self._redact = config.privacy.redact
        self._undelivered_seconds = undelivered_seconds(config.history, config.privacy)
        self._broker = broker
        self._announce = announcer
        self._journal = journal
        self._group = group
        self._on_hints = on_hints
        self._settled = settled
        self._mishaps = mishaps
        self._now = asyncio.get_running_loop().time
        self._pieces = Pieces(journal, config.broker.prefetch)
        self.tracker = CorrelationTracker(
            max_pending=settings.max_pending, late_seconds=settings.late_seconds
        )
        self.asked: dict[str, Asked] = {}
        """By correlation id; no more than the tracker has requests."""
        self.heard_of_somebody = asyncio.Event()
        """Whether an orchestrator has said anything about a request since the gateway began."""
        self.undelivered: OrderedDict[str, Answer] = OrderedDict()
        """Answers that their device has not acknowledged, at most ``max_pending``."""
        self.dropped = 0
        """Answers that were one too many of those."""
        self._boots: OrderedDict[str, int] = OrderedDict()
        """With which each device was there last, of the last ``max_pending`` devices."""

    @property
    def timeout_seconds(self) -> float:
        """How long an answer is waited for."""
        return self._settings.timeout_seconds

    async def __aenter__(self) -> Self:
        self._replies = await self._broker.subscribe(REPLIES_TOPIC, group=self._group).__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._replies.__aexit__(None, None, None)

    async def run(self) -> None:
        """Take replies until cancelled: those to one request in their order, the others beside them."""
        async with Lanes(REPLIES_AT_ONCE) as lanes:
            async for delivery in self._replies:
                reply = _read(delivery)
                lane = reply.correlation_id if isinstance(reply, OrchestratorReply) else ""
                await lanes.put(lane, partial(self._take_in, delivery, reply))

    async def keep_pieces(self) -> None:
        """Write the pieces of answers until cancelled."""
        await self._pieces.run()

    # -- ask: before the transcript is published, for the fastest reply is to find its request

    def ask(
        self, spoken: Spoken, message: TranscriptionMessage, payload: bytes, *, told: bool
    ) -> AskedEffect:
        """Expect an answer to ``message``; returns what is to be committed. Raises CorrelationError."""
        now = self._now()
        request = PendingRequest(spoken.name, now, now + self._settings.timeout_seconds)
        self.tracker.register(request, now)
        self.asked[message.correlation_id] = Asked(spoken.without_audio(), message, request, told)
        return AskedEffect(request_row(request, payload, now))

    def withdraw(self, correlation_id: str) -> None:
        """Nobody was asked after all."""
        asked = self.asked.pop(correlation_id, None)
        self.tracker.cancel(correlation_id, self._now())
        if asked is not None:
            ended = RequestEnded(correlation_id, RequestState.CANCELLED)
            self._journal.commit(ended, *self._settled(correlation_id), *self._published_in(asked))

    def waiting(self, is_gone: Callable[[UtteranceName], bool]) -> set[str]:
        """The correlation ids of those that wait for an answer, or for their device."""
        asked = {name for name, one in self.asked.items() if is_gone(one.request.name)}
        return asked | {name for name, one in self.undelivered.items() if is_gone(one.request.name)}

    async def erase(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Neither ask nor answer these any more, whatever comes; a device that waits is told the fallback."""
        for name in self.waiting(is_gone):
            self.undelivered.pop(name, None)
            asked = self.asked.get(name)
            self.withdraw(name)
            if asked is not None:
                self._announce.failure(asked.spoken.session, name, self._settings.fallback_text)
                self.end_turn(asked.spoken, asked.message, TurnEvent.FAIL, ERASED)
            await acknowledge(self._pieces.take(name))
        self.tracker.forget(is_gone)

    def wait(self, spoken: Spoken) -> None:
        """The broker has the transcript, or its answer proves that it had it. Idempotent."""
        if spoken.turn.state is TurnState.TRANSCRIBING:
            spoken.session.advance(spoken.turn, TurnEvent.ASK)
            self._announce.status(spoken.session, DeviceStatus.THINKING)

    def wait_for_broker(self, asked: Asked) -> None:
        """The broker is not there to take the transcript: the transcribing is over all the same. Idempotent."""
        if not asked.delayed and asked.spoken.turn.state is TurnState.TRANSCRIBING:
            asked.delayed = True
            self._announce.status(asked.spoken.session, DeviceStatus.THINKING)

    def note_published(self, asked: Asked) -> None:
        """The broker has the transcript: how long that took. Idempotent."""
        asked.publish_ms = asked.publish_ms or self._since(asked.request)

    # -- answer: what orchestrators say

    async def _take_in(self, delivery: Delivery, reply: OrchestratorReply | BadMessage) -> None:
        try:
            if isinstance(reply, BadMessage):
                await self._refuse(delivery, str(reply))
            else:
                await self._answer(delivery, reply)
        except Exception as error:  # noqa: BLE001 - the boundary: one reply must not stop the others
            await self._give_up(delivery, error)

    async def _answer(self, delivery: Delivery, reply: OrchestratorReply) -> None:
        received = _received(reply, delivery)
        if not self.tracker.knows_all_of(reply.correlation_id) and await self._was_received(received):
            await delivery.ack()
            return
        await self._pieces.room()
        outcome = self.tracker.route(reply, self._now())
        if isinstance(outcome, Routed | Late):
            self.heard_of_somebody.set()
        if reply.hints is not None and isinstance(outcome, Routed | Late):
            with self._mishaps.contained("hints of a reply", correlation_id=reply.correlation_id):
                self._on_hints(reply.session_id, reply.hints)
        match outcome:
            case Routed(request, final=False):
                self._take_piece(request, outcome.text, reply.agent)
                came = PieceCame(request.correlation_id, outcome.text, received.source, received.message_id)
                self._pieces.keep(Piece(delivery, came))  # which acknowledges it, once it is safe
                return
            case Routed(request):
                await self._take(request, outcome, reply.agent, received)
            case Late(request):
                self._show_late(outcome, reply)
            case Forged():
                log.warning("reply of a foreign session refused", correlation_id=reply.correlation_id)
                await self._refuse(delivery, "the session is not the request's")
                return
            case _:  # unknown, or it came before: the tracker has counted it
                pass
        await delivery.ack()

    def _show_late(self, late: Late, reply: OrchestratorReply) -> None:
        """For the listeners. A piece of what has its whole answer already is shown with its own end only."""
        if late.state is TrackedState.DONE and not reply.final and reply.error is None:
            return
        self._announce.reply(
            late.request.name,
            late.text,
            agent=reply.agent,
            elapsed_ms=self._since(late.request),
            final=reply.final,
            error=reply.error,
            late=True,
        )

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
        correlation_id = delivery.message.correlation_id
        self._mishaps.note(A_REPLY, error, correlation_id=correlation_id)
        with self._mishaps.contained(A_REPLY, correlation_id=correlation_id):
            await self._refuse(delivery, f"the gateway failed on it ({type(error).__name__})")

    def _take_piece(self, request: PendingRequest, text: str, agent: str) -> None:
        """A piece of an answer: the listeners' at once, for its end says it again."""
        asked = self.asked.get(request.correlation_id)
        if asked is not None:  # an answer proves that the broker had it
            self.note_published(asked)
        self._show(request, text, agent, final=False, error=None)
        if asked is not None:
            self.wait(asked.spoken)
            _advance(asked.spoken, TurnEvent.PIECE)

    async def _take(self, request: PendingRequest, outcome: Routed, agent: str, received: Received) -> None:
        """The end of an answer: durable first, then the device's and the listeners'."""
        asked = self.asked.get(request.correlation_id)
        if asked is not None:
            self.note_published(asked)
        text = outcome.text + CUT_OFF if outcome.cut else outcome.text
        await self._end(request, text, agent, received, error=outcome.error)

    async def expire(self, now: float) -> None:
        """Whoever waited for too long gets the fallback; an answer that waited for too long is told to nobody."""
        while (
            self.undelivered
            and now - self._first_undelivered.request.published_at > self._undelivered_seconds
        ):
            name, _ = self.undelivered.popitem(last=False)
            self._journal.commit(Delivered(name))
        expired = [r for r in self.tracker.expire(now) if r.correlation_id in self.asked]
        text = self._settings.fallback_text  # the others were never published, and their devices know
        await asyncio.gather(*(self._end(r, text, "gateway", fallback=True) for r in expired))
        self._send_what_waits()

    async def _end(
        self,
        request: PendingRequest,
        text: str,
        agent: str,
        *effects: Effect,
        error: str | None = None,
        fallback: bool = False,
    ) -> None:
        """The end of a request, which comes once: whatever goes wrong, its device hears of one."""
        asked = self.asked.pop(request.correlation_id, None)
        pieces = self._pieces.take(request.correlation_id)
        try:
            await self._conclude(request, asked, text, agent, *effects, error=error, fallback=fallback)
        except Exception as mishap:  # noqa: BLE001 - the boundary: between this request and the others
            self._fail(request, asked, mishap)
        await acknowledge(pieces)

    def _fail(self, request: PendingRequest, asked: Asked | None, mishap: Exception) -> None:
        """The gateway stumbled over the end of a request."""
        correlation_id, reason = request.correlation_id, f"the gateway failed on it ({type(mishap).__name__})"
        self._mishaps.note(AN_ANSWER, mishap, correlation_id=correlation_id)
        answer = self.undelivered.get(correlation_id)
        answered = answer is not None and answer.sent
        if not answered:
            self.undelivered.pop(correlation_id, None)
            with self._mishaps.contained(AN_ANSWER, correlation_id=correlation_id):
                ended = RequestEnded(correlation_id, RequestState.CANCELLED, error=reason)
                self._journal.commit(ended, *self._settled(correlation_id))
        if asked is not None and not answered:
            with self._mishaps.contained(AN_ANSWER, correlation_id=correlation_id):
                self._announce.failure(asked.spoken.session, correlation_id, self._settings.fallback_text)
        if asked is not None:
            with self._mishaps.contained(AN_ANSWER, correlation_id=correlation_id):
                self.end_turn(asked.spoken, asked.message, TurnEvent.FAIL, reason)

    async def _conclude(
        self,
        request: PendingRequest,
        asked: Asked | None,
        text: str,
        agent: str,
        *effects: Effect,
        error: str | None,
        fallback: bool,
    ) -> None:
        whole = text
        if error is not None and not text:
            whole = self._settings.fallback_text
        ended = RequestEnded(
            request.correlation_id,
            RequestState.EXPIRED if fallback else RequestState.DONE,
            text=whole,
            error=error,
            fallback=fallback,
            due=asked is not None and request.name.boot != NO_BOOT,
        )
        kept = self._kept(request, asked, whole, agent, error=error, fallback=fallback)
        await self._commit(*effects, ended, *self._settled(request.correlation_id), *kept)
        publish_ms = asked.publish_ms if asked is not None else 0.0
        self._show(request, text, agent, final=True, error=error, fallback=fallback, publish_ms=publish_ms)
        if asked is None:
            return
        self.wait(asked.spoken)
        ended_at = asked.spoken.ended_at
        self._deliver(Answer(request, asked.message, whole, error, fallback, ended_at, asked.told))
        event = TurnEvent.DEADLINE if fallback else TurnEvent.FAIL if error else TurnEvent.FINAL
        self.end_turn(asked.spoken, asked.message, event, error)

    def _published_in(self, asked: Asked | None) -> tuple[Effect, ...]:
        if not self._remembers or asked is None or not asked.publish_ms:
            return ()
        return (PublishedIn(asked.request.correlation_id, asked.publish_ms),)

    def _kept(
        self,
        request: PendingRequest,
        asked: Asked | None,
        text: str,
        agent: str,
        *,
        error: str | None,
        fallback: bool,
    ) -> tuple[Effect, ...]:
        """What the history learns of an answer."""
        if not self._remembers:
            return ()
        reply = HistoryReply(
            text=text,
            agent=agent,
            error=error,
            fallback=fallback,
            text_to_reply_ms=self._since(request),
        )
        kept = redacted_reply(reply) if self._redact else reply
        return (*self._published_in(asked), Answered(request.correlation_id, kept))

    async def _commit(self, *effects: Effect) -> None:
        try:
            await self._journal.commit(*effects)
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once

    def _show(
        self,
        request: PendingRequest,
        text: str,
        agent: str,
        *,
        final: bool,
        error: str | None,
        fallback: bool = False,
        publish_ms: float = 0.0,
    ) -> None:
        self._announce.reply(
            request.name,
            text,
            agent=agent,
            elapsed_ms=self._since(request),
            publish_ms=publish_ms,
            final=final,
            error=error,
            fallback=fallback,
        )

    # -- deliver: the answer to the device that spoke

    def _deliver(self, answer: Answer) -> None:
        """Hand it to the link; a device that is not there gets it when it comes back, with the same boot."""
        request = answer.request
        if request.name.boot == NO_BOOT:
            return  # whoever asked is a listener, and has it
        if self._boots.get(request.name.device_id, request.name.boot) != request.name.boot:
            log.warning(
                "reply cannot be delivered", device_id=request.name.device_id, reason="it has rebooted"
            )
            self._journal.commit(Delivered(request.correlation_id))
            return
        self.undelivered[request.correlation_id] = answer
        self._send(answer)
        if not answer.sent:
            log.warning(
                "reply waits for its device",
                device_id=request.name.device_id,
                correlation_id=request.correlation_id,
            )
        if len(self.undelivered) > self._settings.max_pending:
            dropped, _ = self.undelivered.popitem(last=False)
            self.dropped += 1
            log.warning(
                "answer dropped: its device has not taken it in all that time", correlation_id=dropped
            )

    def _send(self, answer: Answer) -> None:
        request = answer.request
        answer.sent = self._announce.answer(
            request.name, answer.text, error=answer.error, fallback=answer.fallback
        )

    @property
    def _first_undelivered(self) -> Answer:
        return next(iter(self.undelivered.values()))

    def _send_what_waits(self) -> None:
        """Devices that are there had no room for it."""
        for answer in list(self.undelivered.values()):
            request = answer.request
            if not answer.sent and self._boots.get(request.name.device_id) == request.name.boot:
                self._send_or_drop(answer)

    def _send_or_drop(self, answer: Answer) -> None:
        """An answer over which the gateway stumbles is not tried again and again: its device is told that much."""
        request, told = answer.request, False
        try:
            if not answer.told:
                answer.told = self._announce.transcript_again(request.name, answer.message)
            self._send(answer)
        except Exception as mishap:  # noqa: BLE001 - the boundary: between this answer and the others
            del self.undelivered[request.correlation_id]
            self._mishaps.note(A_DELIVERY, mishap, correlation_id=request.correlation_id)
            with self._mishaps.contained(A_DELIVERY, correlation_id=request.correlation_id):
                self._journal.commit(Delivered(request.correlation_id))
                told = self._announce.answer(
                    request.name, self._settings.fallback_text, error="it went wrong"
                )
            log.warning("reply given up", correlation_id=request.correlation_id, told=told)

    def welcome(self, device_id: str, boot: int) -> None:
        """A device is there, perhaps after a restart of the gateway: what it has not been told, it is told now."""
        self._boots[device_id] = boot
        self._boots.move_to_end(device_id)
        if len(self._boots) > self._settings.max_pending:
            self._boots.popitem(last=False)
        for asked in self.asked.values():
            if (asked.request.name.device_id, asked.request.name.boot) == (
                device_id,
                boot,
            ) and not asked.told:
                with self._mishaps.contained(A_DELIVERY, correlation_id=asked.message.correlation_id):
                    asked.told = self._announce.transcript_again(asked.request.name, asked.message)
                    self._announce.status(asked.spoken.session, DeviceStatus.THINKING)
        for answer in list(self.undelivered.values()):
            if (answer.request.name.device_id, answer.request.name.boot) == (
                device_id,
                boot,
            ) and not answer.sent:
                self._send_or_drop(answer)

    def delivered(self, device_id: str, correlation_id: str) -> None:
        """Note that a device has acknowledged a final reply."""
        answer = self.undelivered.pop(correlation_id, None)
        if answer is not None:
            elapsed_ms = 1000 * (self._now() - answer.ended_at)
            kept = (HandedOver(correlation_id, elapsed_ms),) if self._remembers else ()
            self._journal.commit(Delivered(correlation_id), *kept)
            log.debug(
                "reply delivered", device_id=device_id, correlation_id=correlation_id, elapsed_ms=elapsed_ms
            )
            self._announce.delivered(answer.request.name, elapsed_ms)

    def forget_boots_before(self, device_id: str, boot: int) -> None:
        """The device was switched off: what it has not taken by then it never will."""
        for answer in list(self.undelivered.values()):
            request = answer.request
            if request.name.device_id == device_id and request.name.boot != boot:
                del self.undelivered[request.correlation_id]

    # -- the turn's end

    def end_turn(
        self, spoken: Spoken, message: TranscriptionMessage, event: TurnEvent, error: str | None = None
    ) -> None:
        """The turn's end, and its one canonical line in the log. The text is never in it."""
        _advance(spoken, event)
        spoken.log(message, error, self._now())
        session = spoken.session
        if session.state is SessionState.CLOSED:
            self._announce.status(session, DeviceStatus.IDLE)
        elif session.state is not SessionState.DRAINING:  # which another of its turns will end
            self._announce.attention(session)

    def _since(self, request: PendingRequest) -> float:
        return 1000 * (self._now() - request.published_at)


def _read(delivery: Delivery) -> OrchestratorReply | BadMessage:
    try:
        return decode_reply(delivery.message.payload)
    except BadMessage as error:
        return error


def _received(reply: OrchestratorReply, delivery: Delivery) -> Received:
    """What a reply is known by; an agent may number the replies to each transcript from one."""
    message_id = reply.message_id or delivery.message.message_id
    return Received(reply.agent, f"{reply.correlation_id}/{message_id}")


def _advance(spoken: Spoken, event: TurnEvent) -> None:
    if not spoken.turn.ended:
        spoken.session.advance(spoken.turn, event)
