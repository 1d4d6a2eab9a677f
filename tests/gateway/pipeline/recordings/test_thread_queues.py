"""Bytes to a thread and things back from it: in order, bounded, and never a wait without end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.recordings.thread_queues import Inflow, Outflow


class Gone(Exception):
    pass


async def in_thread(work: Callable[[], Any]) -> Any:
    async with asyncio.timeout(20):
        return await asyncio.to_thread(work)


def read_all(inflow: Inflow, size: int) -> bytes:
    whole = b""
    while piece := inflow.read(size):
        assert len(piece) <= size
        whole += piece
    return whole


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 30), st.integers(1, 60))
def test_all_bytes_arrive_in_order_however_they_are_cut(pieces: list[bytes], size: int, bound: int) -> None:
    async def run() -> None:
        inflow = Inflow(bound)
        reading = asyncio.create_task(in_thread(lambda: read_all(inflow, size)))
        for piece in pieces:
            await inflow.put(piece)
        inflow.finish()
        assert await reading == b"".join(pieces)

    asyncio.run(run())


async def test_whoever_puts_waits_while_too_much_is_unread() -> None:
    inflow = Inflow(10)
    await inflow.put(b"x" * 10)
    waiting = asyncio.create_task(inflow.put(b"y"))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await in_thread(lambda: inflow.read(4)) == b"xxxx"
    await asyncio.wait_for(waiting, 20)


async def test_a_reader_that_waits_is_told_that_nothing_more_comes() -> None:
    inflow = Inflow(10)
    reading = asyncio.create_task(in_thread(lambda: inflow.read(1)))
    await asyncio.sleep(0)
    inflow.abort(Gone("first"))
    inflow.abort(Gone("second"))
    with pytest.raises(Gone, match="first"):
        await reading
    async with asyncio.timeout(20):
        for _ in range(5):
            await inflow.put(b"x" * 10)  # nobody waits for room that will never be


async def test_a_thread_waits_while_too_much_is_not_taken() -> None:
    outflow: Outflow[int] = Outflow(2)
    put = []

    def make() -> None:
        for number in range(6):
            outflow.put(number)
            put.append(number)
        outflow.finish()

    thread = threading.Thread(target=make)
    thread.start()
    async with asyncio.timeout(20):
        assert [await anext(outflow)] == [0]
        taken = [0]
        async for number in outflow:
            assert len(put) <= len(taken) + 3
            taken.append(number)
    thread.join()
    assert taken == list(range(6))


async def test_a_thread_that_waits_is_told_that_nobody_takes_any_more() -> None:
    outflow: Outflow[int] = Outflow(1)
    assert await in_thread(lambda: outflow.put(1))
    putting = asyncio.create_task(in_thread(lambda: outflow.put(2)))
    await asyncio.sleep(0)
    outflow.abort()
    assert not await putting
