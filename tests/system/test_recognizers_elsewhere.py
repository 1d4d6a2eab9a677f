"""A whole gateway without a model, whose utterances are recognized over its broker; and one with a model of its own."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiohttp import ClientSession

from firmware_bridge.speech_files import read_wav
from gateway.app import Gateway
from gateway.broker.base import MessageBroker
from gateway.broker.opening import open_broker
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import TranscriptionEvent
from gateway.contract.messages import TranscriptionMessage
from gateway.contract.recognition import RecognitionJob
from gateway.recognizers.audio_codec import decoded
from gateway.recognizers.claim_checks import ClaimChecks
from gateway.recognizers.worker.fetching import AudioFetcher
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.workers import StandInWorker
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import free_port
from tests.servers.redis import Redis
from tests.system.house import RECORDINGS, House, open_house, settings, text
from tests.transcription.recordings import wav
from transcription.settings import BUNDLED_MODEL

MODEL = "base"
NAME = "u26"
SAID = "what the recognizer elsewhere has heard"
RUN = """
import asyncio, sys
from firmware_bridge.speech_files import read_wav
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
import msgspec
async def main():
    async with Gateway(msgspec.convert({parts!r}, GatewayConfig)):
        await asyncio.sleep(0.5)
        print("imported:", [name for name in ("faster_whisper", "ctranslate2", "av") if name in sys.modules])
asyncio.run(main())
"""


async def hears(worker: StandInWorker, job: RecognitionJob) -> None:
    await worker.tell(job, SAID)


@asynccontextmanager
async def elsewhere(url: str) -> AsyncIterator[MessageBroker]:
    broker = open_broker(url, BrokerSettings(client_id="elsewhere"))
    try:
        yield broker
    finally:
        await broker.close(0.0)


@asynccontextmanager
async def at_work(url: str, name: str = "cellar", **options: Any) -> AsyncIterator[StandInWorker]:
    """A recognizer on another machine."""
    async with elsewhere(url) as broker, StandInWorker(broker, name, hears, **options).at_work() as worker:
        yield worker


def gateway(folder: Path, url: str, use: str = "only", **transcription: Any) -> Any:
    return open_house(
        folder,
        broker={"url": url, "client_id": "door"},
        recognizers={"use": use},
        transcription={"model": MODEL, **transcription},
    )


async def heard(house: House, name: str = "porch") -> TranscriptionMessage:
    """What a board that says something is heard to have said."""
    async with house.board(name) as board:
        await board.connected()
        await board.say(RECORDINGS[NAME].path)
        return await house.result(device_id=name)


async def component(client: ClientSession, url: str, name: str) -> dict[str, Any]:
    """What health says over HTTP."""
    async with client.get(f"{url}api/v1/health") as answer:
        told: dict[str, Any] = (await answer.json())["components"][name]
        return told


@pytest.mark.slow
async def test_a_gateway_without_a_model_has_its_text_from_elsewhere_and_says_so(
    tmp_path: Path, redis: Redis
) -> None:
    async with (
        at_work(redis.url) as worker,
        gateway(tmp_path, redis.url) as house,
        ClientSession() as client,
    ):
        said = await heard(house)
        assert (said.text, said.recognizer.worker, said.recognizer.model) == (SAID, "cellar", MODEL)
        shown = await house.events.first(TranscriptionEvent, device_id="porch")
        assert shown.worker == "cellar"
        assert [job.owner for job in worker.jobs] == ["porch"] * len(worker.jobs)
        shown = await component(client, house.gateway.url, "recognizers")
        assert (shown["state"], shown["detail"]) == ("healthy", "1 with base")
        async with client.get(f"{house.gateway.url}api/v1/health") as answer:
            counts = (await answer.json())["recognizers"]
        assert counts["texts"] >= 1
        assert counts["sent"] == len(worker.jobs)


@pytest.mark.slow
async def test_what_is_too_large_for_the_broker_is_fetched_from_the_gateway(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """Speech in noise, which no codec makes smaller, over MQTT, which keeps messages only."""
    speech = np.resize(np.frombuffer(read_wav(RECORDINGS[NAME].path), "<i2"), 40 * 16_000)
    noisy = speech // 2 + np.random.default_rng(7).normal(0, 1_000, len(speech)).clip(-9_999, 9_999)
    port = free_port()
    lengths: list[int] = []

    async def fetches(worker: StandInWorker, job: RecognitionJob) -> None:
        assert job.claim is not None
        assert job.claim.place == "https"
        audio = await ClaimChecks(worker.broker, fetch=AudioFetcher()).collect(job.claim)
        lengths.append(len(decoded(audio, job.codec, job.samples)))
        await worker.tell(job, SAID)

    async with (
        elsewhere(mosquitto.url) as broker,
        StandInWorker(broker, "cellar", fetches).at_work(),
        open_house(
            tmp_path,
            broker={"url": mosquitto.url, "client_id": "door"},
            recognizers={"use": "only", "audio_at": f"http://127.0.0.1:{port}"},
            transcription={"model": MODEL},
            web={"port": port},
        ) as house,
        ClientSession() as client,
    ):
        await passes(lambda: house.gateway.health.report().components["recognizers"].state == "healthy")
        url, headers = f"{house.gateway.url}api/v1/transcriptions", {"Content-Type": "audio/wav"}
        async with client.post(
            url, data=io.BytesIO(wav(noisy.astype(np.int16).tobytes())), headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
            assert SAID in await answer.text()
        assert lengths
        async with client.get(f"{house.gateway.url}recognition/audio/{'x' * 43}") as answer:
            assert answer.status == 404


@pytest.mark.slow
async def test_while_nobody_is_there_speech_waits_and_the_gateway_is_not_ready(
    tmp_path: Path, redis: Redis
) -> None:
    parts = settings(
        tmp_path,
        broker={"url": redis.url, "client_id": "door"},
        recognizers={"use": "only"},
        transcription={"model": MODEL},
    )
    async with Gateway(msgspec.convert(parts, GatewayConfig)) as one, ClientSession() as client:
        house = House(one, tmp_path, "")

        def is_unhealthy() -> bool:
            shown = one.health.report().components.get("recognizers")
            return shown is not None and shown.state == "unhealthy"

        await passes(is_unhealthy)
        shown = await component(client, one.url, "recognizers")
        assert "no recognizer is there" in shown["reason"]
        assert "earshot recognizer" in shown["remedy"]
        async with client.get(f"{one.url}readyz") as answer:
            assert answer.status == 503
        async with house.board("porch") as board:
            await board.connected()
            speaking = asyncio.create_task(board.say(RECORDINGS[NAME].path))
            await passes(lambda: one.recognizer.waiting == 1)
            async with at_work(redis.url):
                assert (await speaking).transcript == SAID
                async with client.get(f"{one.url}readyz") as answer:
                    assert answer.status == 200


@pytest.mark.slow
async def test_a_gateway_with_a_model_of_its_own_needs_nobody(tmp_path: Path, redis: Redis) -> None:
    async with gateway(tmp_path, redis.url, "sooner", model=BUNDLED_MODEL) as house:
        said = await heard(house)
        assert (said.text, said.recognizer.worker) == (text(NAME), "")
        shown = house.gateway.health.report().components["recognizer"]
        assert shown.state == "healthy"


@pytest.mark.slow
def test_without_a_model_of_its_own_a_gateway_imports_none(tmp_path: Path, redis: Redis) -> None:
    parts = settings(
        tmp_path, broker={"url": redis.url}, recognizers={"use": "only"}, transcription={"model": MODEL}
    )
    code = RUN.format(parts=parts)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "imported: []" in done.stdout.splitlines()
