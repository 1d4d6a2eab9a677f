"""That whoever keeps an event loop waiting is found, with the stack, and nobody else is."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.loop_guard import MOST_CPU_SECONDS, ROOT, blocking_calls, fail_for

_CODE = """
import asyncio

def plain(work):
    return work()

async def awaited(work):
    return plain(work)

async def in_a_thread(work):
    return await asyncio.to_thread(plain, work)
"""


def ours(name: str) -> Any:
    """A function of the above as if it stood in a module of the gateway."""
    module: dict[str, Any] = {}
    exec(compile(_CODE, str(ROOT / "gateway" / "imagined.py"), "exec"), module)
    return module[name]


WORDS = {
    "a file": "os.open(folder + '/file', os.O_CREAT)",
    "a folder": "os.listdir(folder)",
    "a name": "socket.getaddrinfo('localhost', 80)",
    "a TLS context": "ssl.create_default_context()",
    "a sleep": "time.sleep(0)",
}


def said_by_us(expression: str, folder: Path | str = "") -> Callable[[], object]:
    """What evaluates it, as if that stood in a module of the gateway."""
    names = {"gc": gc, "os": os, "socket": socket, "ssl": ssl, "time": time, "folder": str(folder)}
    code = compile(f"lambda: {expression}", str(ROOT / "gateway" / "imagined.py"), "eval")
    return eval(code, names)  # type: ignore[no-any-return]


async def done_by_us(expression: str, folder: Path | str = "", how: str = "awaited") -> list[str]:
    await ours(how)(said_by_us(expression, folder))
    return blocking_calls.take()


@pytest.mark.parametrize("what", WORDS)
async def test_what_blocks_the_loop_is_found_with_its_stack(tmp_path: Path, what: str) -> None:
    found = await done_by_us(WORDS[what], tmp_path)
    assert found
    assert "asyncio.to_thread" in found[0]
    assert "gateway/imagined.py" in found[0]
    with pytest.raises(pytest.fail.Exception, match="blocking calls in all"):
        fail_for(found)


async def test_a_sync_is_found(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        (found,) = await done_by_us(f"os.fsync({file.fileno()})")
    assert found.startswith("os.fsync")


async def test_a_callback_of_ours_is_found() -> None:
    asyncio.get_running_loop().call_soon(said_by_us("os.listdir('/')"))
    await asyncio.sleep(0)
    found = blocking_calls.take()  # and what takes long: the collector may come just now
    assert [one for one in found if one.startswith("os.listdir") and "gateway/imagined.py" in one]


async def test_in_a_thread_it_may() -> None:
    assert await done_by_us("ssl.create_default_context()", how="in_a_thread") == []


async def test_a_test_may(tmp_path: Path) -> None:
    list(tmp_path.iterdir())  # noqa: ASYNC240
    ours("plain")(lambda: list(tmp_path.iterdir()))
    assert blocking_calls.take() == []


def test_without_a_loop_anybody_may() -> None:
    said_by_us("os.listdir('/')")()
    assert blocking_calls.take() == []


@pytest.mark.slow
async def test_a_callback_that_computes_for_long_is_found_by_its_threads_time() -> None:
    began = time.thread_time()
    work = said_by_us(
        f"[0 for _ in iter(lambda: time.thread_time() - {began} < {MOST_CPU_SECONDS + 0.05}, False)]"
    )
    asyncio.get_running_loop().call_soon(work)
    await asyncio.sleep(0)
    found = blocking_calls.take()  # perhaps also what a loop in another thread of the tests' did meanwhile
    assert any("one callback computed for 0.5" in one for one in found), found


@pytest.mark.slow
async def test_what_the_garbage_collector_takes_is_nobodys() -> None:
    began = time.thread_time()
    work = said_by_us(
        f"[gc.collect() for _ in iter(lambda: time.thread_time() - {began} < {MOST_CPU_SECONDS + 0.05}, False)]"
    )
    asyncio.get_running_loop().call_soon(work)
    await asyncio.sleep(0)
    assert blocking_calls.take() == []
