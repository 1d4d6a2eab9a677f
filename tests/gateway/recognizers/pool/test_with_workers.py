"""The pool with the recognizers that there really are, over real brokers: every kind of job, in competition."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gateway.broker.opening import open_broker
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.pooled import pooled, until
from tests.gateway.recognizers.pool.workers import MODEL, spoken
from tests.gateway.recognizers.worker.works import WaitingEngine, Worker
from transcription.recognizing import Phase

LONG_SECONDS = 20.0
"""Of noise: more than may lie in a job."""


def gate(url: str) -> Any:
    return open_broker(url, BrokerSettings(client_id="gate", lease_seconds=1, keep_for_groups=()))


async def every_kind(url: str) -> None:
    """A guess that becomes final, looks at speech that goes on, a recording, and what is too large for a job."""
    broker, utterance, engine = gate(url), spoken(1.0), WaitingEngine()
    shown: list[str] = []
    async with pooled(broker) as recognizer, Worker(url, engine, model=MODEL, name="w1"):
        await until(lambda: recognizer.state.phase is Phase.READY)
        first = await recognizer.transcribe(
            spoken(0.125), owner="a", deadline=20
        )  # how fast they are is known
        following = recognizer.follow(owner="a", on_text=lambda transcript: shown.append(transcript.text))
        following.ask(spoken(0.5))
        await until(lambda: bool(shown))
        following.drop()
        guess = recognizer.guess(utterance, owner="a")
        assert guess is not None
        done = [
            first,
            await recognizer.transcribe(utterance, owner="a", deadline=20, guess=guess),
            await recognizer.transcribe(spoken(0.25), owner="c", behind=True),
            await recognizer.transcribe(spoken(LONG_SECONDS, loudness=20_000), owner="b", deadline=20),
        ]
    await broker.close(0.0)
    assert [one.transcript.text for one in done] == ["2000 None", "16000 None", "4000 None", "320000 None"]
    assert {one.worker for one in done} == {"w1"}
    assert sorted(engine.did) == [2_000, 4_000, 8_000, 16_000, 320_000], "each once"


@pytest.mark.slow
async def test_over_redis(redis: Any) -> None:
    await every_kind(redis.url)


@pytest.mark.slow
async def test_over_nats(nats: Any) -> None:
    await every_kind(nats.url)


@pytest.mark.slow
async def test_over_rabbitmq(rabbitmq: Any) -> None:
    await every_kind(rabbitmq.url)


@pytest.mark.slow
async def test_over_mqtt(mosquitto: Any) -> None:
    await every_kind(mosquitto.url)


@pytest.mark.slow
async def test_many_are_shared_out_and_each_is_done_once(redis: Any) -> None:
    broker = gate(redis.url)
    engines = [WaitingEngine(lambda _: threading.Event().wait(0.02)) for _ in range(3)]
    async with (
        pooled(broker) as recognizer,
        Worker(redis.url, engines[0], model=MODEL),
        Worker(redis.url, engines[1], model=MODEL),
        Worker(redis.url, engines[2], model=MODEL),
    ):
        await until(lambda: len(recognizer.pool.present) == 3 and recognizer.state.phase is Phase.READY)
        lengths = [1_600 + at for at in range(60)]
        done = await asyncio.gather(
            *(
                recognizer.transcribe(spoken(samples / 16_000), owner=f"d{samples % 7}", deadline=30)
                for samples in lengths
            )
        )
    await broker.close(0.0)
    assert [one.transcript.text for one in done] == [f"{samples} None" for samples in lengths]
    assert sorted(length for engine in engines for length in engine.did) == lengths
    assert all(engine.did for engine in engines)


@pytest.mark.slow
async def test_one_that_leaves_gives_way_to_the_next(redis: Any) -> None:
    broker = gate(redis.url)
    async with pooled(broker) as recognizer:
        for name in ("w1", "w2"):
            async with Worker(redis.url, WaitingEngine(), model=MODEL, name=name):
                await until(lambda: recognizer.state.phase is Phase.READY)
                done = await recognizer.transcribe(spoken(0.5), owner="a", deadline=20)
                assert done.worker == name
            await until(lambda: recognizer.state.phase is not Phase.READY)
    await broker.close(0.0)
