"""Which versions there are: told to everybody, at the address that every version of the API has."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import ClientSession

from firmware_bridge.link.frames import VERSION
from gateway.contract.agents import AgentRequest
from gateway.contract.events import HubEventBase
from gateway.contract.messages import OrchestratorReply, TranscriptionMessage
from gateway.hub.hub import Hub
from gateway.settings.web import WebSettings
from gateway.web.operations.table import PREFIX
from tests.gateway.web.api.served import Served
from tests.gateway.web.house import web_server


def schema_of(kind: type[msgspec.Struct]) -> object:
    (field,) = (field for field in msgspec.structs.fields(kind) if field.name == "schema")
    return field.default


async def test_they_are_those_that_messages_and_events_name(served: Served) -> None:
    told = await served.get("/versions")
    assert told["events"] == [schema_of(HubEventBase)] == [1]
    assert told["messages"] == [schema_of(TranscriptionMessage), schema_of(AgentRequest)] == [1, 2]
    assert schema_of(OrchestratorReply) == 1
    assert told["link"] == [VERSION]
    assert told["api"] == [int(PREFIX.rpartition("v")[2])] == [1]


async def test_they_stand_above_all_versions_too(served: Served) -> None:
    async with served.raw("GET", "api") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.headers["X-Correlation-ID"]
        assert await answer.json() == await served.get("/versions")
    async with served.raw("POST", "api") as answer:
        assert (answer.status, answer.content_type) == (405, "application/problem+json")
    async with served.raw("GET", "api", headers={"Accept": "text/html"}) as answer:
        assert answer.status == 406


async def test_nobody_needs_a_token_nor_a_gateway_that_is_up(tmp_path: Path) -> None:
    settings = WebSettings(port=0, require_token=True)
    hub = Hub(settings, redact=False)
    async with (
        web_server(hub, folder=tmp_path) as server,
        ClientSession() as client,
        client.get(f"{server.url}api") as answer,
    ):
        assert answer.status == 200
        assert (await answer.json())["api"] == [1]
