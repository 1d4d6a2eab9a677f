"""What a connection lives by, whatever its wire: its right; and a listener's, work on its queue and keeping up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from gateway.hub.hub import ListenerQueue
from gateway.web.entrance.guard import visit_of

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
