"""What keeps blocking calls off the event loop: while one runs in a thread, our code touches no file there.

An audit hook sees files, names that are looked up, processes and sleeps; what Python audits nothing of (syncs, TLS
contexts) is wrapped. A callback is judged by the CPU time of its thread: that of the machine depends on its load; what
the garbage collector takes meanwhile depends on how many tests went before.
Whoever is found makes the running test fail, with the stack. ``stat`` is left alone: it is answered from memory.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import linecache
import os
import ssl
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).parent.parent
OURS = tuple(f"{ROOT / name}{os.sep}" for name in ("gateway", "firmware_bridge", "transcription"))
THEIRS = (
    *(f"{ROOT / name}{os.sep}" for name in ("tests", "benchmarks", "examples")),
    f"{tempfile.gettempdir()}{os.sep}",
)
"""What tests do to a loop of theirs is their own business; modules that a test wrote lie in its temporary folder."""
EVENTS = frozenset(
    {
        "open", "os.listdir", "os.scandir", "os.walk", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link",
        "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime", "glob.glob", "shutil.copyfile",
        "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp", "fcntl.flock", "fcntl.lockf", "sqlite3.connect",
        "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
        "urllib.Request", "http.client.connect", "subprocess.Popen", "os.system", "os.posix_spawn",
    }
)  # fmt: skip
"""What Python audits, and what may take as long as a disk, a server or somebody else likes."""
MOST_CPU_SECONDS = 0.5
"""Of one callback, until it lets the others go on; the first import of a large library comes near it."""
DEPTH = 12
"""Frames that are shown of a stack."""

HARMLESS: tuple[tuple[str, str, str], ...] = (
    (
        "subprocess.Popen",
        "firmware_bridge/child.py",
        "asyncio has no other way to start a process",
    ),
    ("os.posix_spawn", "firmware_bridge/child.py", "the same, as Python 3.13 does it"),
    ("os.symlink", "firmware_bridge/simulator/wires.py", "what a simulated board is called, in no gateway"),
    ("os.remove", "firmware_bridge/simulator/wires.py", "the same, when it is unplugged"),
)
"""Event, file and why: what cannot be done otherwise, or keeps nobody waiting."""
ONCE = ("<frozen importlib", linecache.__file__)
"""Who imports (which test is first is chance), and who shows a traceback (something is broken already)."""

_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_MEASURED: CodeType | None = None

_Function = TypeVar("_Function", bound=Callable[..., Any])


class BlockingCalls:
    """Those that were found since the last test."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._collecting_since = 0.0
        self._collected = 0.0

    def install(self) -> None:
        """For the rest of the process, as audit hooks are."""
        sys.addaudithook(self._audited)
        for owner, name in (
            (os, "fsync"), (os, "fdatasync"), (time, "sleep"), (ssl.SSLContext, "load_cert_chain"),
            (ssl.SSLContext, "load_verify_locations"), (ssl.SSLContext, "load_default_certs"),
        ):  # fmt: skip
            setattr(owner, name, self._wrapped(getattr(owner, name), f"{owner.__name__}.{name}"))
        gc.callbacks.append(self._garbage)
        asyncio.Handle._run = self._measured(asyncio.Handle._run)  # type: ignore[method-assign]

    def take(self) -> list[str]:
        """What was found, in words."""
        found, self._found[:] = self._found[:], []
        return found

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or asyncio._get_running_loop() is None:
            return
        if event != "open" or not isinstance(arguments[0], int):  # a descriptor is open already
            self._judge(event, arguments)

    def _wrapped(self, function: _Function, name: str) -> _Function:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                self._judge(name, ())
            return function(*arguments, **named)

        return wrapper  # type: ignore[return-value]

    def _judge(self, event: str, arguments: tuple[Any, ...]) -> None:
        frame = _to_blame(sys._getframe(2))
        if frame is None:
            return
        file = frame.f_code.co_filename.removeprefix(f"{ROOT}{os.sep}")
        if any((event, file) == (harmless, where) for harmless, where, _why in HARMLESS):
            return
        stack = "".join(traceback.format_stack(sys._getframe(2), DEPTH))
        self._found.append(
            f"{event}{arguments[:1]!r:.200} keeps the event loop waiting (do it in a thread: asyncio.to_thread, "
            f"or once before the loop needs it):\n{stack}"
        )

    def _measured(self, run: Callable[[asyncio.Handle], None]) -> Callable[[asyncio.Handle], None]:
        clock = time.thread_time

        def measured(handle: asyncio.Handle) -> None:
            began, self._collected = clock(), 0.0
            run(handle)
            if (spent := clock() - began - self._collected) > MOST_CPU_SECONDS:
                self._too_long(handle, spent)

        global _MEASURED  # noqa: PLW0603 - the loop's end of every stack
        _MEASURED = measured.__code__
        return measured

    def _garbage(self, phase: str, _info: dict[str, int]) -> None:
        if asyncio._get_running_loop() is None:
            return  # another thread's
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting_since

    def _too_long(self, handle: asyncio.Handle, spent: float) -> None:
        callback = handle._callback  # type: ignore[attr-defined]
        task = getattr(callback, "__self__", None)
        code = (
            task.get_coro().cr_code if isinstance(task, asyncio.Task) else getattr(callback, "__code__", None)
        )
        if code is not None and code.co_filename.startswith(OURS):
            self._found.append(
                f"one callback computed for {spent:.2f} s (do it in a thread, or in pieces): {task or handle!r}"
            )


def _to_blame(frame: FrameType | None) -> FrameType | None:
    """Our innermost frame, unless a test has called that plain function itself: that is its own affair."""
    innermost = outermost = None
    while frame is not None and frame.f_code is not _MEASURED:
        file = frame.f_code.co_filename
        if file.startswith(ONCE):
            return None
        if file.startswith(OURS):
            innermost, outermost = innermost or frame, frame
        elif file.startswith(THEIRS):
            break
        frame = frame.f_back
    else:
        return innermost
    is_awaited = outermost is not None and outermost.f_code.co_flags & _COROUTINE
    return innermost if is_awaited else None


blocking_calls = BlockingCalls()


def fail_for(found: list[str]) -> None:
    """Fail the running test if there is anything."""
    if found:
        pytest.fail("\n".join([*found[:3], f"{len(found)} blocking calls in all"]), pytrace=False)
