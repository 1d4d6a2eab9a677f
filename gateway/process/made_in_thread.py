"""What a thread makes and somebody has to close: closed, too, when whoever wanted it is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

_Made = TypeVar("_Made")


async def made_in_thread(make: Callable[[], _Made], unmake: Callable[[_Made], object]) -> _Made:
    """What ``make`` makes. When nobody waits for it any more a thread does ``unmake`` with it."""
    loop = asyncio.get_running_loop()
    lock = threading.Lock()
    there: list[_Made] = []
    is_wanted = True

    def make_if_wanted() -> None:
        made = make()
        with lock:
            if is_wanted:
                there.append(made)
                return
        unmake(made)

    try:
        await loop.run_in_executor(None, make_if_wanted)
    except asyncio.CancelledError:
        with lock:
            is_wanted = False
        if there:  # it came in the same moment
            loop.run_in_executor(None, unmake, there[0])
        raise
    return there[0]
