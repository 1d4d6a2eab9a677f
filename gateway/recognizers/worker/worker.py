"""A recognizer that does the jobs of many gateways: one batch at a time, each told before it is settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, TypeVar

import numpy as np
import structlog
from msgspec import Struct

from gateway.broker.base import BrokerClosed, BrokerError, BrokerUnavailable, MessageBroker, RoutingKey
from gateway.contract.messages import BadMessage
from gateway.contract.recognition import (
    POOL_USER,
    RECOGNITION_TYPE,
    RESULTS_TOPIC,
    WORKER_SECONDS,
    WORKERS_TOPIC,
    AudioCodec,
    Failure,
    RecognitionJob,
    RecognitionResult,
    Urgency,
    decode_job,
    encode_recognition,
)
from gateway.recognizers.audio_codec import BadAudio, decoded, encoded
from gateway.recognizers.claim_checks import ClaimChecks, NotThere
from gateway.recognizers.worker.clocks import GatewayClocks
from gateway.recognizers.worker.forms import NotForUs, as_hints, as_result, as_utterance, check
from gateway.recognizers.worker.intake import JobIntake, TakenJob
from gateway.recognizers.worker.record import WorkRecord, is_able
from transcription.audio import SAMPLE_RATE
from transcription.errors import EngineFailed, GivenUp, ModelUnavailable, RecognizerClosed, WaitedTooLong
from transcription.names_in_log import names_of
from transcription.priority import priority_of
from transcription.recognizing import Recognizing
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import Utterance

log = structlog.get_logger(__name__)

WORKERS_TRIED: Final = 5
"""So many workers may die over a job; then it is poison."""
FETCHES: Final = 3
"""So often audio is fetched whose place does not answer."""
RETRY_SECONDS: Final = 0.5
MOST_UNTOLD: Final = 64
"""Results that wait for a broker to be back; nothing more is taken meanwhile."""
TELL_SECONDS: Final = 120.0
"""After so long nobody waits for a result, and the job goes to whoever finds it."""

_T = TypeVar("_T")


class WorkerName(Struct, frozen=True):
    """Who a worker is: its token on the broker, the model that it has, and how many it does together."""

    token: str
    model: str
    at_once: int
    version: str = ""


class ReadyJob(Struct, frozen=True, eq=False):
    """A job that can be begun. ``left``: so long somebody waits for it."""

    taken: TakenJob
    job: RecognitionJob
    utterance: Utterance
    left: float


def at_once(settings: TranscriptionSettings) -> int:
    """How many are taken together where so many wait, as a gateway's own engine does.

    A thread does four in two and a half to three times the time of one.
    """
    return 1 if settings.engine == "pocketsphinx" else settings.batch_utterances


def _in_log(job: RecognitionJob) -> dict[str, str]:
    """As its gateway's log has it."""
    return {**names_of(job.ids), "job": job.job_id, "gateway": job.gateway}


def _get_ready_to_decode() -> None:
    """What the first job would have to wait for: libraries are loaded."""
    decoded(
        encoded(np.zeros(SAMPLE_RATE // 10, np.int16), AudioCodec.FLAC), AudioCodec.FLAC, SAMPLE_RATE // 10
    )


class RecognizerWorker:
    """``await run()`` until ``leave()``; then it finishes what it has begun.

    ``recognizer`` is entered by whoever makes this, and closed after ``run``.
    """

    def __init__(
        self, name: WorkerName, broker: MessageBroker, recognizer: Recognizing, claims: ClaimChecks
    ) -> None:
        self.name = name
        self.record = WorkRecord()
        self._broker = broker
        self._recognizer = recognizer
        self._claims = claims
        self._clocks = GatewayClocks()
        self._intake = JobIntake(broker, name.model, name.at_once)
        self._changed = asyncio.Event()
        self._leaving = False
        self._is_in_place = False
        self._untold: set[asyncio.Task[None]] = set()
        self._presence_due = asyncio.Event()

    @property
    def leaving(self) -> bool:
        """Whether it takes nothing more."""
        return self._leaving

    @property
    def able(self) -> bool:
        """Whether it has the engine for its jobs, and is where they come."""
        return self._is_in_place and is_able(self._recognizer.state)

    def leave(self) -> None:
        """Take nothing more; ``run`` returns when what was begun is done and told."""
        self._leaving = True
        self._presence_due.set()
        self._changed.set()

    def recognizer_changed(self) -> None:
        """It has another state."""
        self._presence_due.set()
        self._changed.set()

    def broker_changed(self) -> None:
        """It was away, or is back."""
        self._intake.broker_changed()

    async def run(self) -> None:
        """Raises BrokerError where the broker refuses for good what it is asked."""
        presence = asyncio.create_task(self._be_present(), name="worker: presence")
        try:
            await asyncio.to_thread(_get_ready_to_decode)
            async with self._intake:
                self._is_in_place = True
                self._presence_due.set()
                while not self._leaving:
                    await self._work()
                await self._all_told()
        except BrokerClosed:
            log.info("the broker is closed")
        finally:
            presence.cancel()
            await asyncio.gather(presence, return_exceptions=True)
            for task in self._untold:
                task.cancel()
            await self._say_presence()

    async def _work(self) -> None:
        """Until there is an engine; then until there are jobs; then do them."""
        self._changed.clear()
        if not self.able or len(self._untold) >= MOST_UNTOLD:
            await self._changed.wait()
            return
        taken = await self._unless_changed(self._intake.next_jobs())
        if taken is None:
            await self._intake.give_back_rest()
            return
        spare = asyncio.create_task(self._intake.give_back_rest(), name="worker: what it has no time for")
        try:
            prepared = await asyncio.gather(*(self._prepared(job) for job in taken))
            await asyncio.gather(*(self._recognize(one) for one in prepared if one is not None))
        finally:
            await spare

    async def _unless_changed(self, work: Awaitable[_T]) -> _T | None:
        """What comes of it; None: there is something else to do first."""
        under_way = asyncio.ensure_future(work)
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({under_way, change}, return_when=asyncio.FIRST_COMPLETED)
            return under_way.result() if under_way.done() else None
        finally:
            change.cancel()
            under_way.cancel()
            await asyncio.gather(change, under_way, return_exceptions=True)

    # -- a job

    async def _prepared(self, taken: TakenJob) -> ReadyJob | None:
        """None: it is settled already, or will be."""
        try:
            job = decode_job(taken.delivery.message.payload)
            check(job, self.name.model)
        except (BadMessage, NotForUs) as error:
            self.record.dropped += 1
            await self._settle(taken, str(error))
            return None
        structlog.contextvars.bind_contextvars(**_in_log(job))  # gather() made this a task
        now = time.time()
        if taken.fresh:
            self._clocks.just_published(job, now)
        self.record.begin(taken, self._clocks.waited(job, now))
        if taken.attempt > WORKERS_TRIED:
            reason = f"{taken.attempt - 1} recognizers have died over it, or had to be ended"
            self._fail(taken, job, Failure.POISON, reason, reject=True)
            return None
        left = self._clocks.left(job, now)
        if left <= 0:
            self._fail(taken, job, Failure.LATE, "nobody waits for it any more")
            return None
        try:
            audio = await self._audio(job)
            samples = await asyncio.to_thread(decoded, audio, job.codec, job.samples)
        except (BadAudio, NotThere) as error:
            self._fail(taken, job, Failure.NO_AUDIO, str(error))
            return None
        return ReadyJob(taken, job, as_utterance(job, samples), left)

    async def _audio(self, job: RecognitionJob) -> bytes:
        """Raises NotThere."""
        if job.claim is None:
            return job.audio
        for again in range(FETCHES):
            try:
                return await self._claims.collect(job.claim)
            except BrokerUnavailable as error:
                if again == FETCHES - 1:
                    raise NotThere(f"it cannot be fetched: {error}") from error
                await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError("unreachable")

    async def _recognize(self, one: ReadyJob) -> None:
        job, taken = one.job, one.taken
        structlog.contextvars.bind_contextvars(**_in_log(job))
        try:
            found = await self._recognizer.transcribe(
                one.utterance,
                owner=f"{job.gateway}/{job.owner}",
                hints=as_hints(job.hints),
                deadline=one.left,
                kept=True,
                behind=job.urgency is Urgency.FILE,
                priority=priority_of(job.priority),
            )
        except RecognizerClosed:  # this process ends; whoever is there does it
            self.record.end(taken, None)
            await self._intake.give_back(taken)
        except GivenUp as error:
            self._fail(taken, job, Failure.POISON, str(error), reject=True)
        except EngineFailed as error:
            self._fail(taken, job, Failure.FAILED, str(error))
        except WaitedTooLong as error:
            self._fail(taken, job, Failure.LATE, str(error))
        except ModelUnavailable as error:
            self._fail(taken, job, Failure.UNAVAILABLE, str(error))
        else:
            self.record.done += 1
            self.record.end(taken, found.recognize_seconds)
            result = RecognitionResult(
                job_id=job.job_id,
                worker=self.name.token,
                transcript=as_result(found.transcript),
                waited_seconds=found.queue_seconds,
                recognize_seconds=found.recognize_seconds,
            )
            self._tell(taken, job, result)

    def _fail(
        self, taken: TakenJob, job: RecognitionJob, failure: Failure, reason: str, *, reject: bool = False
    ) -> None:
        log.warning("a job is not done", **_in_log(job), failure=failure.value, reason=reason)
        if failure is Failure.LATE:
            self.record.dropped += 1
        else:
            self.record.failed += 1
        self.record.end(taken, None)
        result = RecognitionResult(
            job_id=job.job_id, worker=self.name.token, failure=failure, reason=reason[:1_000]
        )
        self._tell(taken, job, result, reject=reason if reject else "")

    # -- telling

    def _tell(
        self, taken: TakenJob, job: RecognitionJob, result: RecognitionResult, reject: str = ""
    ) -> None:
        """The next job need not wait for it."""
        task = asyncio.create_task(
            self._told_and_settled(taken, job, result, reject), name=f"told: {job.job_id}"
        )
        self._untold.add(task)
        task.add_done_callback(self._untold.discard)
        task.add_done_callback(lambda _: self._changed.set() if self._is_full() else None)

    def _is_full(self) -> bool:
        return len(self._untold) >= MOST_UNTOLD - 1

    async def _told_and_settled(
        self, taken: TakenJob, job: RecognitionJob, result: RecognitionResult, reject: str
    ) -> None:
        """First the result is safe; only then nobody else need do it."""
        payload = encode_recognition(result)
        until = asyncio.get_running_loop().time() + TELL_SECONDS
        while True:
            try:
                await self._broker.publish(
                    RESULTS_TOPIC,
                    RoutingKey(POOL_USER, job.gateway, job.job_id),
                    payload,
                    correlation_id=job.job_id,
                    message_id=f"{job.job_id}.{self.name.token}.{result.failure or 'text'}".replace(" ", "-"),
                    content_type=RECOGNITION_TYPE,
                )
                break
            except BrokerUnavailable as error:
                if asyncio.get_running_loop().time() > until:
                    log.warning("a result could not be told", job=job.job_id, reason=str(error))
                    return
                await asyncio.sleep(RETRY_SECONDS)
            except BrokerError as error:
                log.error("a result cannot be told", job=job.job_id, reason=str(error))  # noqa: TRY400
                break
        await self._settle(taken, reject)

    async def _settle(self, taken: TakenJob, reject: str = "") -> None:
        """What was settled already, or whose lease is over, is somebody else's."""
        with suppress(BrokerError):
            if reject:
                log.warning("a job is rejected", reason=reject)
                await taken.delivery.reject(reject)
            else:
                await taken.delivery.ack()

    async def _all_told(self) -> None:
        if self._untold:
            await asyncio.wait(self._untold)

    # -- presence

    async def _be_present(self) -> None:
        while True:
            await self._say_presence()
            self._presence_due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(WORKER_SECONDS):
                    await self._presence_due.wait()

    async def _say_presence(self) -> None:
        name = self.name
        presence = self.record.presence(
            name.token,
            self._recognizer.state,
            name.model,
            name.at_once,
            able=self.able,
            leaving=self._leaving,
            version=name.version,
        )
        with suppress(BrokerError):  # how the broker is, is told elsewhere
            await self._broker.publish(
                WORKERS_TOPIC,
                RoutingKey(POOL_USER, name.token, "presence"),
                encode_recognition(presence),
                content_type=RECOGNITION_TYPE,
            )
