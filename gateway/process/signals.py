"""What a process of its own is told by signals: to end in good order, and when it is told again, at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def told_by_signals(told: asyncio.Queue[None]) -> Iterator[None]:
    """Outside the main thread there are none, and on Windows only what asyncio makes of SIGINT."""
    loop, heard = asyncio.get_running_loop(), []
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.put_nowait, None)
            heard.append(number)
    try:
        yield
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
