"""Tools of MCP servers, for agents that have a language model; the client is in a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import msgspec
import structlog

from gateway.agents.mcp.wire import (
    Called,
    CallTool,
    CancelCall,
    ClientSaid,
    Hold,
    Listed,
    LostServer,
    ServersTool,
)
from gateway.agents.process.watched import Child, Watched
from gateway.agents.tokens import secret_in
from gateway.agents.tools.tool import ToolFailed
from gateway.orchestrators.answer import CannotAnswer
from gateway.orchestrators.heard import Heard
from gateway.settings.agents.tools import ToolServer, ToolSettings

log = structlog.get_logger(__name__)

WORKER = "gateway.agents.mcp.worker"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_DECODER: msgspec.json.Decoder[ClientSaid] = msgspec.json.Decoder(ClientSaid)


class ServerTool:
    """One tool of one server: the model knows it as ``<server>_<tool>``."""

    def __init__(self, servers: McpServers, server: str, tool: ServersTool) -> None:
        self.name = tool_name(server, tool.name)
        self.description = tool.description
        self.parameters: Mapping[str, Any] = tool.parameters
        self.destructive = tool.destructive
        self._servers = servers
        self._server = server
        self._tool = tool.name

    async def call(self, arguments: Mapping[str, Any], heard: Heard) -> str:  # noqa: ARG002 - the port's form
        """What it gives, in words or JSON. Raises ToolFailed; the server checks the arguments."""
        return await self._servers.call(self._server, self._tool, arguments)


class McpServers:
    """All servers of one agent. They come and go, and change what they have."""

    def __init__(self, agent: str, servers: Mapping[str, ToolServer], tokens: Mapping[str, str]) -> None:
        self.reasons: dict[str, str] = {}
        """Why a server is not there, by its name."""
        self.news = asyncio.Event()
        """Set whenever one has come, changed, or gone."""
        self._servers = servers
        self._found: dict[str, list[ServerTool]] = {}
        self._calls: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count()
        self._process = Watched(
            Child(
                who=f"{agent}'s tools",
                module=WORKER,
                first=lambda: Hold(dict(servers), dict(tokens)),
                said=_DECODER,
                take=self._take,
                ended=self._ended,
                ailing=self._ailing,
            )
        )

    @property
    def pid(self) -> int:
        """Of the process; 0: there is none."""
        return self._process.pid

    def running(self) -> AbstractAsyncContextManager[object]:
        """The process, which connects to them beside."""
        return self._process.running()

    async def looked_at(self, seconds: float) -> None:
        """Connect once, until each has shown what it has, or that it has nothing, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self.running():
                while not self._servers.keys() <= (self._found.keys() | self.reasons.keys()):
                    self.news.clear()
                    await self.news.wait()

    def tools(self) -> Sequence[ServerTool]:
        """Of those servers that are there."""
        return [tool for name in self._servers for tool in self._found.get(name, ())]

    def of(self, server: str) -> Sequence[ServerTool] | None:
        """What that server has; None: it is not there (yet)."""
        return self._found.get(server)

    async def call(self, server: str, tool: str, arguments: Mapping[str, Any]) -> str:
        """Raises ToolFailed."""
        number = next(self._numbers)
        call: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._calls[number] = call
        try:
            await self._process.ready()
            await self._process.tell(CallTool(number, server, tool, dict(arguments)))
            return await call
        except CannotAnswer as error:
            raise ToolFailed(error.reason) from error
        finally:
            del self._calls[number]
            if call.cancelled() or not call.done():
                self._process.tell_soon(CancelCall(number))

    def _take(self, said: ClientSaid) -> None:
        if isinstance(said, Called):
            call = self._calls.get(said.number)
            if call is not None and not call.done():
                if said.failed:
                    call.set_exception(ToolFailed(said.text))
                else:
                    call.set_result(said.text)
        elif isinstance(said, Listed):
            self._found[said.server] = [ServerTool(self, said.server, tool) for tool in said.tools]
            self.reasons.pop(said.server, None)
            log.info("tools of a server", server=said.server, tools=[tool.name for tool in said.tools])
            self.news.set()
        elif isinstance(said, LostServer):
            self._lose(said.server, said.reason)

    def _lose(self, server: str, reason: str) -> None:
        self._found.pop(server, None)
        if self.reasons.get(server) != reason:
            log.warning("a server of tools is not there", server=server, reason=reason)
        self.reasons[server] = reason
        self.news.set()

    def _ended(self, reason: str) -> None:
        for call in self._calls.values():
            if not call.done():
                call.set_exception(ToolFailed(reason))

    def _ailing(self, reason: str, remedy: str) -> None:
        if reason:
            for name in self._servers:
                self._lose(name, f"{reason} ({remedy})")


def tool_name(server: str, tool: str) -> str:
    """What the model calls it; names of MCP may have characters that models do not take."""
    return _NO_NAME.sub("_", f"{server}_{tool}")[:64]


def source(name: str, settings: ToolSettings) -> McpServers:
    """As the settings say. Raises BadOrchestrator for a token's file that cannot be read."""
    tokens = {server: secret_in(one.token_file) for server, one in settings.servers.items() if one.token_file}
    return McpServers(name, settings.servers, tokens)
