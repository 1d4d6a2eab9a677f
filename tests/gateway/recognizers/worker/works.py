"""A worker with an engine that only waits, and a gateway's side that is as small as can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import numpy as np
from msgspec import structs

from gateway.broker.base import MessageBroker, RoutingKey, Subscription
from gateway.broker.opening import open_broker
from gateway.contract.messages import new_id
from gateway.contract.recognition import (
    RECOGNITION_TYPE,
    RESULTS_TOPIC,
    WORKERS_TOPIC,
    AudioCodec,
    RecognitionJob,
    RecognitionResult,
    Urgency,
    WorkerPresence,
    decode_result,
    decode_worker,
    encode_recognition,
    jobs_topic,
)
from gateway.recognizers.audio_codec import encoded
from gateway.recognizers.claim_checks import ClaimChecks
from gateway.recognizers.worker.worker import RecognizerWorker, WorkerName
from gateway.settings.broker import BrokerSettings
from tests.record import PATIENCE
from transcription.audio import SAMPLE_RATE, Samples
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Transcript, untold
from transcription.utterance.segmenter import Utterance

LEASE_SECONDS = 1.0


class WaitingEngine:
    """Its text is how many samples there were. ``gate``: it waits for this, in its thread, before each."""

    engine = model = "waiting"

    def __init__(self, gate: Callable[[Utterance], None] = lambda _: None) -> None:
        self.gate = gate
        self.did: list[int] = []

    def load(self, on_progress: OnProgress = untold) -> None:
        pass

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self.gate(utterance)
        self.did.append(len(utterance.samples))
        return Transcript(
            text=f"{len(utterance.samples)} {hints.language}", language="en", confidence=0.9,
            no_speech_probability=0.1, segments=(), engine="waiting", model="waiting", seconds=0.0,
        )  # fmt: skip

    def close(self) -> None:
        pass


def settings(url: str, **changes: Any) -> BrokerSettings:
    return structs.replace(
        BrokerSettings(url=url, lease_seconds=LEASE_SECONDS, keep_for_groups=(), client_id=new_id("c")[:20]),
        **changes,
    )


class Worker:
    """``async with``: at work in this process, until its end or ``die``."""

    def __init__(self, url: str, engine: Any, *, model: str, name: str = "", at_once: int = 1) -> None:
        self.broker = open_broker(url, settings(url))
        transcription = TranscriptionSettings(model=model, engine="faster-whisper", batch_utterances=at_once)
        self.recognizer = Recognizer(
            transcription, self._changed, open_engine=lambda _settings, **_how: OpenEngine(engine)
        )
        self.worker: RecognizerWorker | None = None
        self._name = WorkerName(name or new_id("w")[:12], model, at_once)

    def _changed(self, _state: object) -> None:
        if self.worker is not None:
            self.worker.recognizer_changed()

    async def __aenter__(self) -> Self:
        await self.recognizer.__aenter__()
        self.worker = RecognizerWorker(self._name, self.broker, self.recognizer, ClaimChecks(self.broker))
        self.task = asyncio.create_task(self.worker.run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self.worker is not None
        self.worker.leave()
        await self.task
        await self.recognizer.__aexit__(None, None, None)
        await self.broker.close(0.0)


def job(samples: Samples | int = 1_600, *, model: str, **changes: Any) -> RecognitionJob:
    audio = samples if not isinstance(samples, int) else np.zeros(samples, np.int16)
    one = RecognitionJob(
        job_id=new_id("j"), gateway="gateway-a", urgency=Urgency.FINAL, model=model, asked_at=time.time(),
        codec=AudioCodec.FLAC, audio=encoded(audio, AudioCodec.FLAC), samples=len(audio), speech_end=len(audio),
    )  # fmt: skip
    return structs.replace(one, **changes)


class Asker:
    """The gateway's side."""

    def __init__(self, broker: MessageBroker, results: Subscription, workers: Subscription) -> None:
        self.broker = broker
        self._results = results
        self._workers = workers
        self.told: list[RecognitionResult] = []

    async def ask(self, one: RecognitionJob, payload: bytes | None = None) -> None:
        await self.broker.publish(
            jobs_topic(one.model, one.urgency),
            RoutingKey("pool", one.gateway, one.job_id),
            encode_recognition(one) if payload is None else payload,
            content_type=RECOGNITION_TYPE,
        )

    async def result(self) -> RecognitionResult:
        async with asyncio.timeout(PATIENCE):
            delivery = await anext(self._results)
        await delivery.ack()
        self.told.append(decode_result(delivery.message.payload))
        return self.told[-1]

    async def presence(self, wanted: Callable[[WorkerPresence], bool]) -> WorkerPresence:
        async with asyncio.timeout(PATIENCE):
            async for delivery in self._workers:
                await delivery.ack()
                found = decode_worker(delivery.message.payload)
                if wanted(found):
                    return found
        raise AssertionError("the broker was closed")


@asynccontextmanager
async def asker(url: str) -> AsyncIterator[Asker]:
    broker = open_broker(url, settings(url))
    async with (
        broker.subscribe(RESULTS_TOPIC, "device.gateway-a") as results,
        broker.subscribe(WORKERS_TOPIC) as workers,
    ):
        yield Asker(broker, results, workers)
    await broker.close(0.0)


def loud(seconds: float) -> Samples:
    return (8_000 * np.sin(np.arange(int(seconds * SAMPLE_RATE)) / 10)).astype(np.int16)
