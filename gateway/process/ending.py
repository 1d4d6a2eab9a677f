"""Tasks that are to end: cancelled again as long as they go on, for a library may lose a cancellation.

redis-py does, when it meets the end of its own connection; whoever waits for such a task would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

CANCEL_AGAIN_SECONDS = 2.0
"""Long enough for what ends in good order."""


async def until_done(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel them, and again every so often, until all have ended."""
    under_way = {task for task in tasks if not task.done()}
    while under_way:
        for task in under_way:
            task.cancel()
        _, under_way = await asyncio.wait(under_way, timeout=CANCEL_AGAIN_SECONDS)
