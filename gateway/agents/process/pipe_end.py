"""The child's end of the pipes: what the gateway tells it, and what it says. It ends when the gateway is gone."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from msgspec import Struct

from gateway.agents.process.wire import line

OOM_SCORE = "500"
"""When memory runs out, the kernel shall take this process and not the gateway."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2

Told = TypeVar("Told", bound=Struct)


class PipeEnd(Generic[Told]):
    """To be made first of all, in the main thread: what is printed from then on goes to the gateway's log."""

    def __init__(self, told: msgspec.json.Decoder[Told]) -> None:
        self._told = told
        self._waiting: asyncio.Queue[Told] = asyncio.Queue()
        self._out = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
        faulthandler.enable()
        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        )
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Until ``main`` has ended, or the gateway says so; then the process ends, whatever it still has to do."""
        status = 0
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._run(main()))
        except BaseException:  # noqa: BLE001 - it is shown, and threads that go on shall not keep the process
            traceback.print_exc()
            status = 1
        sys.stderr.flush()
        os._exit(status)

    async def heard(self) -> Told:
        """The next that it is told."""
        return await self._waiting.get()

    def say(self, message: Struct) -> None:
        """Blocks until the gateway takes it, which reads all the time. Raises NotALine."""
        rest = memoryview(line(message))
        try:
            while rest:
                rest = rest[os.write(self._out, rest) :]
        except BrokenPipeError:
            os._exit(0)

    async def _run(self, main: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main, name="main")
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        threading.Thread(target=self._read, args=[loop], name="what it is told", daemon=True).start()
        await task

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """A thread of its own, so that the gateway's end is noticed whatever the loop is kept busy with."""
        with os.fdopen(os.dup(_STDIN), "rb") as stream:
            for data in stream:
                told = self._told.decode(data)
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._waiting.put_nowait, told)
        os._exit(0)
