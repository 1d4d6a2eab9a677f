"""How long somebody's code keeps the event loop for itself: each of its steps, from one await to the next."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
OnStep = Callable[[float], None]
"""Told the seconds of each step."""


class Timed(Generic[_T]):
    """Awaits what it is given, and tells of each step how long it took."""

    def __init__(self, awaitable: Awaitable[_T], on_step: OnStep) -> None:
        self._awaitable = awaitable
        self._on_step = on_step

    def __await__(self) -> Generator[Any, Any, _T]:
        steps = self._awaitable.__await__()
        step: Callable[[], Any] = lambda: next(steps)  # noqa: E731 - the next is another one
        while True:
            began = time.monotonic()
            try:
                waits_for = step()
            except StopIteration as end:
                value: _T = end.value
                return value
            finally:
                self._on_step(time.monotonic() - began)
            step = yield from _next_step(steps, waits_for)


def _next_step(steps: Generator[Any, Any, Any], waits_for: object) -> Generator[Any, Any, Callable[[], Any]]:
    """Wait, and hand on what came of it."""
    try:
        came = yield waits_for
    except GeneratorExit:
        steps.close()
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is for whoever waits in there
        thrown = error
        return lambda: steps.throw(thrown)
    return lambda: steps.send(came)


async def timed_items(items: AsyncIterator[_T], on_step: OnStep) -> AsyncIterator[_T]:
    """The items, each as it comes; ending it early leaves ``items`` to its owner."""
    while True:
        try:
            item = await Timed(anext(items), on_step)
        except StopAsyncIteration:
            return
        yield item
