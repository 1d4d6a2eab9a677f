"""`earshot recognizer`: with a real model and a real broker, told to end, killed in its work, and killed by it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from gateway.contract.messages import new_id
from gateway.contract.recognition import Failure
from tests.gateway.recognizers.worker.processes import RecognizerProcess, WaitingProcess
from tests.gateway.recognizers.worker.works import asker, job
from tests.record import PATIENCE
from tests.servers.redis import Redis
from tests.transcription.speech import TEXTS, recording

pytestmark = pytest.mark.slow


async def test_speech_becomes_text_and_it_says_how_it_is(redis: Redis, tmp_path: Path) -> None:
    process = RecognizerProcess(tmp_path / "worker", redis.url, "--name", "the-worker")
    async with asker(redis.url) as gateway, aiohttp.ClientSession(f"http://{process.health}") as http:
        await asyncio.to_thread(process.start)
        try:
            here = await gateway.presence(lambda told: told.worker == "the-worker" and told.state == "here")
            assert (here.model, here.engine, here.where) == ("bundled", "faster-whisper", "cpu")
            assert "en" in here.languages
            await gateway.ask(job(recording("u01"), model="bundled"))
            result = await gateway.result()
            assert result.transcript is not None
            assert result.transcript.text == TEXTS["u01"]
            for path in ("/livez", "/readyz", "/readyz?room"):
                assert (await http.get(path)).status == 200
            figures = await (await http.get("/metrics")).text()
            assert "\nearshot_recognizer_jobs_done_total 1.0\n" in figures
            assert await asyncio.to_thread(process.told, signal.SIGTERM) == 0
        finally:
            await asyncio.to_thread(process.kill)
        await gateway.presence(lambda told: told.worker == "the-worker" and told.state == "leaving")


async def test_told_to_end_it_finishes_what_it_has(redis: Redis, tmp_path: Path) -> None:
    model = new_id("m")[:16]
    process = WaitingProcess(tmp_path / "worker", redis.url, model, wait=1.0, name="told")
    async with asker(redis.url) as gateway:
        await asyncio.to_thread(process.start)
        try:
            await gateway.ask(job(model=model))
            await gateway.presence(lambda told: told.worker == "told" and told.busy == 1)
            status = await asyncio.to_thread(process.told, signal.SIGTERM)
            assert (status, (await gateway.result()).failure) == (0, None)
        finally:
            await asyncio.to_thread(process.kill)


async def test_killed_in_its_work_another_does_it(redis: Redis, tmp_path: Path) -> None:
    model = new_id("m")[:16]
    first = WaitingProcess(tmp_path / "first", redis.url, model, wait=60.0, name="first")
    second = WaitingProcess(tmp_path / "second", redis.url, model, name="second")
    async with asker(redis.url) as gateway:
        await asyncio.to_thread(first.start)
        try:
            one = job(model=model)
            await gateway.ask(one)
            await gateway.presence(lambda told: told.worker == "first" and told.busy == 1)
            await asyncio.to_thread(second.start)
            await asyncio.to_thread(first.kill)
            result = await gateway.result()
            assert (result.job_id, result.worker, result.failure) == (one.job_id, "second", None)
        finally:
            await asyncio.to_thread(first.kill)
            await asyncio.to_thread(second.kill)


async def test_what_kills_each_that_takes_it_is_given_up_and_told(redis: Redis, tmp_path: Path) -> None:
    """A supervisor starts them again, as systemd does."""
    model = new_id("m")[:16]
    process = WaitingProcess(tmp_path / "worker", redis.url, model, deadly=666)
    deaths = 0
    async with asker(redis.url) as gateway, asyncio.timeout(3 * PATIENCE):
        await gateway.ask(job(666, model=model))
        answer = asyncio.create_task(gateway.result())
        try:
            while not answer.done():
                if not process.running:
                    deaths += 1
                    await asyncio.to_thread(process.start)
                await asyncio.sleep(0.05)
            assert (await answer).failure is Failure.POISON
            assert deaths == 6, "five have died of it; the sixth knew"
            await gateway.ask(job(5, model=model))
            assert (await gateway.result()).transcript is not None
        finally:
            answer.cancel()
            await asyncio.to_thread(process.kill)
