"""A listening port of a test's own process."""

from __future__ import annotations

import asyncio

STEPS = 4
"""Of the loop, from accepting somebody to whoever meets them having begun."""


async def close_listener(server: asyncio.Server) -> None:
    """Take nobody more. Who is being taken just now is met first: ``Server.close`` would leave their socket open."""
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(STEPS):
        await asyncio.sleep(0)
    server.close()
