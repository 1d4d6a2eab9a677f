"""Lanes keep their order, do not wait for each other, and are bounded together."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from gateway.process.lanes import Lanes


class Workshop:
    """Work that waits to be let go, and tells when it begins."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def work(self, name: str) -> None:
        self.begun.append(name)
        await self.gates.setdefault(name, asyncio.Event()).wait()

    def let_go(self, name: str) -> None:
        self.gates.setdefault(name, asyncio.Event()).set()


async def turns(count: int = 10) -> None:
    """Whatever can go on has gone on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_work_waits_for_its_lane_and_for_no_other() -> None:
    shop = Workshop()
    async with Lanes(8) as lanes:
        for lane, name in (("a", "a1"), ("a", "a2"), ("b", "b1")):
            await lanes.put(lane, partial(shop.work, name))
        await turns()
        assert shop.begun == ["a1", "b1"]
        shop.let_go("a1")
        await turns()
        assert shop.begun == ["a1", "b1", "a2"]
        for name in ("a2", "b1"):
            shop.let_go(name)
    assert not lanes._latest


async def test_so_much_is_taken_at_once_and_no_more() -> None:
    shop = Workshop()
    async with Lanes(2) as lanes:
        await lanes.put("a", partial(shop.work, "a1"))
        second = asyncio.create_task(lanes.put("b", partial(shop.work, "b1")))
        await turns()
        assert shop.begun == ["a1", "b1"]
        assert not second.done(), "there is no place for a third"
        shop.let_go("a1")
        await second
        shop.let_go("b1")


async def test_what_is_cancelled_before_it_began_leaves_nothing() -> None:
    shop = Workshop()

    async def taking() -> None:
        async with Lanes(8) as lanes:
            for name in ("a1", "a2"):
                await lanes.put("a", partial(shop.work, name))
            await asyncio.Event().wait()

    task = asyncio.create_task(taking())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shop.begun == ["a1"]
