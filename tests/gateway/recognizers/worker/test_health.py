"""What a worker's own HTTP server says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from gateway.broker.backends.memory import MemoryBroker
from gateway.observing.metrics.exposition import PLAIN_TYPE
from gateway.recognizers.claim_checks import ClaimChecks
from gateway.recognizers.worker.health import HealthServer, WorkerHealth
from gateway.recognizers.worker.worker import RecognizerWorker, WorkerName
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings


class Asked:
    def __init__(self, worker: RecognizerWorker) -> None:
        self.worker = worker
        self.broker_is_there = True
        self.port = 0

    async def __call__(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, await answer.text()


@pytest_asyncio.fixture
async def asked() -> AsyncIterator[Asked]:
    broker = MemoryBroker()
    recognizer = Recognizer(TranscriptionSettings(engine="off"), lambda _: None)
    worker = RecognizerWorker(WorkerName("w", "m", 4), broker, recognizer, ClaimChecks(broker))
    asked = Asked(worker)
    async with HealthServer(WorkerHealth(worker, lambda: asked.broker_is_there), "127.0.0.1", 0) as server:
        asked.port = server.port
        yield asked
    await broker.close(0.0)


async def test_alive_is_not_ready(asked: Asked) -> None:
    assert await asked("/livez") == (200, '{"status": "alive"}')
    assert await asked("/readyz") == (503, '{"status": "loading"}')
    asked.worker.leave()
    assert await asked("/readyz") == (503, '{"status": "leaving"}')
    assert (await asked("/"))[0] == 404


async def test_figures_are_as_prometheus_reads_them(asked: Asked) -> None:
    asked.worker.record.begin("job", 2.5)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{asked.port}/metrics") as answer,
    ):
        assert answer.headers["Content-Type"] == PLAIN_TYPE
        lines = (await answer.text()).splitlines()
    assert "earshot_recognizer_queue_age_seconds 2.5" in lines
    assert "earshot_recognizer_busy 1.0" in lines
    assert "earshot_recognizer_capacity 4.0" in lines
    assert "earshot_recognizer_ready 0.0" in lines
    for line in lines:
        if not line.startswith("#"):
            name, value = line.split(" ")
            assert float(value) >= 0
            assert f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}" in lines


async def test_its_requests_have_ids_and_are_counted_too(asked: Asked) -> None:
    url = f"http://127.0.0.1:{asked.port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/livez", headers={"X-Correlation-ID": "mine"}) as answer:
            assert answer.headers["X-Correlation-ID"] == "mine"
        async with session.get(f"{url}/nothing/7", headers={"X-Correlation-ID": "x" * 65}) as answer:
            assert answer.headers["X-Correlation-ID"].startswith("r_")
    lines = (await asked("/metrics"))[1].splitlines()
    assert 'earshot_http_requests_total{method="GET",route="/livez",status="2xx"} 1.0' in lines
    assert 'earshot_http_requests_total{method="GET",route="other",status="4xx"} 1.0' in lines
