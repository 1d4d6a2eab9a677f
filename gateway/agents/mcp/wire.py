"""What the gateway and the process that holds the MCP client say to each other."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.agents.process.wire import Ready, Unfit
from gateway.settings.agents.tools import ToolServer


class Hold(Struct, frozen=True, tag=True):
    """To the process, first: the servers, by name, and the tokens of those that have one."""

    servers: dict[str, ToolServer]
    tokens: dict[str, str]


class CallTool(Struct, frozen=True, tag=True):
    """To the process: call it."""

    number: int
    server: str
    tool: str
    arguments: dict[str, Any]


class CancelCall(Struct, frozen=True, tag=True):
    """To the process: nobody waits for it any more."""

    number: int


class ServersTool(Struct, frozen=True):
    """One tool, as its server tells of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    destructive: bool


class Listed(Struct, frozen=True, tag=True):
    """From the process: what a server has now, in place of what it had."""

    server: str
    tools: tuple[ServersTool, ...]


class LostServer(Struct, frozen=True, tag=True):
    """From the process: a server is not there, and why."""

    server: str
    reason: str


class Called(Struct, frozen=True, tag=True):
    """From the process: what came of a call; ``failed``: ``text`` says why nothing did."""

    number: int
    text: str
    failed: bool


ClientSaid = Ready | Unfit | Listed | LostServer | Called
ClientTold = Hold | CallTool | CancelCall
