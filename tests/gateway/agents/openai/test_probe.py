"""What the doctor finds of a language model: is it there, is it warm, how long to its first word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway.agents.openai import agent
from gateway.commands.doctor.agents import agents
from gateway.commands.doctor.finding import Finding
from gateway.config.configuration import GatewayConfig
from tests.gateway.agents.openai.scripted import words
from tests.servers.process import free_port
from tests.servers.unruly_http import UnrulyServer, as_json, unruly

MODELS = as_json({"data": [{"id": "small"}, {"id": "llama3:latest"}]})


@pytest.fixture
async def server() -> AsyncIterator[UnrulyServer]:
    async with unruly() as one:
        one.next.append(MODELS)
        one.usual = words("Ready.")
        yield one


async def found(url: str, **openai: Any) -> Finding:
    brain = {"kind": "openai", "url": f"{url}/v1", "openai": openai}
    config = msgspec.convert({"orchestrator": {"agents": {"brain": brain}}}, GatewayConfig)
    (finding,) = await asyncio.to_thread(lambda: list(agents(config, None)))
    return finding


async def test_a_model_that_is_there_costs_nothing(server: UnrulyServer) -> None:
    finding = await found(server.url, model="llama3")
    assert finding.state == "ok"
    assert finding.detail == f"openai at {server.url}/v1, inside the gateway: llama3 is there"
    assert [asked.path for asked in server.asked] == ["/v1/models"]


async def test_a_model_that_is_to_be_warm_says_a_word(
    server: UnrulyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = await found(server.url, model="small", warm_up=True)
    assert finding.state == "ok"
    assert " inside the gateway: small is warm: 0." in finding.detail
    monkeypatch.setattr(agent, "SLOW_SECONDS", 0.0)
    server.next.append(MODELS)
    finding = await found(server.url, model="small", warm_up=True)
    assert finding.state == "warn"
    assert finding.remedy.startswith("take a smaller model")


async def test_a_model_that_is_not_there(server: UnrulyServer) -> None:
    finding = await found(server.url, model="large")
    assert finding.state == "warn"
    assert finding.detail.endswith("it has no model large")
    assert finding.remedy == "load it there, or take one of small, llama3:latest"


async def test_nobody_is_there() -> None:
    finding = await found(f"http://127.0.0.1:{free_port()}")
    assert finding.state == "warn"
    assert finding.detail.endswith("the model's server is not there: Connection refused")
    assert finding.remedy == "start it, or correct the agent's url"


async def test_a_key_that_is_wrong(server: UnrulyServer) -> None:
    server.next[0] = as_json({"error": "who are you?"}, 401)
    finding = await found(server.url)
    assert finding.state == "warn"
    assert finding.detail.endswith("the model's server does not let us in: who are you?")
