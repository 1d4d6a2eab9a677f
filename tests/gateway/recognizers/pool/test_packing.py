"""Audio inside its job, beside it, or nowhere: told where it was put, and gone when nobody needs it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.broker.base import BufferFull, MessageBroker
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.recognition import INLINE_BYTES, AudioCodec, Failure, RecognitionJob
from gateway.recognizers.audio_codec import decoded
from gateway.recognizers.claim_checks import ClaimChecks, HeldAudio, NotThere
from gateway.recognizers.pool.packing import LEAST_KEPT_SECONDS, Packing
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.pooled import pooled, until
from tests.gateway.recognizers.pool.workers import StandInWorker, spoken
from tests.servers.nats import Nats
from tests.servers.redis import Redis
from transcription.errors import TranscriptionError
from transcription.recognizing import Phase

LONG_SECONDS = 20.0
"""Of noise, which no codec makes smaller: more than may lie in a job."""


@asynccontextmanager
async def opened(url: str, name: str = "gate") -> AsyncIterator[MessageBroker]:
    broker = open_broker(url, BrokerSettings(client_id=name, lease_seconds=1, keep_for_groups=()))
    try:
        yield broker
    finally:
        await broker.close(0.0)


class Fetching:
    """What recognizers do with jobs: collect the audio, and answer with the number of samples."""

    def __init__(self, broker: MessageBroker, *, loses: int = 0) -> None:
        self.claims = ClaimChecks(broker)
        self.loses = loses

    async def __call__(self, worker: StandInWorker, job: RecognitionJob) -> None:
        assert job.claim is not None
        assert not job.audio
        if len(worker.jobs) <= self.loses:
            await self.claims.discard(job.claim)
            await worker.tell(job, failure=Failure.NO_AUDIO)
            return
        samples = decoded(await self.claims.collect(job.claim), job.codec, job.samples)
        await worker.tell(job, f"{len(samples)} samples")


async def test_what_is_small_lies_in_its_job() -> None:
    utterance = spoken(1.0)
    async with opened(MEMORY) as broker:
        packed = await Packing(broker, AudioCodec.FLAC).pack(utterance, 10.0)
    assert packed.claim is None
    assert np.array_equal(decoded(packed.inside, packed.codec, len(utterance.samples)), utterance.samples)


async def test_where_the_broker_keeps_messages_only_more_lies_in_a_job() -> None:
    async with opened(MEMORY) as broker:
        packing = Packing(broker, AudioCodec.FLAC)
        packed = await packing.pack(spoken(LONG_SECONDS, loudness=20_000), 10.0)
        assert packed.claim is None
        assert len(packed.inside) > INLINE_BYTES
        await packing.discard(packed)


async def test_but_not_without_end_and_it_says_what_helps() -> None:
    async with opened(MEMORY) as broker:
        with pytest.raises(BufferFull, match=r"60 s of audio are too large.*opus"):
            await Packing(broker, AudioCodec.FLAC).pack(spoken(60.0, loudness=20_000), 10.0)


async def test_a_gateway_that_can_be_reached_keeps_it_itself() -> None:
    held, utterance = HeldAudio("https://hall.house", most_bytes=2_500_000), spoken(60.0, loudness=20_000)
    async with opened(MEMORY) as broker:
        packing = Packing(broker, AudioCodec.FLAC, held)
        packed = await packing.pack(utterance, 10.0)
        assert packed.claim is not None
        assert packed.claim.key.startswith("https://hall.house/recognition/audio/")
        small = await packing.pack(spoken(LONG_SECONDS, loudness=20_000), 10.0)
        assert small.claim is None, "there is no room for it any more, and it fits into its job"
        with pytest.raises(BufferFull, match=r"60 s of audio are too large.*wait to be fetched already"):
            await packing.pack(utterance, 10.0)
        await packing.discard(packed)
        assert held.give(packed.claim.key.rpartition("/")[2]) is None
        assert (await packing.pack(utterance, 10.0)).claim is not None


async def test_opus_makes_it_small_enough() -> None:
    async with opened(MEMORY) as broker:
        packed = await Packing(broker, AudioCodec.OPUS).pack(spoken(60.0, loudness=20_000), None)
    assert packed.codec is AudioCodec.OPUS
    assert len(packed.inside) < INLINE_BYTES


async def test_as_it_is_heard_it_needs_no_codec() -> None:
    utterance = spoken(2.0)
    async with opened(MEMORY) as broker:
        packed = await Packing(broker, AudioCodec.PCM).pack(utterance, 10.0)
    assert packed.inside == utterance.samples.tobytes()
    assert np.array_equal(decoded(packed.inside, packed.codec, len(utterance.samples)), utterance.samples)


async def test_what_fits_nowhere_is_an_error_of_its_utterance_alone() -> None:
    async with (
        opened(MEMORY) as broker,
        pooled(broker) as recognizer,
        StandInWorker(broker).at_work(),
    ):
        await until(lambda: recognizer.state.phase is Phase.READY)
        with pytest.raises(TranscriptionError, match="too large"):
            await recognizer.transcribe(spoken(60.0, loudness=20_000), owner="a", deadline=10)
        done = await recognizer.transcribe(spoken(1.0), owner="a", deadline=10)
        assert done.transcript.text == "16000 a"


async def through_a_store(url: str) -> None:
    """Lost once, left again, and gone at the end."""
    utterance = spoken(LONG_SECONDS, loudness=20_000)
    async with opened(url) as here, opened(url, "worker") as there:
        fetching = Fetching(there, loses=1)
        worker = StandInWorker(there, work=fetching)
        async with pooled(here) as recognizer, worker.at_work():
            await until(lambda: recognizer.state.phase is Phase.READY)
            done = await recognizer.transcribe(utterance, owner="a", deadline=20)
            assert done.transcript.text == f"{len(utterance.samples)} samples"
            lost, found = (job.claim for job in worker.jobs)
            assert lost is not None
            assert found is not None
            assert lost.key != found.key
            async with asyncio.timeout(10):
                while await is_there(fetching.claims, found):  # noqa: ASYNC110 - nothing announces it
                    await asyncio.sleep(0.01)


async def is_there(claims: ClaimChecks, claim: object) -> bool:
    try:
        await claims.collect(claim)  # type: ignore[arg-type]
    except NotThere:
        return False
    return True


@pytest.mark.slow
async def test_over_redis_it_lies_beside_its_job_and_is_left_again_when_it_is_lost(redis: Redis) -> None:
    await through_a_store(redis.url)


@pytest.mark.slow
async def test_over_nats_too(nats: Nats) -> None:
    await through_a_store(nats.url)


@pytest.mark.slow
async def test_it_is_there_for_a_recognizer_that_takes_over_though_nobody_waits_long(redis: Redis) -> None:
    async with opened(redis.url) as broker:
        packed = await Packing(broker, AudioCodec.FLAC).pack(spoken(LONG_SECONDS, loudness=20_000), 0.5)
        assert packed.claim is not None
        assert LEAST_KEPT_SECONDS > 0.5
        await asyncio.sleep(1.0)
        assert await is_there(ClaimChecks(broker), packed.claim)
