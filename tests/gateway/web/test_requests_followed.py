"""Each HTTP request under an id: in its answer, in the log, and in what it causes; timed and counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.gateway.web.api.served import Served, open_served, speech
from tests.gateway.web.openai.v1 import open_v1
from tests.gateway.web.site import Site, open_site
from tests.gateway.works import loud
from tests.record import passes

HEADER = "X-Correlation-ID"
MADE = re.compile(r"r_[A-Za-z0-9_-]{22}")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_served(tmp_path, devices={"users": {"kitchen": "ann"}}) as opened:
        yield opened


def utterances(logged: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [line for line in logged if line["event"] == "utterance"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "static/app.js",
        "livez",
        "readyz",
        "metrics",
        "events",
        "api/",
        "api/v1/nothing",
        "nothing",
        "v1/x",
    ],
)
async def test_every_answer_has_the_id_that_was_given_or_one_of_ours(
    site: Site, client: ClientSession, path: str
) -> None:
    async with client.get(site.url + path, headers={HEADER: "mine-1"}) as answer:
        assert answer.headers[HEADER] == "mine-1"
    async with client.get(site.url + path) as answer:
        assert MADE.fullmatch(answer.headers[HEADER])


@pytest.mark.parametrize("bad", ["x" * 65, "a b", 'x"}\t{', "ünlich", "../etc", "a\\nb"])
async def test_what_is_no_id_is_taken_over_nowhere(site: Site, client: ClientSession, bad: str) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        async with client.get(f"{site.url}events", headers={HEADER: bad}) as answer:
            assert MADE.fullmatch(answer.headers[HEADER])
        async with client.ws_connect(f"{site.url}ws", headers={HEADER: bad}) as socket:
            await socket.close()
    assert bad not in str(logged)


async def test_a_refusal_of_the_door_has_one_too(site: Site, client: ClientSession) -> None:
    async with client.get(f"{site.url}livez", headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
        assert MADE.fullmatch(answer.headers[HEADER])


async def test_a_websocket_is_told_it_and_what_is_typed_there_names_it(
    site: Site, client: ClientSession
) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        async with client.ws_connect(f"{site.url}ws", headers={HEADER: "page-7"}) as socket:
            assert socket._response.headers[HEADER] == "page-7"
            await socket.send_str('{"type":"subscribe","kinds":["reply"]}')
            await socket.send_str('{"type":"say","text":"turn on the light"}')
            heard = await site.parts.result()
            await site.parts.reply(heard, "Done.")
            await passes(lambda: utterances(logged))
    [line] = utterances(logged)
    assert (line["causation_id"], line["correlation_id"]) == ("page-7", heard.correlation_id)


async def test_a_recording_is_tied_to_each_utterance_in_it(served: Served) -> None:
    headers = {"Content-Type": "audio/wav", HEADER: "mine-3"}
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        await served.call("POST", "/devices/kitchen/speech", 202, data=speech(1.0, 2.0), headers=headers)
        for number in (1, 2):
            await served.works.reply(await served.works.result(number), "Done.")
        await passes(lambda: len(utterances(logged)) == 2)
    assert {line["causation_id"] for line in utterances(logged)} == {"mine-3"}
    assert len({line["correlation_id"] for line in utterances(logged)}) == 2


async def test_what_a_device_on_a_wire_says_was_caused_by_no_request(site: Site) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        async with site.parts.board() as board:
            saying = asyncio.create_task(board.say(loud(1)))
            await site.parts.reply(await site.parts.result(), "Done.")
            await saying
            await passes(lambda: utterances(logged))
    [line] = utterances(logged)
    assert "causation_id" not in line


async def test_openais_door_has_both_headers(tmp_path: Path) -> None:
    async with open_v1(tmp_path) as v1, v1.raw("GET", "/models", headers={HEADER: "mine-2"}) as answer:
        assert (answer.headers[HEADER], answer.headers["X-Request-Id"]) == ("mine-2", "mine-2")


async def families(url: str, client: ClientSession) -> dict[str, Any]:
    async with client.get(f"{url}metrics") as answer:
        return {family.name: family for family in text_string_to_metric_families(await answer.text())}


async def test_requests_are_counted_by_route_and_never_by_path(site: Site, client: ClientSession) -> None:
    for number, odd in enumerate(("PROPFIND", "LOCK", "MKCOL")):
        await client.get(f"{site.url}api/v1/devices/{number}")
        await client.get(f"{site.url}nothing/{number}")
        await client.request(odd, f"{site.url}livez")
    async with client.ws_connect(f"{site.url}ws"):
        found = await families(site.url, client)
    counted = {
        (one.labels["method"], one.labels["route"], one.labels["status"]): one.value
        for one in found["earshot_http_requests"].samples
        if one.name.endswith("_total")
    }
    assert counted["GET", "/api/v1/devices/{device_id}", "4xx"] == 3
    assert counted["GET", "other", "4xx"] == 3
    assert sum(count for (method, _, _), count in counted.items() if method == "other") == 3
    assert not any(re.search(r"/\d", route) for _, route, _ in counted)


async def test_they_are_timed_until_they_are_answered_or_open(site: Site, client: ClientSession) -> None:
    async with client.get(f"{site.url}events") as stream:
        await stream.content.read(1)
    async with client.ws_connect(f"{site.url}ws") as socket:
        await socket.send_str('{"type":"subscribe","kinds":["reply"]}')
        await socket.receive()
    await client.get(f"{site.url}livez")
    found = await families(site.url, client)
    samples = found["earshot_http_request_duration_seconds"].samples
    counts = {one.labels["route"]: one.value for one in samples if one.name.endswith("_count")}
    sums = {one.labels["route"]: one.value for one in samples if one.name.endswith("_sum")}
    assert counts["/ws"] == counts["/livez"] == 1
    assert sums["/ws"] < 5.0
