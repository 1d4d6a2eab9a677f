"""What is made in a thread is somebody's, or is unmade."""

from __future__ import annotations

import asyncio
import threading
from typing import NoReturn

import pytest

from gateway.process.made_in_thread import made_in_thread
from tests.record import PATIENCE, Record


async def test_who_waits_for_it_has_it() -> None:
    unmade = Record()
    assert await made_in_thread(lambda: "a socket", unmade) == "a socket"
    assert not unmade.items


async def test_it_is_unmade_when_nobody_waits_any_more() -> None:
    begun, go, unmade = asyncio.Event(), threading.Event(), Record()
    loop = asyncio.get_running_loop()

    def make() -> str:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(PATIENCE)
        return "a socket"

    waiting = asyncio.create_task(made_in_thread(make, unmade))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not unmade.items
    go.set()
    await unmade.until(lambda: unmade.items == ["a socket"])


async def test_what_could_not_be_made_is_told_to_who_waits() -> None:
    unmade = Record()

    def make() -> NoReturn:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await made_in_thread(make, unmade)
    assert not unmade.items
