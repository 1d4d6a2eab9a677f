"""A recognizer of the test's own, on any broker: it does with jobs what the test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from gateway.broker.base import BrokerError, BrokerUnavailable, MessageBroker, RoutingKey
from gateway.contract.recognition import (
    RECOGNITION_TYPE,
    RECOGNIZERS_GROUP,
    RESULTS_TOPIC,
    WORKERS_TOPIC,
    Failure,
    RecognitionJob,
    RecognitionResult,
    ResultText,
    Urgency,
    WorkerPresence,
    decode_job,
    encode_recognition,
    jobs_topic,
)
from transcription.audio import SAMPLE_RATE
from transcription.utterance.segmenter import EndReason, Utterance

MODEL = "base"
PRESENCE_SECONDS = 0.2

Work = Callable[["StandInWorker", RecognitionJob], Awaitable[None]]


async def answers(worker: StandInWorker, job: RecognitionJob) -> None:
    """With the number of samples, and for whom."""
    await worker.tell(job)


@dataclass(eq=False)
class StandInWorker:
    """``jobs`` has all that it was given, in order."""

    broker: MessageBroker
    name: str = "w1"
    work: Work = answers
    model: str = MODEL
    capacity: int = 1
    languages: tuple[str, ...] = ()
    state: str = "here"
    seconds_per_job: float = 0.0
    jobs: list[RecognitionJob] = field(default_factory=list)
    busy: int = 0
    silent: bool = False

    async def say(self, **changes: object) -> None:
        """That it is there."""
        said = WorkerPresence(
            worker=self.name, state=self.state, model=self.model, languages=self.languages,
            capacity=self.capacity, busy=self.busy, seconds_per_job=self.seconds_per_job, timestamp=time.time(),
        )  # fmt: skip
        await self.broker.publish(
            WORKERS_TOPIC,
            RoutingKey("pool", self.name, "presence"),
            encode_recognition(said),
            content_type=RECOGNITION_TYPE,
        )

    async def tell(
        self, job: RecognitionJob, text: str = "", *, failure: Failure | None = None, worker: str = "",
        seconds: float = 0.01,
    ) -> None:  # fmt: skip
        """The result of a job."""
        said = ResultText(
            text=text or f"{job.samples} {job.owner}".strip(), language="en", confidence=0.9,
            no_speech_probability=0.1, engine="stand-in", model=self.model, seconds=seconds,
        )  # fmt: skip
        result = RecognitionResult(
            job_id=job.job_id,
            worker=worker or self.name,
            transcript=None if failure else said,
            failure=failure,
            reason="as the test says" if failure else "",
            recognize_seconds=seconds,
        )
        await self.publish(job, encode_recognition(result))

    async def publish(self, job: RecognitionJob, payload: bytes) -> None:
        """Whatever it is, as the result of a job; as a recognizer does, until the broker has it."""
        key = RoutingKey("pool", job.gateway, job.job_id)
        while True:
            try:
                await self.broker.publish(RESULTS_TOPIC, key, payload, content_type=RECOGNITION_TYPE)
            except BrokerUnavailable:  # it reads again before it may write again
                await asyncio.sleep(0.05)
            else:
                return

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._say_often())
            for urgency in Urgency:
                tasks.create_task(self._take(urgency))

    async def _say_often(self) -> None:
        while True:
            if not self.silent:
                with suppress(BrokerError):
                    await self.say()
            await asyncio.sleep(PRESENCE_SECONDS)

    async def _take(self, urgency: Urgency) -> None:
        topic = jobs_topic(self.model, urgency)
        async with (
            self.broker.subscribe(topic, group=RECOGNIZERS_GROUP) as jobs,
            asyncio.TaskGroup() as tasks,
        ):
            async for delivery in jobs:
                job = decode_job(delivery.message.payload)
                self.jobs.append(job)
                tasks.create_task(self._do(job))
                await delivery.ack()

    async def _do(self, job: RecognitionJob) -> None:
        self.busy += 1
        try:
            await self.work(self, job)
        finally:
            self.busy -= 1

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[StandInWorker]:
        """It takes jobs meanwhile."""
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def spoken(seconds: float = 1.0, start: int = 0, loudness: int = 1_000) -> Utterance:
    """An utterance that is noise."""
    count = int(seconds * SAMPLE_RATE)
    samples = np.random.default_rng(count).integers(-loudness, loudness, count).astype(np.int16)
    return Utterance(
        samples=samples, start=start, end=start + count, speech_end=start + count, has_speech=True,
        end_reason=EndReason.SILENCE,
    )  # fmt: skip
