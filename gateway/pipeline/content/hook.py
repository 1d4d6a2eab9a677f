"""A function of the user's own, asked about a text: whatever it does, the gateway goes on.

It runs in a thread of its own, on an event loop of its own, so it may be sync or async and may block that loop. One
that does not come back in time is left there, and its successor gets another thread; when too many are stuck, there is
no further one until one of them comes back. (What holds Python's one lock for good, as an endless regular expression
does, stops every thread of the process; the service's watchdog starts it again.)

::

    HookFailed      it raised, took too long, or returned what is no text
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from inspect import isawaitable
from typing import TypeAlias

from gateway.pipeline.content.port import MOST_FLAGS, PassingText
from gateway.process.foreign_code import shelter

HookFunction: TypeAlias = Callable[[PassingText], "str | Awaitable[str | None] | None"]

MOST_STUCK = 4
"""Threads that do not come back."""
MOST_AT_ONCE = 64
"""Calls that have begun and not ended, of an async function."""
MOST_CHARACTERS = 1024 * 1024
GRACE_SECONDS = 0.05
"""A thread that was doubted has so long to show that it is not stuck."""


class HookFailed(Exception):
    """There is no ruling of the function; the words say why, without those of the text."""


class Hook:
    """To be asked on the gateway's event loop, and closed."""

    def __init__(self, function: HookFunction, seconds: float) -> None:
        """``seconds``: for so long it is waited for."""
        self._function = function
        self._seconds = seconds
        self._thread: _Thread | None = None
        self._stuck: list[_Thread] = []

    async def ask(self, passing: PassingText) -> str | None:
        """What goes on of it; None: nothing. Its flags are in ``passing`` then. Raises HookFailed."""
        thread = await self._find_thread()
        called = thread.call(self._function, passing)
        try:
            async with asyncio.timeout(self._seconds):
                text = await asyncio.wrap_future(called)
        except TimeoutError:
            if called.cancelled() or not called.done():
                thread.doubt()
                raise HookFailed(f"it took longer than {self._seconds:g} s") from None
            text = called.result()  # in time: it was we who were not
        return _checked(text, passing)

    def close(self) -> None:
        """It is not asked any more; what is stuck ends with the process."""
        if self._thread is not None:
            self._thread.end()
            self._thread = None

    async def _find_thread(self) -> _Thread:
        thread = self._thread
        if thread is not None and await thread.is_stuck() and thread is self._thread:
            thread.end()
            self._stuck.append(thread)
            self._thread = None
        if self._thread is None:
            self._stuck = [one for one in self._stuck if one.is_alive]
            if len(self._stuck) >= MOST_STUCK:
                raise HookFailed("it does not come back")
            self._thread = _Thread()
        if self._thread.calls >= MOST_AT_ONCE:
            raise HookFailed("it is asked too much at once")
        return self._thread


class _Thread:
    """Where the function is called."""

    def __init__(self) -> None:
        self.calls = 0
        """Those that have begun and not ended."""
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._over = asyncio.Event()
        self._doubt: Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="content hook", daemon=True)
        self._thread.start()

    async def is_stuck(self) -> bool:
        """Whether it does nothing since it was doubted."""
        if self._doubt is not None and not self._doubt.done() and self.is_alive:
            await asyncio.wait([asyncio.wrap_future(self._doubt)], timeout=GRACE_SECONDS)
        return not self.is_alive or not (self._doubt is None or self._doubt.done())

    @property
    def is_alive(self) -> bool:
        """Whether there is anything in it still."""
        return self._thread.is_alive()

    def call(self, function: HookFunction, passing: PassingText) -> Future[object]:
        """What it returns; it may be cancelled."""
        return asyncio.run_coroutine_threadsafe(self._call(function, passing), self._loop)

    def doubt(self) -> None:
        """It has to show that it does anything."""
        if self.is_alive and (self._doubt is None or self._doubt.done()):
            self._doubt = asyncio.run_coroutine_threadsafe(_nothing(), self._loop)

    def end(self) -> None:
        """As soon as it comes back."""
        if self.is_alive:
            self._loop.call_soon_threadsafe(self._over.set)

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._live())

    async def _live(self) -> None:
        await self._over.wait()

    async def _call(self, function: HookFunction, passing: PassingText) -> object:
        shelter()
        self.calls += 1
        try:
            answer = function(passing)
            return await answer if isawaitable(answer) else answer
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # The border to somebody else's code: it may raise anything, also to end the process.
            raise HookFailed(f"it raised {type(error).__name__}") from error
        finally:
            self.calls -= 1


async def _nothing() -> None:
    """What a thread does that is not stuck."""


def _checked(text: object, passing: PassingText) -> str | None:
    """What a function returned. Raises HookFailed."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise HookFailed(f"it returned {type(text).__name__}, which is no text")
    if len(text) > MOST_CHARACTERS or len(passing.flags) > MOST_FLAGS:
        raise HookFailed("it returned too much")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise HookFailed("it returned what is not Unicode text") from error
    return str(text)
