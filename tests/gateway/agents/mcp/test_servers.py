"""Tools of real MCP servers (the official classes), over stdio and HTTP: called, within bounds, and without them."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.agents.mcp.servers import McpServers, source, tool_name
from gateway.agents.process import watched
from gateway.agents.tools.tool import ToolFailed
from gateway.commands.doctor.agents import agents
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import AudioFacts
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.tools import ToolServer, ToolSettings
from tests.record import passes
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, as_json, unruly

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mcp servers")]

SCRIPT = str(Path(__file__).with_name("server_of_tools.py"))
HEARD = Heard(
    session_id="s", user_id="u", device_id="d", text="add", timestamp=1.0, success=True, message_id="m",
    correlation_id="c", utterance_id="u", audio=AudioFacts(seconds=1.0),
)  # fmt: skip


def stdio(*args: str, command: str = sys.executable, **more: Any) -> ToolServer:
    return ToolServer(command=command, args=args or (SCRIPT, "stdio"), **more)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def running(**servers: ToolServer) -> AsyncIterator[McpServers]:
    tools = source("chat", ToolSettings(servers=servers))
    async with tools.running():
        yield tools


async def call(tools: McpServers, name: str, **arguments: Any) -> str:
    tool = next(tool for tool in tools.tools() if tool.name == name)
    async with asyncio.timeout(20.0):
        return await tool.call(arguments, HEARD)


async def there(tools: McpServers, server: str) -> None:
    await passes(lambda: tools.of(server) is not None)


async def test_tools_are_listed_and_called_and_what_goes_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "1")
    monkeypatch.setenv("MEANT_FOR_IT", "1")
    with capture_logs() as logs:
        async with running(house=stdio(env=("MEANT_FOR_IT",), seconds=2.0)) as tools:
            await there(tools, "house")
            found = {tool.name: tool for tool in tools.tools()}
            assert found["house_add"].description == "The sum of two numbers."
            assert set(found["house_add"].parameters["properties"]) == {"a", "b"}
            destructive = {name for name, tool in found.items() if tool.destructive}
            assert {"house_unlock", "house_unmarked"} <= destructive
            assert not {"house_add", "house_switch"} & destructive

            assert await call(tools, "house_babbles") == "said"
            assert await call(tools, "house_add", a=2, b=3) == "5"
            with pytest.raises(ToolFailed, match="Error executing tool fails"):
                await call(tools, "house_fails", why="a reason")
            with pytest.raises(ToolFailed, match="validation error"):
                await call(tools, "house_add", a="two")
            assert len(await call(tools, "house_much", characters=3_000_000)) == 1024 * 1024

            variables = (await call(tools, "house_environment")).split()
            assert "MEANT_FOR_IT" in variables
            assert "SECRET_OF_THE_GATEWAY" not in variables
            assert not {name for name in variables if name.startswith(("EARSHOT", "PYTHON"))}

            await call(tools, "house_grows")
            await passes(lambda: any(tool.name == "house_new_one" for tool in tools.tools()))
            assert await call(tools, "house_new_one") == "new"

            with pytest.raises(ToolFailed, match=r"[Tt]imed out"):
                await call(tools, "house_hangs")
    assert "told aside" in [entry["line"] for entry in logs if entry["event"] == "a process says"]


async def test_what_is_no_server_and_what_dies_is_told_of_and_nothing_else_suffers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched, "FIRST_PAUSE", 0.01)
    odd = {
        "ended": (stdio("-c", "print('hello')"), r"[Cc]onnection closed"),
        "silent": (stdio("-c", "import time; time.sleep(60)", seconds=0.5), r"[Tt]imed out"),
        "garbage": (
            stdio("-c", "import time; print('no message', flush=True); time.sleep(60)", seconds=0.5),
            r"[Tt]imed out",
        ),
        "absent": (stdio(command="/no/such/program"), "there is no program /no/such/program"),
    }
    async with running(house=stdio(), **{name: server for name, (server, _) in odd.items()}) as tools:
        await there(tools, "house")
        assert await call(tools, "house_add", a=1, b=2) == "3"

        with pytest.raises(ToolFailed):
            await call(tools, "house_dies")
        await passes(lambda: "house" in tools.reasons)
        await there(tools, "house")
        await passes(lambda: odd.keys() <= tools.reasons.keys())
        for name, (_, reason) in odd.items():
            assert re.search(reason, tools.reasons[name]), tools.reasons
        server = int(await call(tools, "house_pid"))
        hanging = asyncio.create_task(call(tools, "house_hangs"))
        await asyncio.sleep(0)
        os.kill(tools.pid, 9)
        with pytest.raises(ToolFailed, match="was killed"):
            await hanging
        assert tools.of("house") is None
        assert not tools.tools()
        await passes(lambda: not is_alive(server))
        await there(tools, "house")


async def test_one_that_speaks_http_may_come_later_and_go() -> None:
    port = free_port()
    server = ToolServer(url=f"http://127.0.0.1:{port}/mcp", seconds=5.0)
    async with running(house=server) as tools:
        await passes(lambda: "house" in tools.reasons)
        process = await asyncio.create_subprocess_exec(
            sys.executable, SCRIPT, str(port), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await there(tools, "house")
            assert await call(tools, "house_add", a=20, b=3) == "23"
            with pytest.raises(ToolFailed, match="Error executing tool fails"):
                await call(tools, "house_fails", why="a reason")
        finally:
            process.kill()
            await process.wait()
        with pytest.raises(ToolFailed):
            await call(tools, "house_add", a=1, b=2)
        await passes(lambda: tools.of("house") is None)


ODD_ANSWERS = {
    "refused": (
        as_json({"error": "no"}, status=401),
        "it does not let us in (status 401); see its token_file",
    ),
    "broken": (as_json({}, status=500), "it answers with status 500"),
    "page": (Told([b"<html>"], content_type="text/html"), "Unexpected content type: text/html"),
    "garbage": (Told([b"{"]), "Failed to parse JSON response"),
    "strange": (as_json([1, 2]), "Failed to parse JSON response"),
    "events": (Told([b"data: {\n\n"], content_type="text/event-stream"), "Failed to parse SSE message"),
    "cut": (Told([b"{"], cut=True), "peer closed connection"),
}


async def test_what_is_no_mcp_over_http_is_told_of_and_a_token_goes_to_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    async with AsyncExitStack() as stack:
        odd = {
            name: await stack.enter_async_context(unruly()) for name in (*ODD_ANSWERS, "away", "elsewhere")
        }
        for name, (told, _) in ODD_ANSWERS.items():
            odd[name].usual = told
        odd["away"].usual = as_json({}, status=307, Location=odd["elsewhere"].url)
        servers = {
            name: ToolServer(url=f"{server.url}/mcp", token_file=str(tmp_path / "token"), seconds=1.0)
            for name, server in odd.items()
            if name != "elsewhere"
        }
        async with running(**servers) as tools:
            await passes(lambda: servers.keys() <= tools.reasons.keys())
            for name, (_, reason) in ODD_ANSWERS.items():
                assert tools.reasons[name].startswith(reason)
            assert tools.reasons["away"].startswith("it sends us elsewhere (status 307)")
            assert "secret" not in str(tools.reasons)
            assert not tools.tools()
        for name in servers:
            assert odd[name].asked[0].headers["Authorization"] == "Bearer secret"
        assert not odd["elsewhere"].asked


def test_a_tokens_file_that_cannot_be_read_is_told_of_before_anything_is_started() -> None:
    server = ToolServer(url="http://127.0.0.1:1/mcp", token_file="/no/such/file")
    with pytest.raises(BadOrchestrator, match="/no/such/file"):
        source("chat", ToolSettings(servers={"house": server}))


def test_names_are_such_as_models_take() -> None:
    assert tool_name("house", "light.switch/on") == "house_light_switch_on"
    assert len(tool_name("house", "x" * 200)) == 64


def test_the_doctor_lists_servers_and_their_tools() -> None:
    servers = {
        "house": {"command": sys.executable, "args": [SCRIPT, "stdio"]},
        "odd": {"command": "/no/such"},
    }
    tools = {"servers": servers, "allow": ["house_a*", "house_unlock"]}
    chat = {"kind": "openai", "url": "http://127.0.0.1:1/v1", "openai": {"model": "m", "tools": tools}}
    config = msgspec.convert({"orchestrator": {"agents": {"chat": chat}}}, GatewayConfig)
    house, odd = [one for one in agents(config, None) if one.what.startswith("tools of chat")]
    assert (house.state, house.what) == ("ok", "tools of chat: house")
    assert house.detail.startswith("house_add, house_unlock (asks first); not allowed: house_switch, ")
    assert (odd.state, odd.detail) == ("fail", "there is no program /no/such")
    assert odd.remedy == "see orchestrator.agents.chat.openai.tools.servers.odd"
