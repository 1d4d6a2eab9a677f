"""The recognizers on other machines as this gateway sees them: who is there, jobs to them, and results from them.

What is asked for waits here, in its owner's turn and by its urgency, and only as much is with the broker as the
recognizers that are there will soon be at: so what is more urgent goes before it, though no broker knows of urgency.
A job stays noted until its result is there, also when nobody waits for it any more: its recognizer is at it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context

import structlog

from gateway.broker.address import client_id, replies_group
from gateway.broker.base import (
    BrokerClosed,
    BrokerError,
    BrokerStatus,
    BufferFull,
    Delivery,
    MessageBroker,
    RoutingKey,
)
from gateway.contract.messages import PRIORITY_HEADER, BadMessage, new_id
from gateway.contract.recognition import (
    POOL_USER,
    RECOGNITION_TYPE,
    RESULTS_TOPIC,
    WORKER_SECONDS,
    WORKERS_TOPIC,
    AudioCodec,
    Failure,
    RecognitionResult,
    Urgency,
    WorkerPresence,
    decode_result,
    encode_recognition,
    jobs_topic,
)
from gateway.recognizers.claim_checks import HeldAudio
from gateway.recognizers.pool.estimate import PoolEstimate
from gateway.recognizers.pool.jobs import (
    AWAY,
    LOOK_AT_BROKER,
    START_ONE,
    error_of,
    finite,
    job_of,
    transcript_of,
)
from gateway.recognizers.pool.order import TRIES, Order, Sent
from gateway.recognizers.pool.packing import Packing
from gateway.recognizers.pool.queue import PoolQueue
from gateway.recognizers.pool.roll_call import Impostor, presence_in
from gateway.recognizers.pool.workers import Hands, Need, Workers
from gateway.settings.broker import BrokerSettings
from transcription.errors import (
    EngineFailed,
    ModelUnavailable,
    RecognizerClosed,
    WaitedTooLong,
)
from transcription.names_in_log import names_of
from transcription.priority import Priority
from transcription.recognizing import Recognized
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Transcript

log = structlog.get_logger(__name__)

AHEAD = 2
"""So many jobs for each that the recognizers can do at the same time are sent: the next is there when one is done."""
LOOK_SECONDS = WORKER_SECONDS / 2
STRANGER_SECONDS = 0.2
STRANGER_LOOKS = 15
"""A result of a recognizer that has not said that it is there is looked at again so often: it may have just come."""
REMEMBERED = 10_000
"""Jobs that had their result, so that one which comes twice is known."""
MOST_UNDER_WAY = 10_000
AGAIN_SECONDS = 1.0
"""After the broker has not taken a job."""
CONNECTED = BrokerStatus(connected=True)


class Pool:
    """``read_results``, ``hear_workers`` and ``watch`` must run as long as it is used."""

    def __init__(
        self,
        broker: MessageBroker,
        settings: BrokerSettings,
        transcription: TranscriptionSettings,
        codec: AudioCodec,
        *,
        held: HeldAudio | None = None,
        status: Callable[[], BrokerStatus] = lambda: CONNECTED,
    ) -> None:
        """``held``: where this gateway keeps audio that its broker does not. ``status``: how the broker is."""
        self._broker = broker
        self._status = status
        self._gateway = client_id(settings)
        self._group = replies_group(settings)
        self._lease = settings.lease_seconds
        self._settings = transcription
        self._packing = Packing(broker, codec, held)
        self.on_change: Callable[[], None] = lambda: None
        """To be called when who is there has changed."""
        self._queue = PoolQueue(transcription.queue_utterances)
        self._sent: dict[str, Sent] = {}
        self._orphans = 0
        """Of those, for which nobody is there any more that was there when they were sent."""
        self._orders: set[Order] = set()
        self._results_had: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_result_at = 0.0
        self._not_before = 0.0
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._there: tuple[object, ...] | None = None
        self.workers = Workers()
        self.estimate = PoolEstimate()
        self.counts: Counter[str] = Counter()
        """What became of jobs and results, by its name."""

    def change(self, settings: TranscriptionSettings) -> None:
        """From now on these settings."""
        self._settings = settings

    # -- how it is

    @property
    def looked(self) -> bool:
        """Whether a recognizer that is there has had time to say so."""
        return self._loop.time() - self._began_at > 2 * WORKER_SECONDS

    @property
    def present(self) -> list[WorkerPresence]:
        """All that are there, whatever they have."""
        return self.workers.present(self._loop.time())

    def hands(self, need: Need) -> Hands:
        """Those that could do it now."""
        return self.workers.hands(need, self._loop.time())

    def why_none(self, need: Need) -> tuple[str, str]:
        """Why nobody could do it, and what to do."""
        status = self._status()
        if not status.connected and not self.present:
            return AWAY, status.remedy or LOOK_AT_BROKER
        return self.workers.why_none(need, self._loop.time()), START_ONE.format(model=need.model)

    @property
    def waiting(self) -> int:
        """Utterances that wait here."""
        return len(self._queue)

    def load(self, priority: Priority) -> float:
        """How much of the room for utterances of a class is taken."""
        return self._queue.load(priority)

    def free(self, need: Need) -> int:
        """Utterances that would be begun with at once."""
        hands = self.hands(need)
        return max(0, hands.capacity - max(hands.busy, self._under_way) - len(self._queue))

    def expect(self, audio: float, need: Need, prior: float | None = None) -> float | None:
        """In how many seconds it would have the text; None: nobody is there for it."""
        hands = self.hands(need)
        if not hands.capacity:
            return None
        under_way = self._under_way + len(self._queue)
        now = self._loop.time()
        return self.estimate.expect(
            audio, hands, under_way=under_way, silence=self._silence(now), now=now, prior=prior
        )

    @property
    def _under_way(self) -> int:
        """Jobs that somebody may be at."""
        return len(self._sent) - self._orphans

    def _silence(self, now: float) -> float:
        """For how long a result has been due while none came."""
        due = min(
            (one.sent_at + one.expected for one in self._sent.values() if one.published and not one.orphaned),
            default=now,
        )
        return max(0.0, now - max(due, self._last_result_at))

    # -- asking

    async def ask(self, order: Order) -> Recognized:
        """Its text. Raises as ``Recognizing.transcribe`` does; QueueFull at once."""
        self.begin(order)
        return await self.answer(order)

    def begin(self, order: Order) -> None:
        """Ask for it; ``answer``, or ``leave``, is to follow. Raises QueueFull."""
        self._queue.put(order)
        self._orders.add(order)
        if order.patience is not None:
            order.wait(order.patience, self._not_begun)
        self._send_next()

    async def answer(self, order: Order) -> Recognized:
        """What came of it."""
        try:
            return await order.answer
        finally:
            self.leave(order)

    def leave(self, order: Order) -> None:
        """Nobody waits for it any more. Idempotent."""
        self._orders.discard(order)
        self._queue.discard(order)
        order.end()
        self._unpack_unwanted(order)

    def make_final(self, order: Order, patience: float | None) -> None:
        """A guess that turned out to be the utterance: it waits as one, and is sent again if it is late."""
        order.urgency, order.kept, order.patience = Urgency.FINAL, True, patience
        order.names = names_of(structlog.contextvars.get_contextvars())
        if patience is not None:
            order.wait(patience, self._not_begun)

    def _not_begun(self, order: Order) -> None:
        """Its patience is over. What was sent has its recognizer's word for that, or some time more."""
        if any(self._sent[job_id].published for job_id in order.jobs):
            grace = self._settings.hang_seconds + 4 * order.utterance.seconds
            order.wait(grace, self._never_answered)
            return
        self._queue.discard(order)
        if self.hands(order.need).capacity:
            order.fail(WaitedTooLong("too many utterances were before this one"))
        else:
            order.fail(self._nobody(order.need))

    def _never_answered(self, order: Order) -> None:
        self.counts["never answered"] += 1
        order.fail(WaitedTooLong("no recognizer has answered"))

    def _nobody(self, need: Need) -> ModelUnavailable:
        reason, remedy = self.why_none(need)
        return ModelUnavailable(reason, remedy=remedy)

    # -- sending

    def _send_next(self) -> None:
        """As much as the recognizers will soon be at."""
        now = self._loop.time()
        if now < self._not_before:
            return
        while (order := self._queue.take(self._is_served, self._has_room)) is not None:
            hands = self.hands(order.need)
            expected = self.estimate.work(order.utterance.seconds, hands, now)
            job_id = new_id("j")
            among = self.workers.serving(order.need, now)
            self._sent[job_id] = Sent(
                order, now, expected, order.urgency, self._under_way < hands.free, among
            )
            order.jobs.add(job_id)
            order.tries += 1
            self._work(self._send(job_id, order), "recognizer pool: a job")

    def _is_served(self, order: Order) -> bool:
        return self.hands(order.need).capacity > 0

    def _has_room(self, order: Order) -> bool:
        capacity = self.hands(order.need).capacity
        room = capacity if order.behind else AHEAD * capacity
        return self._under_way < room and len(self._sent) < MOST_UNDER_WAY

    async def _send(self, job_id: str, order: Order) -> None:
        """Until the broker has it, as long as that helps anybody."""
        structlog.contextvars.bind_contextvars(job=job_id, **order.names)
        try:
            while not await self._is_taken(job_id, order):  # noqa: ASYNC110 - nothing announces the broker's return
                await asyncio.sleep(AGAIN_SECONDS)
        except BufferFull as error:
            order.fail(EngineFailed(f"the broker does not take it: {error}"))
        except BrokerError as error:
            order.fail(EngineFailed(f"the broker is away: {error}"))
        except Exception as error:  # the boundary: one utterance must not stop the others
            log.exception("an utterance could not be sent to the recognizers")
            order.fail(EngineFailed(f"{type(error).__name__}: {error}"))
        else:
            if not order.done or self._is_published(job_id):
                return
        self._forget(job_id)
        self._send_next()

    def _is_published(self, job_id: str) -> bool:
        return job_id in self._sent and self._sent[job_id].published

    async def _is_taken(self, job_id: str, order: Order) -> bool:
        """False: the broker is away. It may have it all the same: it gets it again under the same name."""
        try:
            await self._publish(job_id, order)
        except (BufferFull, BrokerClosed):
            raise
        except BrokerError:
            self.counts["not taken by the broker"] += 1
            self._not_before = self._loop.time() + AGAIN_SECONDS
            if order.done or not order.may_wait:
                raise
            return False
        return True

    async def _publish(self, job_id: str, order: Order) -> None:
        if order.packed is None:
            order.packed = await self._packing.pack(order.utterance, order.patience)
        if order.done:
            return
        now = self._loop.time()
        self._sent[job_id].urgency = order.urgency
        left = None if order.patience is None else order.patience - (now - order.asked_at)
        job = job_of(
            order.utterance, order.hints, order.packed, job_id=job_id,
            gateway=self._gateway, model=order.need.model, urgency=order.urgency, priority=order.priority,
            owner=order.owner, asked_at=time.time(), seconds=left, ids=order.names,
        )  # fmt: skip
        await self._broker.publish(
            jobs_topic(order.need.model, order.urgency),
            RoutingKey(POOL_USER, self._gateway, job_id),
            encode_recognition(job),
            message_id=job_id,
            content_type=RECOGNITION_TYPE,
            headers={} if order.priority is Priority.NORMAL else {PRIORITY_HEADER: order.priority.value},
        )
        self.counts["sent"] += 1
        if (sent := self._sent.get(job_id)) is not None:  # else its result was faster
            sent.published, sent.published_at = True, self._loop.time()

    def _forget(self, job_id: str) -> Sent | None:
        """Nothing is expected of it any more."""
        sent = self._sent.pop(job_id, None)
        if sent is not None:
            self._orphans -= sent.orphaned
            sent.order.jobs.discard(job_id)
            self._unpack_unwanted(sent.order)
            self._results_had[job_id] = None
            if len(self._results_had) > REMEMBERED:
                self._results_had.popitem(last=False)
        return sent

    def _unpack_unwanted(self, order: Order) -> None:
        if order.done and not order.jobs:
            self._unpack(order)

    def _unpack(self, order: Order) -> None:
        """What was left for the recognizers need not be there any more."""
        packed, order.packed = order.packed, None
        if packed is not None and packed.claim is not None:
            self._work(self._packing.discard(packed), "recognizer pool: audio goes")

    def _work(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name, context=Context())  # whoever happens to begin it
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- results

    async def read_results(self) -> None:
        """Until the broker is closed."""
        pattern = f"device.{self._gateway}"
        async with self._broker.subscribe(RESULTS_TOPIC, pattern, group=self._group) as results:
            async for delivery in results:
                with suppress(BrokerError):  # it comes again
                    await self._take(delivery)

    async def _take(self, delivery: Delivery) -> None:
        key = delivery.message.routing_key
        try:
            result = decode_result(delivery.message.payload)
        except BadMessage as error:
            self.counts["garbage"] += 1
            await delivery.reject(str(error))
            return
        if (key.user, key.session) != (POOL_USER, result.job_id):
            self.counts["forged"] += 1
            await delivery.reject("it is not of the job that it is published for")
        elif result.job_id not in self._sent:
            self.counts["twice" if result.job_id in self._results_had else "unknown"] += 1
            await delivery.ack()
        elif self.workers.knows(result.worker):
            self._come(result)
            await delivery.ack()
        elif delivery.attempt < STRANGER_LOOKS:
            await delivery.nack(STRANGER_SECONDS)
        else:
            self.counts["forged"] += 1
            await delivery.reject(f"no recognizer {result.worker} has ever said that it is there")

    def _come(self, result: RecognitionResult) -> None:
        """The result of one of our jobs, be it wanted any more or not."""
        sent = self._forget(result.job_id)
        assert sent is not None
        now = self._loop.time()
        self._last_result_at = now
        self.workers.done(result.worker)
        order = sent.order
        if order.done:
            self.counts["not wanted any more"] += 1
        if result.transcript is not None:
            transcript = transcript_of(result.transcript)
            self._measure(sent, result, now, transcript)
            self._answer(order, result, now, transcript)
        elif not order.done:
            self._failed(order, result)
        self._unpack_unwanted(order)
        self._send_next()

    def _measure(self, sent: Sent, result: RecognitionResult, now: float, transcript: Transcript) -> None:
        took = now - sent.sent_at
        work = min(finite(result.recognize_seconds), took)
        if not transcript.retried:
            self.estimate.pace.measure(sent.order.utterance.seconds, work, now)
        if sent.was_free:
            self.estimate.measure_way(took - work, now)
        self.estimate.forecast.came(sent.order.expected or sent.expected, now - sent.order.asked_at, now)

    def _answer(self, order: Order, result: RecognitionResult, now: float, transcript: Transcript) -> None:
        if order.done:
            return
        self.counts["texts"] += 1
        took = now - order.asked_at
        work = min(finite(result.recognize_seconds), took)
        order.answer.set_result(Recognized(transcript, took - work, work, order.ahead, worker=result.worker))

    def _failed(self, order: Order, result: RecognitionResult) -> None:
        self.counts[f"failed: {result.failure.value if result.failure else 'without a reason'}"] += 1
        log.warning("a recognizer could not do an utterance", worker=result.worker, reason=result.reason)
        if result.failure is Failure.NO_AUDIO:
            self._unpack(order)
        lacks = result.failure in {Failure.UNAVAILABLE, Failure.NO_AUDIO}
        if lacks and order.may_wait and order.tries < TRIES:
            self._queue.put_back(order)
        else:
            order.fail(error_of(result, self._settings.retries + 1))

    # -- who is there

    async def hear_workers(self) -> None:
        """Until the broker is closed."""
        async with self._broker.subscribe(WORKERS_TOPIC) as told:
            async for delivery in told:
                with suppress(BrokerError):
                    await self._hear(delivery)

    async def _hear(self, delivery: Delivery) -> None:
        try:
            said = presence_in(delivery.message)
        except BadMessage as error:
            self.counts["forged" if isinstance(error, Impostor) else "garbage"] += 1
            await delivery.reject(str(error))
            return
        changed = self.workers.hear(said, self._loop.time())
        self._send_next()
        await delivery.ack()
        if changed:
            self._look()

    async def watch(self) -> None:
        """For ever: who has gone, what was lost, and what the broker may take by now."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        now = self._loop.time()
        self._give_up_lost(now)
        served = {need: self.hands(need).capacity > 0 for need in {one.need for one in self._orders}}
        for order in [one for one in self._orders if not one.may_wait and not served[one.need]]:
            order.fail(self._nobody(order.need))
        present = ((one.worker, one.state, one.model) for one in self.workers.present(now))
        there = (self.looked, self._status().connected, *present)
        if there != self._there:
            self._there = there
            self.on_change()
        self._send_next()

    def _give_up_lost(self, now: float) -> None:
        """A broker without leases loses what its dead recognizers had; whoever still waits is asked for again."""
        here = self.workers.here(now)
        for job_id, sent in list(self._sent.items()):
            self._look_after(sent, here)
            self._urge(sent, now)
            longest = 2 * self._lease + self._settings.hang_seconds + 4 * sent.order.utterance.seconds
            if not sent.published or now - sent.published_at <= longest + sent.expected:
                continue
            self._forget(job_id)
            self.counts["lost"] += 1
            if not sent.order.done and sent.order.may_wait and not sent.order.jobs:
                self._queue.put_back(sent.order)

    def _look_after(self, sent: Sent, here: frozenset[str]) -> None:
        """Where all are gone that were there for it, those that come need not wait until the lease of the dead is over.

        It may be done twice then; the text that is there first is taken.
        """
        orphaned = sent.published and not sent.among & here
        self._orphans += orphaned - sent.orphaned
        sent.orphaned = orphaned
        order = sent.order
        if orphaned and order.may_wait and not (order.done or order.behind or order.bypassed):
            order.bypassed = True
            self.counts["asked again, for all were gone"] += 1
            sent.urgency = order.urgency
            self._queue.discard(order)
            self._queue.put_back(order)

    def _urge(self, sent: Sent, now: float) -> None:
        """What was sent as a guess, and is the utterance, goes before all other guesses once it is late."""
        order = sent.order
        if sent.urgency is not Urgency.GUESS or order.urgency is not Urgency.FINAL or order.done:
            return
        late = now - sent.sent_at - sent.expected - self.estimate.forecast.spread(sent.expected, now)
        if order.may_wait and late > 0 and len(order.jobs) == 1:
            sent.urgency = Urgency.FINAL
            self._queue.put_back(order)

    # -- the end

    async def close(self, drain_seconds: float) -> None:
        """Wait so long for what is asked for, then fail the rest with RecognizerClosed."""
        answers = [order.answer for order in self._orders]
        if answers and drain_seconds > 0:
            await asyncio.wait(answers, timeout=drain_seconds)
        for order in list(self._orders):
            order.fail(RecognizerClosed("the recognizer was closed before this was transcribed"))
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
