"""What a connection lives by, whatever its wire: its right; a listener's, work on its queue and keeping up; its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from aiohttp import WSCloseCode, web

from gateway.hub.hub import ListenerQueue
from gateway.web.entrance.guard import visit_of

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 2.0
"""How long a closing handshake may take before the connection is cut."""
_REASON_BYTES = 123
"""What RFC 6455 leaves for the reason in a close frame."""
DIRECT_BYTES = 64 * 1024
"""What may wait for the system to take it, beside a listener's queue; more waits in there."""


async def forward(request: web.Request, queue: ListenerQueue, *work: Coroutine[Any, Any, None]) -> None:
    """Until the first of ``work`` ends. Raises what it raises, SlowConsumer, Evicted, NotAdmitted."""
    await while_admitted(request, *work, queue.overrun())


async def while_admitted(request: web.Request, *work: Coroutine[Any, Any, None]) -> None:
    """Until the first of ``work`` ends, or the right to be here. Raises what it raises, NotAdmitted."""
    ends = [*work]
    if (stay := visit_of(request).stay) is not None:
        ends.append(stay.ended())
    tasks = [asyncio.create_task(end, name="connection") for end in ends]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def close_socket(
    request: web.Request,
    socket: web.WebSocketResponse,
    code: WSCloseCode,
    reason: str = "",
    last: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Say what waits (``last``) and why, with the handshake if the other side takes part in it; then cut.

    One that is still being opened is only cut: there is nobody yet to say anything to.
    """
    try:
        if not socket.prepared:
            return
        async with asyncio.timeout(CLOSE_SECONDS):
            if last is not None:
                await last()
            await socket.close(code=code, message=reason.encode()[:_REASON_BYTES])
    except (TimeoutError, ConnectionError):
        log.debug("connection cut off", reason=reason)
    finally:
        cut(request)


def cut(request: web.Request) -> None:
    """End its connection at once: what a stalled reader has not read would keep it open for ever."""
    if request.transport is not None:
        request.transport.abort()
