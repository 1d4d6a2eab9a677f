"""Lanes keep their order, do not wait for each other, and are bounded together."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from gateway.process.lanes import Lanes
from transcription.priority import Priority


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
    assert not lanes._lanes


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


async def test_an_urgent_lane_is_next_and_the_others_have_their_tenth() -> None:
    """One place: what waits for it is done by precedence."""
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)

    async with Lanes(1, waiting=60) as lanes:
        for number in range(20):
            await lanes.put(f"dictation {number}", partial(work, "b"), Priority.BACKGROUND)
        for number in range(40):
            await lanes.put(f"alarm {number}", partial(work, "u"), Priority.URGENT)
    assert "".join(begun) == "b" + "u" * 8 + ("b" + "u" * 8) * 4 + "b" * 15


async def test_a_lane_is_in_order_however_urgent_its_work() -> None:
    shop = Workshop()
    async with Lanes(2, waiting=8) as lanes:
        for lane, name, priority in (
            ("x", "x1", Priority.NORMAL),
            ("y", "y1", Priority.NORMAL),
            ("a", "a1", Priority.BACKGROUND),
            ("a", "a2", Priority.URGENT),
            ("b", "b1", Priority.URGENT),
        ):
            await lanes.put(lane, partial(shop.work, name), priority)
        await turns()
        assert shop.begun == ["x1", "y1"]
        for name in ("x1", "y1", "b1", "a1", "a2"):
            shop.let_go(name)
    assert shop.begun == ["x1", "y1", "b1", "a1", "a2"]
    assert not lanes._lanes


async def test_what_waits_for_a_place_is_bounded() -> None:
    shop = Workshop()
    async with Lanes(1, waiting=1) as lanes:
        await lanes.put("a", partial(shop.work, "a1"))
        second = asyncio.create_task(lanes.put("b", partial(shop.work, "b1")))
        await turns()
        assert (shop.begun, second.done()) == (["a1"], False)
        for name in ("a1", "b1"):
            shop.let_go(name)
        await second
    assert shop.begun == ["a1", "b1"]


async def test_work_that_fails_ends_what_waits_for_a_place() -> None:
    shop = Workshop()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def taking() -> None:
        async with Lanes(1, waiting=8) as lanes:
            await lanes.put("a", fail)
            for name in ("a2", "b1", "c1"):
                await lanes.put(name[0], partial(shop.work, name))

    with pytest.raises(ExceptionGroup):
        await taking()
    assert shop.begun == []


async def test_work_that_gives_up_makes_room_for_the_next() -> None:
    shop = Workshop()

    async def give_up() -> None:
        raise asyncio.CancelledError

    async with Lanes(1, waiting=8) as lanes:
        await lanes.put("a", give_up)
        await lanes.put("a", partial(shop.work, "a2"))
        shop.let_go("a2")
    assert shop.begun == ["a2"]
