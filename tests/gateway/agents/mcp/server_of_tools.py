"""An MCP server of the official classes, for tests: well behaved tools, and others. ``stdio`` or a port."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("house")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def unlock(door: str) -> str:
    """Unlock a door."""
    return f"{door} is open"


@server.tool(annotations=ToolAnnotations(destructive_hint=False))
def switch(lamp: str) -> str:
    """Switch a lamp."""
    return lamp


@server.tool()
def unmarked() -> str:
    """Says nothing of what it does."""
    return "done"


@server.tool()
def fails(why: str) -> str:
    """Raises."""
    raise ValueError(why)


@server.tool()
def hangs() -> str:
    """Never answers."""
    time.sleep(60)
    return "late"


@server.tool()
def pid() -> int:
    """Of this server."""
    return os.getpid()


@server.tool()
def dies() -> str:
    """Ends its server."""
    os._exit(3)


@server.tool()
def much(characters: int) -> str:
    """A long text."""
    return "x" * characters


@server.tool()
def environment() -> str:
    """The names of what it was given."""
    return " ".join(sorted(os.environ))


@server.tool()
def babbles() -> str:
    """Writes what is no message."""
    os.write(1, b"this is no message\n{\n\x00\xff\n")
    print("told aside", file=sys.stderr, flush=True)
    return "said"


@server.tool()
async def grows(context: Context[Any, Any]) -> str:
    """Gets another tool."""
    server.add_tool(lambda: "new", name="new.one", description="New.")
    await context.session.send_tool_list_changed()
    await context.notify_tools_changed()
    return "grown"


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run()
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
