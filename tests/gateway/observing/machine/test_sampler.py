"""Looks at this machine, and how late the event loop was."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.observing.machine import sampler as machine_sampler
from gateway.observing.machine.loop_lag import BUCKETS, NO_LAG, PROBE_SECONDS, WINDOW_SECONDS, LoopLag
from gateway.observing.machine.sampler import Sampler
from tests.gateway.observing.test_orchestrator_health import configured


async def test_a_look_says_what_is_used(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path, lambda: {"devices": 3.0})
    assert sampler.latest is None
    first = await sampler.look()
    assert first.cpu == {}
    busy_until = time.thread_time() + 0.2
    while time.thread_time() < busy_until:
        pass
    second = await sampler.look()
    assert sampler.latest is second
    assert second.gateway is not None
    assert 0.1 < second.cpu["gateway"] < 5
    assert second.tasks >= 1
    assert second.host.memory_total > 0
    assert second.recognizer is None
    assert abs(second.at - time.time()) < 5


async def test_what_was_seen_is_kept_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_sampler, "MINUTES", (0.0, 4))
    sampler = Sampler(tmp_path, lambda: {"devices": 3.0})
    for _ in range(6):
        await sampler.look()
    course = sampler.course("minutes")
    assert len(course.ends) == 4
    assert course.figures["devices"] == [3.0] * 4
    assert {
        "load",
        "memory_available_bytes",
        "disk_free_bytes",
        "gateway_resident_bytes",
    } <= course.figures.keys()
    assert sampler.course("hours").ends == []


async def test_it_looks_until_it_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_sampler, "SAMPLE_SECONDS", 0.0)
    sampler = Sampler(tmp_path)
    task = asyncio.create_task(sampler.run())
    while sampler.looks < 3:  # noqa: ASYNC110 - nobody announces a look
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sampler.lag._timer is None


async def test_a_loop_that_is_kept_from_its_timers_is_late() -> None:
    lag = LoopLag()
    assert lag.figures() == NO_LAG
    lag.start()
    await asyncio.sleep(PROBE_SECONDS / 2)
    time.sleep(2 * PROBE_SECONDS)  # noqa: ASYNC251 - what it is about
    while not lag.sum:  # noqa: ASYNC110 - nobody announces a probe
        await asyncio.sleep(0.01)
    lag.stop()
    lag.stop()
    figures = lag.figures()
    assert figures.most >= PROBE_SECONDS
    assert sum(lag.counts) >= 1
    assert lag.sum >= PROBE_SECONDS


def test_lags_fall_into_their_buckets() -> None:
    lag = LoopLag()
    for seconds in (0.0, 0.001, 0.0011, 0.05, 99.0):
        lag.note(seconds)
    assert lag.counts == [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert len(lag.counts) == len(BUCKETS) + 1
    figures = lag.figures()
    assert (figures.p50, figures.p99, figures.most) == (0.0011, 99.0, 99.0)
    assert lag.figures(2 * PROBE_SECONDS).p50 == 0.05
    for _ in range(10_000):
        lag.note(0.0)
    assert len(lag._latest) == WINDOW_SECONDS / PROBE_SECONDS


async def test_a_gateway_looks_at_itself_and_its_recognizer(tmp_path: Path) -> None:
    async with Gateway(configured(tmp_path, "memory://")) as gateway:
        sample = await gateway.machine.look()
        assert sample.gateway is not None
        assert sample.host.disk_total > 0
        figures = gateway._at_work()
        assert figures["devices"] == 0
        assert figures["broker_connected"]
