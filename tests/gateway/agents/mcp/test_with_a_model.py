"""A model that uses the tools of a real MCP server, each in a process of its own: agent, client, server."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from gateway.agents.process.stand_in import stand_in
from gateway.orchestrators.rehearsal import Rehearsal
from gateway.settings.agents.openai import ChatSettings
from gateway.settings.agents.tools import ToolServer, ToolSettings
from gateway.settings.orchestrator import AgentSettings
from tests.gateway.agents.mcp.test_servers import SCRIPT
from tests.gateway.agents.openai.scripted import call, calls, words
from tests.record import passes
from tests.servers.unruly_http import UnrulyServer, unruly

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mcp servers")]


def told(server: UnrulyServer) -> str:
    """What the last tool gave, as the model was told in the last request."""
    return str([one["content"] for one in server.asked[-1].json["messages"] if one["role"] == "tool"][-1])


async def test_a_model_calls_tools_of_a_server_and_is_told_what_goes_wrong() -> None:
    tools = ToolSettings(
        servers={"house": ToolServer(command=sys.executable, args=(SCRIPT, "stdio"))},
        allow=("house_add", "house_unlock", "house_fails", "house_hangs"),
        unconfirmed=("house_fails", "house_hangs"),
        call_seconds=4.0,
    )
    written: list[dict[str, Any]] = []
    async with unruly() as server:
        server.usual = words("Done.")
        chat = ChatSettings(model="m", tools=tools)
        settings = AgentSettings(kind="openai", url=f"{server.url}/v1", process=True, openai=chat)
        agent = stand_in("brain", settings)
        agent.acted = lambda **facts: written.append(facts)
        async with Rehearsal(agent) as stage:

            async def offered() -> set[str]:
                await stage.say("hello")
                return {one["function"]["name"] for one in server.asked[-1].json.get("tools", ())}

            while await offered() != {  # noqa: ASYNC110 - nothing else tells
                "house_add",
                "house_unlock",
                "house_fails",
                "house_hangs",
            }:
                await asyncio.sleep(0.05)
            server.next.append(calls(call("house_add", {"a": 2, "b": 3})))
            said = await stage.say("add two and three")
            assert (said.text, said.end.acted, told(server)) == ("Done.", True, "5")
            server.next.append(calls(call("house_fails", {"why": "x"})))
            await stage.say("fail")
            assert told(server) == "Error: Error executing tool fails."
            server.next.append(calls(call("house_hangs", {})))
            await stage.say("hang")
            assert told(server).startswith("Error: it took longer than 4 s")
            server.next.append(calls(call("house_much", {"characters": 3})))
            await stage.say("what is not allowed")
            assert told(server) == "Error: there is no tool house_much."

            server.next.append(calls(call("house_unlock", {"door": "front"})))
            asked = await stage.say("unlock the front door")
            assert "front" in asked.text
            assert asked.text.endswith("?")
            await stage.say("yes")
            assert told(server) == "front is open"
            await passes(lambda: written[-1]["outcome"] == "done")
    outcomes = [(line["tool"], line["outcome"]) for line in written]
    assert outcomes == [
        ("house_add", "done"),
        ("house_fails", "failed"),
        ("house_hangs", "too slow"),
        ("house_much", "refused"),
        ("house_unlock", "to be confirmed"),
        ("house_unlock", "confirmed"),
        ("house_unlock", "done"),
    ]
