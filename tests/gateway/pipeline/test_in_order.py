"""Work that is over in the order in which its owner began it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.pipeline.in_order import InOrder


class Works:
    """Work of owners that is done when it is told to, and what is over, in its order."""

    def __init__(self) -> None:
        self.order = InOrder()
        self.over: list[str] = []

    def begin(self, owner: str, name: str) -> tuple[asyncio.Task[None], asyncio.Event]:
        done = asyncio.Event()
        return asyncio.create_task(self._work(owner, name, done)), done

    async def _work(self, owner: str, name: str, done: asyncio.Event) -> None:
        with self.order.begun(owner) as earlier:
            await done.wait()
            await earlier()
            self.over.append(name)


async def turns_of_the_loop() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_owner_is_never_overtaken_by_themselves_and_nobody_waits_for_others() -> None:
    works = Works()
    (one, first), (two, second), (three, third) = (works.begin("a", name) for name in ("1", "2", "3"))
    (other, alone) = works.begin("b", "b")
    await turns_of_the_loop()
    third.set()
    second.set()
    alone.set()
    await other
    await turns_of_the_loop()
    assert works.over == ["b"]
    first.set()
    await asyncio.gather(one, two, three)
    assert works.over == ["b", "1", "2", "3"]
    await turns_of_the_loop()
    assert len(works.order) == 0


@pytest.mark.parametrize("given_up", [0, 1])
async def test_what_is_given_up_is_not_waited_for_but_what_was_before_it_is(given_up: int) -> None:
    works = Works()
    begun = [works.begin("a", name) for name in ("1", "2", "3")]
    await turns_of_the_loop()
    tasks = [task for task, _ in begun]
    tasks[given_up].cancel()
    begun[2][1].set()
    await turns_of_the_loop()
    assert works.over == []
    begun[1 - given_up][1].set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert works.over == [("1", "2")[1 - given_up], "3"]
    await turns_of_the_loop()
    assert len(works.order) == 0
