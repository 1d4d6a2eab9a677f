"""What an agent has open as long as it runs, and why it cannot answer, in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.orchestrator import CannotAnswer, Heard, Orchestrator, Rehearsal


async def test_it_is_open_around_the_run_and_a_reason_travels_with_the_failure() -> None:
    house = Orchestrator("house")
    is_open = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await asyncio.sleep(0.001)  # it takes its time: nobody is asked before
        is_open.append(True)
        try:
            yield
        finally:
            is_open.clear()

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        if heard.text == "fail":
            raise CannotAnswer("the lamp is unplugged", "plug it in")
        return f"open {is_open}"

    house.lifespan = lifespan
    async with Rehearsal(house) as rehearsal:
        assert (await rehearsal.say("hello")).text == "open [True]"
        assert (await rehearsal.say("fail")).end.error == "house: the lamp is unplugged"
    assert is_open == []
