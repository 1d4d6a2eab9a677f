"""A real gateway whose turns are at a real collector: the page's waterfall, rebuilt from spans."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from gateway.contract.tracing import traceparent
from gateway.tracing import names
from tests.gateway.tracing.collector import collecting, known, took_ms
from tests.record import passes
from tests.system.house import RECORDINGS, text


async def test_the_waterfall_is_rebuilt_from_what_a_collector_is_sent(house: Any) -> None:
    async with collecting() as collector, house(tracing={"endpoint": collector.url}) as one:
        async with one.board("kitchen") as kitchen:
            await kitchen.connected()
            said = await kitchen.say(RECORDINGS["u05"].path)
            assert said.transcript == text("u05")
            await passes(lambda: len(collector.named(names.TURN)) == 1)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{one.gateway.url}api/v1/utterances") as answer,
        ):
            (row,) = (await answer.json())["utterances"]
        timings, (turn,) = row["timings"], collector.named(names.TURN)
        trace_id = traceparent(said.correlation_id).split("-")[1]
        assert {span["traceId"] for span in collector.spans} == {trace_id}
        assert known(turn)[names.CORRELATION] == said.correlation_id
        wanted = {
            names.CAPTURE: 1_000 * row["audio"]["seconds"],
            names.ENDPOINT: timings["endpoint_ms"],
            names.QUEUE: timings["queue_ms"],
            names.RECOGNIZER: timings["recognize_ms"],
            names.PUBLISH: row["publish_ms"],
        }
        for name, took in wanted.items():
            (span,) = collector.named(name)
            assert took_ms(span) == pytest.approx(took, abs=0.1), name
        (agent,), (delivery,) = collector.named(names.AGENT), collector.named(names.DELIVERY)
        ends = int(delivery["endTimeUnixNano"]) - int(collector.named(names.CAPTURE)[0]["endTimeUnixNano"])
        assert ends / 1e6 == pytest.approx(row["speech_to_reply_ms"], abs=0.1)
        assert int(agent["endTimeUnixNano"]) == pytest.approx(int(delivery["startTimeUnixNano"]), abs=1e5)
        assert said.transcript not in str(collector.spans), "no span says what was said"
