"""A worker does jobs in the order of their urgency, holds none that another could do, and tells before it settles."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import structlog
from msgspec import structs
from structlog.testing import capture_logs

from gateway.broker.base import RoutingKey
from gateway.broker.network import NetworkBroker
from gateway.contract.messages import new_id
from gateway.contract.recognition import (
    AudioCodec,
    ClaimCheck,
    Failure,
    JobHints,
    Urgency,
    encode_recognition,
    jobs_topic,
)
from gateway.recognizers.claim_checks import ClaimChecks
from gateway.recognizers.worker import worker as workers
from gateway.recognizers.worker.intake import FRESH_SECONDS, MOST_PASSED_ON
from gateway.recognizers.worker.worker import at_once
from tests.gateway.broker.contract import until
from tests.gateway.recognizers.worker.works import Asker, WaitingEngine, Worker, asker, job, loud
from transcription.errors import EngineFailed
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import Utterance

pytestmark = pytest.mark.slow

KEY = RoutingKey("pool", "gateway-a", "x")
ALL = ("redis", "nats", "rabbitmq", "mosquitto")


@pytest.fixture
def model() -> str:
    """Topics of its own: the servers are shared."""
    return new_id("m")[:16]


@pytest.fixture(params=["redis", "nats", "rabbitmq"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param).url)


@pytest_asyncio.fixture
async def gateway(url: str) -> AsyncIterator[Asker]:
    async with asker(url) as one:
        yield one


class Gate:
    """An engine that stops at each utterance until it is let on."""

    def __init__(self) -> None:
        self.reached = asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()
        self._open = threading.Semaphore(0)

    def __call__(self, _utterance: Utterance) -> None:
        self._loop.call_soon_threadsafe(self.reached.release)
        assert self._open.acquire(timeout=30.0)

    def let_on(self, count: int = 1) -> None:
        self._open.release(count)


@pytest.mark.parametrize("kind", ALL)
async def test_a_final_is_done_over_each_broker(
    request: pytest.FixtureRequest, kind: str, model: str
) -> None:
    url = str(request.getfixturevalue(kind).url)
    async with asker(url) as gateway, Worker(url, WaitingEngine(), model=model) as at_work:
        here = await gateway.presence(lambda told: told.model == model and told.state == "here")
        assert (here.capacity, here.busy, here.worker) == (1, 0, at_work.worker.name.token)  # type: ignore[union-attr]
        one = job(loud(1.0), model=model, hints=JobHints(language="de"))
        await gateway.ask(one)
        result = await gateway.result()
        assert (result.job_id, result.failure, result.worker) == (one.job_id, None, here.worker)
        assert result.transcript is not None
        assert result.transcript.text == "16000 de"
        await gateway.presence(lambda told: told.worker == here.worker and told.done == 1)


async def test_what_is_more_urgent_is_next(gateway: Asker, url: str, model: str) -> None:
    gate = Gate()
    engine = WaitingEngine(gate)
    async with Worker(url, engine, model=model):
        await gateway.presence(lambda told: told.model == model and told.state == "here")
        await gateway.ask(job(100, model=model, urgency=Urgency.PARTIAL))
        await gate.reached.acquire()
        for samples, urgency in (
            (4, Urgency.FILE),
            (3, Urgency.PARTIAL),
            (2, Urgency.GUESS),
            (1, Urgency.FINAL),
        ):
            await gateway.ask(job(samples, model=model, urgency=urgency))
        gate.let_on(5)
        for _ in range(5):
            await gateway.result()
    assert engine.did == [100, 1, 2, 3, 4]


async def test_who_is_busy_holds_nothing_that_another_could_do(gateway: Asker, url: str, model: str) -> None:
    """Also what comes on a request that was open when the work began."""
    gate = Gate()
    async with Worker(url, WaitingEngine(gate), model=model, name="busy") as busy:
        await gateway.presence(lambda told: told.worker == "busy" and told.state == "here")
        await gateway.ask(job(model=model))
        await gate.reached.acquire()
        for urgency in Urgency:  # at once, while its other requests may still be open
            await gateway.ask(job(model=model, urgency=urgency))
        async with Worker(url, WaitingEngine(), model=model, name="idle"):
            told = [await gateway.result() for _ in Urgency]
            assert {one.worker for one in told} == {"idle"}
            assert busy.worker is not None
            assert busy.worker.record.busy == 1
            gate.let_on()
            assert (await gateway.result()).worker == "busy"


async def test_many_wait_and_each_is_done_once(gateway: Asker, url: str, model: str) -> None:
    jobs = [job(samples, model=model, urgency=urgency) for samples in range(1, 11) for urgency in Urgency]
    async with (
        Worker(url, WaitingEngine(), model=model, at_once=4) as one,
        Worker(url, WaitingEngine(), model=model) as two,
    ):
        await gateway.presence(lambda told: told.model == model and told.state == "here")
        for each in jobs:
            await gateway.ask(each)
        told = [await gateway.result() for _ in jobs]
        assert sorted(result.job_id for result in told) == sorted(each.job_id for each in jobs)
        assert {result.failure for result in told} == {None}
        assert one.worker is not None
        assert two.worker is not None
        await until(lambda: one.worker.record.done + two.worker.record.done == len(jobs))  # type: ignore[union-attr]


async def test_leaving_finishes_and_takes_no_more(gateway: Asker, url: str, model: str) -> None:
    gate = Gate()
    async with Worker(url, WaitingEngine(gate), model=model, name="leaves") as leaves:
        await gateway.presence(lambda told: told.worker == "leaves" and told.state == "here")
        await gateway.ask(job(model=model))
        await gate.reached.acquire()
        assert leaves.worker is not None
        leaves.worker.leave()
        await gateway.presence(
            lambda told: told.worker == "leaves" and told.state == "leaving" and told.busy == 1
        )
        await gateway.ask(job(7, model=model))
        gate.let_on()
        assert (await gateway.result()).worker == "leaves"
        await leaves.task
        async with Worker(url, WaitingEngine(), model=model, name="stays"):
            assert (await gateway.result()).worker == "stays"


@pytest.mark.parametrize("url", ["redis", "nats"], indirect=True)
async def test_large_audio_is_collected(gateway: Asker, url: str, model: str) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, 320_000).astype(np.int16)
    one = job(samples, model=model)
    assert isinstance(gateway.broker, NetworkBroker)
    claim = await ClaimChecks(gateway.broker).leave(one.audio, 60.0)
    async with Worker(url, WaitingEngine(), model=model):
        await gateway.ask(structs.replace(one, audio=b"", claim=claim))
        result = await gateway.result()
        assert result.transcript is not None
        assert result.transcript.text == "320000 None"
        lost = ClaimCheck(place="store", key="nothing-there", bytes=5, sha256=hashlib.sha256(b"").hexdigest())
        await gateway.ask(structs.replace(one, audio=b"", claim=lost))
        assert (await gateway.result()).failure is Failure.NO_AUDIO


async def test_what_cannot_be_done_is_told(
    gateway: Asker, url: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(utterance: Utterance) -> None:
        if len(utterance.samples) == 13:
            raise EngineFailed("thirteen")

    async with Worker(url, WaitingEngine(fail), model=model):
        await gateway.presence(lambda told: told.model == model and told.state == "here")
        one = job(1_600, model=model)
        for wrong, failure in (
            (job(13, model=model), Failure.FAILED),
            (structs.replace(one, samples=1_599), Failure.NO_AUDIO),
            (structs.replace(one, audio=b"RIFF"), Failure.NO_AUDIO),
            (structs.replace(one, codec=AudioCodec.OPUS), Failure.NO_AUDIO),
            (structs.replace(one, asked_at=time.time() - 3_600), Failure.LATE),
        ):
            await gateway.ask(structs.replace(wrong, job_id=new_id("j")))
            result = await gateway.result()
            assert (result.failure, result.transcript) == (failure, None)
            assert result.reason
        monkeypatch.setattr(workers, "WORKERS_TRIED", 0)
        await gateway.ask(one)
        assert (await gateway.result()).failure is Failure.POISON


@pytest.mark.parametrize("url", ["redis", "nats"], indirect=True)
async def test_what_waited_before_anybody_came_is_done(gateway: Asker, url: str, model: str) -> None:
    jobs = [job(samples, model=model) for samples in range(1, 4)]
    for one in jobs:
        await gateway.ask(one)
    engine = WaitingEngine()
    async with Worker(url, engine, model=model):
        told = [(await gateway.result()).job_id for _ in jobs]
    assert told == [one.job_id for one in jobs]
    assert engine.did == [1, 2, 3]


@pytest.mark.parametrize("url", ["redis", "rabbitmq"], indirect=True)
async def test_what_comes_twice_is_told_twice_under_one_name(gateway: Asker, url: str, model: str) -> None:
    """Who asked knows it by that; a recognizer remembers nothing. NATS does, and hands on one."""
    async with Worker(url, WaitingEngine(), model=model):
        await gateway.presence(lambda told: told.model == model and told.state == "here")
        one = job(3, model=model)
        await gateway.ask(one)
        await gateway.ask(one)
        first, second = await gateway.result(), await gateway.result()
        assert first.job_id == second.job_id == one.job_id
        assert first.transcript == second.transcript


async def test_a_clock_that_is_an_hour_off_is_known_once_a_job_came_at_once(
    gateway: Asker, url: str, model: str
) -> None:
    async with Worker(url, WaitingEngine(), model=model):
        await gateway.presence(lambda told: told.model == model and told.state == "here")
        await asyncio.sleep(2 * FRESH_SECONDS)  # it asks in vain: what comes now was just published
        for ahead in (3_600.0, -3_600.0):
            await gateway.ask(job(model=model, asked_at=time.time() + ahead, gateway="gateway-a"))
            assert (await gateway.result()).failure is None
            await asyncio.sleep(2 * FRESH_SECONDS)


async def test_garbage_is_rejected_and_harms_nobody(gateway: Asker, url: str, model: str) -> None:
    async with Worker(url, WaitingEngine(), model=model) as at_work:
        await gateway.presence(lambda told: told.model == model and told.state == "here")
        one = job(model=model)
        for wrong, payload in (
            (one, b""),
            (one, b"\xff" * 1_000),
            (one, b"{}"),
            (structs.replace(one, samples=100_000_000), None),
            (structs.replace(one, audio=b""), None),
        ):
            await gateway.ask(wrong, payload)
        other = structs.replace(one, model="another")
        await gateway.broker.publish(jobs_topic(model, Urgency.FINAL), KEY, encode_recognition(other))
        last = job(5, model=model)
        await gateway.ask(last)
        result = await gateway.result()
        assert result.job_id == last.job_id
        assert at_work.worker is not None
        await until(lambda: len(at_work.broker.dead_letters()) == 6)
        assert at_work.worker.record.dropped == 6


async def test_a_job_comes_to_another_when_its_worker_is_gone(gateway: Asker, url: str, model: str) -> None:
    gate = Gate()
    dies = Worker(url, WaitingEngine(gate), model=model, name="dies")
    await dies.__aenter__()
    await gateway.presence(lambda told: told.worker == "dies" and told.state == "here")
    await gateway.ask(job(model=model))
    await gate.reached.acquire()
    async with Worker(url, WaitingEngine(), model=model, name="lives"):
        dies.task.cancel()
        await asyncio.gather(dies.task, return_exceptions=True)
        await dies.broker.close(0.0)
        result = await gateway.result()
        assert (result.worker, result.failure) == ("lives", None)
    gate.let_on()
    await dies.recognizer.__aexit__(None, None, None)


async def test_what_is_passed_on_for_ever_is_kept_by_somebody(gateway: Asker, url: str, model: str) -> None:
    gate = Gate()
    async with Worker(url, WaitingEngine(gate), model=model, name="only") as only:
        await gateway.presence(lambda told: told.worker == "only" and told.state == "here")
        await gateway.ask(job(model=model))
        await gate.reached.acquire()
        await gateway.broker.publish(
            jobs_topic(model, Urgency.FINAL),
            KEY,
            encode_recognition(job(9, model=model)),
            headers={"earshot-passed-on": str(MOST_PASSED_ON)},
        )
        gate.let_on(2)
        assert {(await gateway.result()).worker, (await gateway.result()).worker} == {"only"}
        assert only.worker is not None


@pytest.mark.parametrize(
    ("changes", "together"),
    [
        ({}, 4),
        ({"threads": 1, "batch_utterances": 3}, 3),
        ({"device": "cuda", "batch_utterances": 16}, 16),
        ({"engine": "pocketsphinx"}, 1),
    ],
)
def test_how_many_are_taken_together(changes: dict[str, Any], together: int) -> None:
    assert at_once(TranscriptionSettings(**changes)) == together


async def test_a_job_that_fails_is_in_the_workers_log_under_the_gateways_ids(
    gateway: Asker, url: str, model: str
) -> None:
    """Those of the utterance, which travel with it; what else a job brings along as an id is left out."""
    ids = {"correlation_id": "c_1", "utterance_id": "u_1", "device_id": "kitchen", "level": "debug"}
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with Worker(url, WaitingEngine(refuse), model=model):
            await gateway.presence(lambda told: told.model == model and told.state == "here")
            one = structs.replace(job(loud(1.0), model=model), ids=ids)
            await gateway.ask(one)
            assert (await gateway.result()).failure is Failure.FAILED
    for event in ("utterance failed", "a job is not done"):
        [line] = [entry for entry in logs if entry["event"] == event and entry.get("correlation_id") == "c_1"]
        assert (line["utterance_id"], line["device_id"]) == ("u_1", "kitchen")
        assert "level" not in line
    assert line["job"] == one.job_id


def refuse(_utterance: Utterance) -> None:
    raise EngineFailed("unlucky")
