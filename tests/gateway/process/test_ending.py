"""Tasks that are to end do, also where a cancellation gets lost on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from gateway.process import ending
from gateway.process.ending import until_done
from tests.system.house import settings


async def loses(cancellations: int) -> None:
    """Works for ever, and takes so many cancellations for something else."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not cancellations:
                raise
            cancellations -= 1


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "CANCEL_AGAIN_SECONDS", 0.05)


async def test_whoever_loses_a_cancellation_gets_another() -> None:
    tasks = [asyncio.create_task(loses(count)) for count in (0, 1, 3)]
    await asyncio.sleep(0)
    await asyncio.wait_for(until_done(tasks), 10)
    assert all(task.cancelled() for task in tasks)
    await until_done(tasks)


async def test_a_gateway_ends_though_a_worker_of_its_lost_its_cancellation(tmp_path: Path) -> None:
    config = msgspec.convert(settings(tmp_path, transcription={"engine": "off"}), GatewayConfig)
    async with asyncio.timeout(20), Gateway(config) as gateway:
        gateway._start(lambda: loses(2), "careless")
        await asyncio.sleep(0)
