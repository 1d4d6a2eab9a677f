"""A gateway's traces and those of others: by which request a turn came, which agent is asked, which figure it is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families

from gateway.contract.tracing import CALLER, traceparent
from gateway.hub.hub import nobody_asks
from gateway.observing.metrics.exposition import OPEN_TYPE
from gateway.settings.observing.tracing import TracingSettings
from gateway.tracing import names, otlp, turns
from gateway.tracing.otlp import SpanExporter
from gateway.tracing.turns import Tracing
from tests.gateway.tracing.collector import Collector, collecting
from tests.gateway.tracing.test_spans import HEARD
from tests.gateway.tracing.test_turns import Traced, traced
from tests.gateway.web.site import Site, open_site
from tests.gateway.works import loud
from tests.record import passes
from tests.system.house import running

THEIRS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LINK = {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(turns, "LINGER_SECONDS", 0.05)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.02)


@dataclass
class TracedSite:
    site: Site
    collector: Collector

    async def turn(self, number: int = 1) -> dict[str, Any]:
        """The span of a turn that is over."""
        await passes(lambda: len(self.collector.named(names.TURN)) == number)
        return self.collector.named(names.TURN)[number - 1]


@asynccontextmanager
async def open_traced() -> AsyncIterator[TracedSite]:
    async with collecting() as collector, open_site() as site:
        exporter = SpanExporter(TracingSettings(endpoint=collector.url))
        tracing = Tracing(site.parts.hub, exporter, 1.0, lambda: "base")
        with running(tracing.run()):
            await passes(lambda: site.parts.hub.stats().listeners > 1)
            yield TracedSite(site, collector)


async def test_what_is_typed_is_linked_to_the_request_that_it_came_by() -> None:
    async with open_traced() as traced, ClientSession() as client:
        works = traced.site.parts
        async with client.ws_connect(f"{traced.site.url}ws", headers={"traceparent": THEIRS}) as socket:
            await socket.send_str('{"type":"subscribe","kinds":["reply"]}')
            await socket.send_str('{"type":"say","text":"turn on the light"}')
            heard = await works.result()
            await works.reply(heard, "Done.")
            turn = await traced.turn()
    assert turn["links"] == [LINK]
    assert turn["traceId"] == traceparent(heard.correlation_id).split("-")[1]


async def test_requests_of_one_connection_do_not_lend_each_other_theirs() -> None:
    """A connection is one task: what the first request brought is over with it."""
    async with open_traced() as traced, ClientSession() as client:
        await client.get(f"{traced.site.url}livez", headers={"traceparent": THEIRS})
        async with client.ws_connect(f"{traced.site.url}ws") as socket:
            await socket.send_str('{"type":"subscribe","kinds":["reply"]}')
            await socket.send_str('{"type":"say","text":"turn on the light"}')
            await traced.site.parts.reply(await traced.site.parts.result(), "Done.")
            turn = await traced.turn()
    assert "links" not in turn


@pytest.mark.parametrize(
    "bad", ["garbage", THEIRS.replace("4bf", "xyz"), "00-" + "0" * 32 + "-00f067aa0ba902b7-01"]
)
async def test_what_is_no_trace_is_linked_to_nothing(bad: str) -> None:
    async with (
        open_traced() as traced,
        ClientSession() as client,
        client.ws_connect(f"{traced.site.url}ws", headers={"traceparent": bad}) as socket,
    ):
        await socket.send_str('{"type":"subscribe","kinds":["reply"]}')
        await socket.send_str('{"type":"say","text":"hello"}')
        await traced.site.parts.reply(await traced.site.parts.result(), "Done.")
        turn = await traced.turn()
    assert "links" not in turn


async def test_a_device_on_a_wire_has_no_caller_and_its_figures_have_exemplars() -> None:
    async with open_traced() as traced, ClientSession() as client, traced.site.parts.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await traced.site.parts.result()
        await traced.site.parts.reply(heard, "Done.")
        await saying
        turn = await traced.turn()
        async with client.get(f"{traced.site.url}metrics", headers={"Accept": OPEN_TYPE}) as answer:
            text = await answer.text()
    assert "links" not in turn
    families = {family.name: family for family in open_families(text)}
    exemplars = [one.exemplar for one in families["earshot_speech_to_text_seconds"].samples if one.exemplar]
    assert [one.labels for one in exemplars] == [{"trace_id": turn["traceId"]}]


async def test_without_tracing_there_is_no_exemplar() -> None:
    async with open_site() as site, ClientSession() as client, site.parts.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await site.parts.reply(await site.parts.result(), "Done.")
        await saying
        async with client.get(f"{site.url}metrics", headers={"Accept": OPEN_TYPE}) as answer:
            assert "trace_id" not in await answer.text()


async def test_a_turn_that_is_no_sample_is_no_exemplar() -> None:
    async with collecting() as collector, traced(collector.url, sample=0.0) as one:
        await one.turn()
        assert one.tracing.trace_of("c_1") == ""
        assert not any(sample.exemplar for family in one.hub.waits.families() for sample in family.samples)


async def test_callers_that_are_never_asked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_TURNS", 3)
    one = Traced("http://127.0.0.1:1")
    caller = CALLER.set(THEIRS)
    try:
        for number in range(10):
            one.tracing.note_caller(replace(HEARD, correlation_id=f"c_{number}"))
    finally:
        CALLER.reset(caller)
    assert list(one.tracing._callers) == ["c_7", "c_8", "c_9"]


async def test_tracing_that_ends_leaves_the_hub_to_the_next_one() -> None:
    """As when its section of the configuration changes while the gateway runs."""
    async with collecting() as collector:
        one = Traced(collector.url)
        hub, telling = one.hub, SpanExporter(TracingSettings(endpoint=collector.url))
        other = Tracing(hub, telling, 1.0, lambda: "base")
        with running(one.tracing.run()):
            await passes(lambda: hub.waits.trace_of("c_1") != "")
            with running(other.run()):
                await passes(lambda: hub.waits.trace_of == other.trace_of)
        await passes(lambda: hub.on_publish is nobody_asks)
        assert hub.waits.trace_of("c_1") == ""


async def test_tracing_that_is_configured_is_on_in_a_whole_gateway(tmp_path: Path) -> None:
    from gateway.app import Gateway
    from tests.gateway.web.metrics.test_metrics_route import served

    async with collecting() as collector:
        config = replace(served(tmp_path), tracing=TracingSettings(endpoint=collector.url))
        async with Gateway(config) as gateway:
            await passes(lambda: len(gateway.hub.waits.trace_of("c_1")) == 32)
