"""Each step of somebody's code is timed, and nothing else about it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.process.stopwatch import Timed, timed_items


async def test_only_what_keeps_the_loop_counts() -> None:
    steps: list[float] = []
    gate = asyncio.Event()

    async def answer() -> str:
        await gate.wait()
        time.sleep(0.05)  # noqa: ASYNC251 - what is to be found
        await asyncio.sleep(0)
        return "done"

    task = asyncio.ensure_future(_await(Timed(answer(), steps.append)))
    await asyncio.sleep(0)
    gate.set()
    assert await task == "done"
    assert [step >= 0.05 for step in steps] == [False, True, False]


async def _await(timed: Timed[str]) -> str:
    return await timed


async def test_what_is_raised_comes_out_and_what_is_cancelled_goes_in() -> None:
    seen: list[str] = []

    async def answer() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return ""

    task = asyncio.ensure_future(_await(Timed(answer(), lambda _seconds: None)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]

    async def wrong() -> str:
        await asyncio.sleep(0)
        raise SystemExit(2)

    with pytest.raises(SystemExit):
        await Timed(wrong(), lambda _seconds: None)


async def test_a_wait_that_fails_fails_inside() -> None:
    async def answer() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "too late"
        return ""

    assert await Timed(answer(), lambda _seconds: None) == "too late"


async def test_each_piece_is_timed() -> None:
    steps: list[float] = []

    async def pieces() -> AsyncIterator[str]:
        yield "one"
        time.sleep(0.05)  # noqa: ASYNC251 - what is to be found
        yield "two"

    assert [piece async for piece in timed_items(pieces(), steps.append)] == ["one", "two"]
    assert [step >= 0.05 for step in steps] == [False, True, False]
