"""A cancellation that meets a client library is heeded, whatever the library makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heeded() -> Iterator[None]:
    """Around a library's work: raises CancelledError where the library has lost one, or raised something else.

    Libraries lose one that meets an answer or the end of their connection (``asyncio.wait_for`` does before
    3.12). Whoever was cancelled would go on then, and whoever waits for its end would do so for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    except Exception as error:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
