"""The process that holds the MCP client: ``python -m gateway.agents.mcp.worker``. The only file that imports ``mcp``.

Each server has a task that connects to it, tells what tools it has, looks again when it says so and every so often,
and connects again when it was lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import resource
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from firmware_bridge.pacing import Backoff
from gateway.agents.mcp import leash
from gateway.agents.mcp.wire import (
    Called,
    CallTool,
    CancelCall,
    ClientTold,
    Hold,
    Listed,
    LostServer,
    ServersTool,
)
from gateway.agents.process.pipe_end import PipeEnd
from gateway.agents.process.wire import Ready, Unfit
from gateway.settings.agents.tools import ToolServer

if TYPE_CHECKING:
    import httpx2
    from mcp import Client
    from mcp.types import CallToolResult, Tool

MOST_BYTES = 768 * 1024 * 1024
"""Of memory that this process takes for itself, whatever servers send."""
LOOK_SECONDS = 15.0
"""So often a server is asked what it has, also without having said that it changed."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
MOST_TOOLS = 128
MOST_PAGES = 16
MOST_SCHEMA = 16 * 1024
"""Characters of what a tool says of itself."""
MOST_TEXT = 1024 * 1024
"""Characters of what a call gives."""
_SHOWN = 300
_NO_STREAM = 405
"""What a server says that has no stream of its own, which none needs to have."""


class Held:
    """The servers, and the calls that are under way."""

    def __init__(self, end: PipeEnd[ClientTold]) -> None:
        self._end = end
        self._servers: dict[str, _Server] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}

    async def main(self) -> None:
        """Until it is cancelled."""
        hold = await self._end.heard()
        assert isinstance(hold, Hold)
        try:
            import mcp  # noqa: F401, PLC0415 - to say at once that it is not there
        except ModuleNotFoundError as error:
            remedy = "pip install 'earshot-gateway[mcp]'"
            self._end.say(Unfit(f"{error.name} is not installed", remedy))
            return
        async with asyncio.TaskGroup() as tasks:
            for name, settings in hold.servers.items():
                server = self._servers[name] = _Server(name, settings, hold.tokens.get(name, ""), self._end)
                tasks.create_task(server.keep(), name=name)
            self._end.say(Ready())
            while True:
                self._take(await self._end.heard())

    def _take(self, told: ClientTold) -> None:
        if isinstance(told, CallTool):
            task = asyncio.create_task(self._call(told), name=f"{told.server} {told.tool}")
            self._calls[told.number] = task
            task.add_done_callback(lambda _: self._calls.pop(told.number, None))
        elif isinstance(told, CancelCall) and (call := self._calls.get(told.number)):
            call.cancel()

    async def _call(self, told: CallTool) -> None:
        try:
            text, failed = await self._servers[told.server].call(told.tool, told.arguments)
        except Exception as error:  # noqa: BLE001 - the border to the client: one call must not end the others
            text, failed = _in_words(error), True
        self._end.say(Called(told.number, text[:MOST_TEXT], failed))


class _Server:
    """One of them, over all of its lives."""

    def __init__(self, name: str, settings: ToolServer, token: str, end: PipeEnd[ClientTold]) -> None:
        self._name = name
        self._settings = settings
        self._token = token
        self._end = end
        self._client: Client | None = None
        self._status = 0
        """Of its last answer, where it speaks HTTP."""
        self._look_again = asyncio.Event()
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    async def keep(self) -> None:
        """Connected, as far as that can be had."""
        while True:
            try:
                await self._life()
                reason = "it has ended the connection"
            except Exception as error:  # noqa: BLE001 - the border to the client, and through it to the server
                reason = _refusal(self._status) or _in_words(error)
            self._client, self._status = None, 0
            self._end.say(LostServer(self._name, reason))
            await asyncio.sleep(self._backoff.next())

    async def call(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """What came of it, and whether that is a failure."""
        if self._client is None:
            return f"{self._name} is not there", True
        try:
            result = await self._client.call_tool(
                tool, arguments, read_timeout_seconds=self._settings.seconds
            )
        except Exception:
            self._look_again.set()  # whether it is still there
            raise
        return _text(result), bool(result.is_error)

    async def _life(self) -> None:
        from mcp import Client  # noqa: PLC0415 - heavy

        async with _target(self._settings, self._token, self._answered) as target:
            client = Client(
                target, read_timeout_seconds=self._settings.seconds, message_handler=self._notified
            )
            async with client:
                self._client = client
                listening = asyncio.create_task(self._listen(client), name=f"{self._name} changes")
                try:
                    await self._look(client)
                finally:
                    self._client = None
                    listening.cancel()
                    await asyncio.wait({listening})

    async def _look(self, client: Client) -> None:
        """Tell what it has, as often as that may have changed. Raises when it is lost."""
        told: tuple[ServersTool, ...] | None = None
        while True:
            self._look_again.clear()
            found = await _listed(client)
            if found != told:
                self._end.say(Listed(self._name, found))
                told = found
            self._backoff.reset()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_again.wait()

    async def _answered(self, response: httpx2.Response) -> None:
        self._status = response.status_code if response.status_code != _NO_STREAM else 0

    async def _notified(self, message: object) -> None:  # noqa: ARG002 - the client's form
        """Whatever it says by itself may mean that its tools have changed; servers of the older kind say so here."""
        self._look_again.set()

    async def _listen(self, client: Client) -> None:
        """What servers of the newer kind say of changes."""
        with suppress(Exception):  # it does not tell: it is looked at every so often
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._look_again.set()


@asynccontextmanager
async def _target(
    settings: ToolServer, token: str, answered: Callable[[httpx2.Response], Awaitable[None]]
) -> AsyncIterator[Any]:
    """What the client is to connect to; ``answered``: told of each answer over HTTP."""
    from mcp import StdioServerParameters  # noqa: PLC0415 - heavy

    if settings.command:
        if shutil.which(settings.command) is None:
            raise FileNotFoundError(f"there is no program {settings.command}")
        passed = {name: os.environ[name] for name in settings.env if name in os.environ}
        args = ["-I", "-S", leash.__file__, str(os.getpid()), settings.command, *settings.args]
        yield StdioServerParameters(command=sys.executable, args=args, env=passed)
        return
    import httpx2  # noqa: PLC0415 - comes with mcp
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tls = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
    timeout = httpx2.Timeout(settings.seconds, read=None)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                headers=headers, verify=tls, timeout=timeout, event_hooks={"response": [answered]}
            )
        )
        yield streamable_http_client(settings.url, http_client=http)


async def _listed(client: Client) -> tuple[ServersTool, ...]:
    found: list[ServersTool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        found += filter(None, map(_tool, page.tools))
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST_TOOLS:
            break
    return tuple(found[:MOST_TOOLS])


def _tool(tool: Tool) -> ServersTool | None:
    """None: it says too much of itself for a model."""
    if len(json.dumps(tool.input_schema)) + len(tool.description or "") > MOST_SCHEMA:
        return None
    hints = tool.annotations
    harmless = hints is not None and (hints.read_only_hint is True or hints.destructive_hint is False)
    return ServersTool(tool.name, tool.description or "", tool.input_schema, not harmless)


def _text(result: CallToolResult) -> str:
    """What a model can read of it."""
    parts = []
    for block in result.content:
        resource_text = getattr(getattr(block, "resource", None), "text", None)
        text = getattr(block, "text", None) or resource_text
        parts.append(text if isinstance(text, str) else f"({block.type}, which cannot be read out)")
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)


def _refusal(status: int) -> str:
    """What a status says that is no success; the client's own words do not tell it."""
    if status in (401, 403):
        return f"it does not let us in (status {status}); see its token_file"
    if 300 <= status < 400:
        return f"it sends us elsewhere (status {status}); write the last address into its url"
    return f"it answers with status {status}" if status >= 400 else ""


def _in_words(error: BaseException) -> str:
    """What went wrong, out of whatever it is wrapped in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = re.split(r": \d+ validation error", " ".join(str(error).split()))[0][:_SHOWN]
    return said or type(error).__name__


def main() -> None:
    """The process's entry point."""
    end: PipeEnd[ClientTold] = PipeEnd(msgspec.json.Decoder(ClientTold))
    logging.getLogger("mcp").setLevel(
        logging.CRITICAL
    )  # a traceback for each line of a server that is no message
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, most))
    end.run(lambda: Held(end).main())


if __name__ == "__main__":
    main()
