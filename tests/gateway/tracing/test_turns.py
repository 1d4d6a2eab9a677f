"""Turns as a hub shows them, and a real collector on the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.hub.hub import Hub
from gateway.settings.observing.tracing import TracingSettings
from gateway.settings.web import WebSettings
from gateway.tracing import names, otlp, turns
from gateway.tracing.otlp import SpanExporter
from gateway.tracing.turns import Tracing
from tests.gateway.tracing.collector import Collector, collecting, known
from tests.gateway.tracing.test_spans import DELIVERED, HEARD, REPLIED
from tests.record import passes
from tests.servers.process import free_port
from tests.system.house import running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(otlp, "AWAY_SECONDS", (0.01, 0.05))
    monkeypatch.setattr(otlp, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(turns, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.02)


class Traced:
    """A hub whose turns are traced."""

    def __init__(
        self, url: str, sample: float = 1.0, settings: WebSettings | None = None, **more: object
    ) -> None:
        self.hub = Hub(settings or WebSettings())
        told = TracingSettings(endpoint=url, **more)  # type: ignore[arg-type]
        self.tracing = Tracing(self.hub, SpanExporter(told), sample, lambda: "base")
        self.exporter = self.tracing.exporter

    async def turn(self, name: str = "c_1") -> None:
        for event in (HEARD, REPLIED, DELIVERED):
            self.hub.publish(replace(event, correlation_id=name))
        await asyncio.sleep(0)


@asynccontextmanager
async def traced(url: str, sample: float = 1.0, **more: object) -> AsyncIterator[Traced]:
    one = Traced(url, sample, **more)  # type: ignore[arg-type]
    with running(one.tracing.run()):
        await passes(lambda: bool(one.hub.stats().listeners))
        yield one
        one.hub.close()


async def test_a_turn_that_is_over_is_at_the_collector() -> None:
    async with collecting() as collector, traced(collector.url, service_name="hall") as one:
        await one.turn()
        await passes(lambda: len(collector.spans) == 8)
        assert collector.resources == [
            {"service.name": "hall", "service.version": version("earshot-gateway")}
        ]
        (agent,) = collector.named(names.AGENT)
        assert known(agent)[names.AGENT_NAME] == "house"
        assert one.exporter.sent == 8


async def test_a_device_that_never_takes_its_answer_and_a_turn_without_one() -> None:
    async with collecting() as collector, traced(collector.url) as one:
        one.hub.publish(HEARD)
        one.hub.publish(REPLIED)
        one.hub.publish(replace(HEARD, correlation_id="c_2", text="", success=False, error="too long"))
        await passes(lambda: len(collector.named(names.TURN)) == 2)
        assert not collector.named(names.DELIVERY)
        await asyncio.sleep(0.05)
        assert len(collector.named(names.TURN)) == 2, "each once"


async def test_a_share_of_the_turns_is_traced_and_each_whole_or_not() -> None:
    async with collecting() as collector, traced(collector.url, 0.5) as one:
        for number in range(200):
            await one.turn(f"c_{number}")
        await passes(lambda: len(collector.named(names.TURN)) > 60)
        await asyncio.sleep(0.1)
        turns = collector.named(names.TURN)
        assert 60 < len(turns) < 140
        assert len(collector.spans) == 8 * len(turns)


async def test_of_no_share_nothing_leaves() -> None:
    async with collecting() as collector, traced(collector.url, 0.0) as one:
        await one.turn()
        await asyncio.sleep(0.1)
        assert not collector.requests


async def test_a_collector_that_is_away_gets_it_later(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    async with traced(f"http://127.0.0.1:{port}") as one:
        await one.turn()
        await asyncio.sleep(0.1)
        async with collecting(port) as collector:
            await passes(lambda: len(collector.spans) == 8)
        assert one.exporter.dropped == 0


@pytest.mark.parametrize("status", [429, 503])
async def test_one_that_is_full_is_sent_the_same_again(status: int) -> None:
    async with collecting() as collector, traced(collector.url) as one:
        collector.statuses = [status, status]
        await one.turn()
        await passes(lambda: len(collector.spans) == 8)
        assert len(collector.requests) == 3
        assert one.exporter.dropped == 0


@pytest.mark.parametrize("status", [400, 401, 302])
async def test_what_is_refused_is_dropped_and_counted(status: int) -> None:
    async with collecting() as collector, traced(collector.url) as one:
        collector.statuses = [status]
        await one.turn()
        await passes(lambda: one.exporter.dropped == 8)
        await one.turn("c_2")
        await passes(lambda: len(collector.spans) == 8)


async def test_a_collector_that_hangs_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MOST_SPANS", 80)
    async with collecting() as collector, traced(collector.url) as one:
        collector.slow.clear()
        for number in range(100):
            await one.turn(f"c_{number}")
        await passes(lambda: one.exporter.dropped >= 8 * 80)
        assert len(one.exporter._waiting) <= 80
        collector.slow.set()
        await passes(lambda: len(collector.spans) >= 80)


async def test_more_than_it_can_follow_begins_anew() -> None:
    few = WebSettings(outbox_messages=8, slow_seconds=0.1)
    async with collecting() as collector, traced(collector.url, settings=few) as one:
        for number in range(200):
            for event in (HEARD, REPLIED, DELIVERED):
                one.hub.publish(replace(event, correlation_id=f"c_{number}"))
        await passes(lambda: bool(one.hub.stats().listeners))
        await asyncio.sleep(0.1)
        await one.turn("c_after")
        await passes(
            lambda: any(known(span)[names.CORRELATION] == "c_after" for span in collector.named(names.TURN))
        )


async def test_its_headers_and_the_one_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "authorization"
    secret.write_text("Basic cGs6c2s=\n")
    headers = {"X-Scope-OrgID": "clinic"}
    async with (
        collecting() as collector,
        traced(f"{collector.url}/v1/traces", headers=headers, authorization_file=str(secret)) as one,
    ):
        await one.turn()
        await passes(lambda: len(collector.spans) == 8)
        sent = collector.requests[0].headers
        assert (sent["Authorization"], sent["X-Scope-OrgID"]) == ("Basic cGs6c2s=", "clinic")


async def test_a_file_that_is_not_there_is_told_and_spans_leave_without_it(tmp_path: Path) -> None:
    async with (
        collecting() as collector,
        traced(collector.url, authorization_file=str(tmp_path / "none")) as one,
    ):
        await one.turn()
        await passes(lambda: len(collector.spans) == 8)
        assert isinstance(collector, Collector)


async def test_what_another_gateway_of_the_house_does_is_its_own_to_trace() -> None:
    async with collecting() as collector, traced(collector.url) as one:
        one.tracing.see(HEARD)
        assert list(one.tracing._turns) == ["c_1"]
        one.tracing._turns.clear()
        assert one.hub.epoch != HEARD.epoch
        await asyncio.sleep(0.05)
        assert not collector.requests
