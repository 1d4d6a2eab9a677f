"""Somebody else's code at work inside this process: whatever it raises, also to end the process, is its own failure.

``sys.exit()`` in a task ends the event loop, and with it everything else that runs there. So whoever calls
somebody's code catches BaseException, asks :func:`is_our_end`, and calls :func:`shelter` before: tasks that such
code makes of its own cannot end the loop either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any

_IS_FOREIGN: ContextVar[bool] = ContextVar("is_foreign", default=False)


class WouldHaveEnded(RuntimeError):
    """A task of somebody's code raised SystemExit or KeyboardInterrupt, which is the cause of this."""


def shelter() -> None:
    """What is called from here on in this task is somebody else's, and so are the tasks that it makes."""
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        loop.set_task_factory(_new_task)
    _IS_FOREIGN.set(True)


def is_our_end(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Whether ``error`` ends ``task``, which called somebody's code, and is not that code's failure."""
    if isinstance(error, asyncio.CancelledError):
        return task is None or task.cancelling() > 0  # not: something else was cancelled that it waited for
    # A task that is thrown away is closed from elsewhere.
    closed = task is None or asyncio.current_task(task.get_loop()) is not task
    return isinstance(error, GeneratorExit) and closed


def _new_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **options: Any,
) -> asyncio.Task[Any]:
    if _IS_FOREIGN.get() and isinstance(coro, Coroutine):
        coro = _Sheltered(coro)
    return asyncio.Task(coro, loop=loop, **options)


class _Sheltered(Coroutine[Any, Any, Any]):
    """A coroutine that cannot end the process."""

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner
        self.__qualname__ = getattr(inner, "__qualname__", type(inner).__qualname__)

    def send(self, value: Any) -> Any:
        return _kept_in(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return _kept_in(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._inner.__await__())


def _kept_in(step: Callable[..., Any], *values: Any) -> Any:
    try:
        return step(*values)
    except (SystemExit, KeyboardInterrupt) as error:
        raise WouldHaveEnded(f"{type(error).__name__} in a task: {error}") from error
