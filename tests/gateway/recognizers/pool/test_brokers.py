"""The pool over real brokers, which go away, forget and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.broker.base import MessageBroker
from gateway.broker.opening import open_broker
from gateway.contract.recognition import RecognitionJob
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.pooled import BROKER, OwnEngine, pooled, until
from tests.gateway.recognizers.pool.workers import MODEL, StandInWorker, spoken
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.redis import Redis
from transcription.recognizing import Phase
from transcription.settings import TranscriptionSettings


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[MessageBroker]:
    broker = open_broker(url, BrokerSettings(client_id=name, lease_seconds=1, keep_for_groups=()))
    try:
        yield broker
    finally:
        await broker.close(0.0)


async def through(url: str) -> None:
    """An utterance, a guess and a recording, each with its text."""
    async with (
        connected(url, "gate") as here,
        connected(url, "worker") as there,
        pooled(here) as recognizer,
        StandInWorker(there, capacity=2).at_work() as worker,
    ):
        await until(lambda: recognizer.state.phase is Phase.READY)
        utterance = spoken(1.0)
        guess = recognizer.guess(utterance, owner="a")
        done = await asyncio.gather(
            recognizer.transcribe(utterance, owner="a", deadline=20, guess=guess),
            recognizer.transcribe(spoken(0.5), owner="b", deadline=20),
            recognizer.transcribe(spoken(0.25), owner="c", behind=True),
        )
    assert [one.transcript.text for one in done] == ["16000 a", "8000 b", "4000 c"]
    assert len(worker.jobs) == 3


@pytest.mark.slow
async def test_over_redis(redis: Redis) -> None:
    await through(redis.url)


@pytest.mark.slow
async def test_over_nats(nats: Nats) -> None:
    await through(nats.url)


@pytest.mark.slow
async def test_over_mqtt(mosquitto: Mosquitto) -> None:
    await through(mosquitto.url)


@pytest.mark.slow
async def test_a_broker_that_goes_away_and_comes_back_loses_no_text(redis: Redis) -> None:
    held = asyncio.Event()

    async def work(worker: StandInWorker, job: RecognitionJob) -> None:
        await held.wait()
        await worker.tell(job)

    async with (
        connected(redis.url, "gate") as here,
        connected(redis.url, "worker") as there,
        pooled(here) as recognizer,
        StandInWorker(there, work=work, capacity=4).at_work() as worker,
    ):
        await until(lambda: recognizer.state.phase is Phase.READY)
        before = asyncio.create_task(recognizer.transcribe(spoken(1.0), owner="a", deadline=30))
        await until(lambda: len(worker.jobs) == 1)
        await asyncio.to_thread(redis.kill)
        meanwhile = asyncio.create_task(recognizer.transcribe(spoken(0.5), owner="b", deadline=30))
        await until(lambda: recognizer.pool.counts["not taken by the broker"] > 0)
        await asyncio.to_thread(redis.start)
        await until(lambda: len({job.job_id for job in worker.jobs}) >= 2, 30)
        held.set()
        done = await asyncio.wait_for(meanwhile, 30)
        assert done.transcript.text == "8000 b"
        before.cancel()


@pytest.mark.slow
async def test_with_an_engine_of_its_own_nobody_notices_that_the_broker_is_gone(redis: Redis) -> None:
    async with (
        connected(redis.url, "gate") as here,
        connected(redis.url, "worker") as there,
        pooled(here, OwnEngine()) as recognizer,
        StandInWorker(there).at_work(),
    ):
        await until(lambda: len(recognizer.pool.present) == 1)
        await asyncio.to_thread(redis.kill)
        try:
            done = await asyncio.gather(
                *(recognizer.transcribe(spoken(0.5), owner=f"o{n}", deadline=30) for n in range(5))
            )
        finally:
            await asyncio.to_thread(redis.start)
    assert {one.transcript.text for one in done} == {"by myself"}


@pytest.mark.slow
async def test_a_broker_that_is_away_for_longer_than_any_work_takes_loses_no_text(redis: Redis) -> None:
    brief = TranscriptionSettings(model=MODEL, hang_seconds=0.1)
    async with (
        connected(redis.url, "gate") as here,
        connected(redis.url, "worker") as there,
        pooled(here, settings=brief) as recognizer,
        StandInWorker(there, seconds_per_job=0.01).at_work(),
    ):
        await until(lambda: recognizer.state.phase is Phase.READY)
        await recognizer.transcribe(spoken(0.2), owner="b", deadline=60)
        await recognizer.transcribe(spoken(0.2), owner="b", behind=True)  # it reads all kinds by now
        await asyncio.to_thread(redis.kill)
        asked = asyncio.create_task(recognizer.transcribe(spoken(0.1), owner="b", deadline=60))
        await until(lambda: recognizer.pool.counts["not taken by the broker"] > 0)
        await asyncio.sleep(2 * BROKER.lease_seconds + brief.hang_seconds + 1.5)  # so long it could be lost
        assert recognizer.pool.counts["lost"] == 0
        await asyncio.to_thread(redis.start)
        assert (await asyncio.wait_for(asked, 30)).transcript.text == "1600 b"
