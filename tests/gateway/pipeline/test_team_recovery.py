"""A gateway that is killed in the middle of a team's work: the next one goes on, and nobody is asked twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.orchestrators.heard import Heard
from tests.gateway.pipeline.mortal import House, until_idle
from tests.gateway.works import loud

SAID = loud(1)
MOST_DEEDS = 60
"""No team's work here has so many."""


async def _chain(house: House) -> None:
    """Three, of whom one comes after another, and one who makes one answer of theirs; the first is shown at once."""

    async def after(heard: Heard) -> str:
        return f"B after {heard.answers['a'].text}"

    async def both(heard: Heard) -> str:
        return " + ".join(one.text for one in heard.answers)

    async def first(_heard: Heard) -> str:
        return "A"

    await house.work(house.agent("a", first), house.agent("b", after), house.agent("c", both))


CHAIN = {
    "agents": {"a": {}, "b": {}, "c": {}},
    "teams": {
        "house": {
            "agents": ["a", "b"], "policy": "all", "after": {"b": ["a"]}, "combine": "by", "combined_by": "c",
            "show_first": True,
        }
    },
}  # fmt: skip


async def _undoing(house: House) -> None:
    """One that acts, and one that fails when it has."""
    acted = asyncio.Event()

    async def act(_heard: Heard) -> str:
        acted.set()
        return "It is on."

    async def fail(_heard: Heard) -> str:
        await acted.wait()
        raise LookupError("no")

    await house.work(house.agent("switch", act), house.agent("check", fail))


UNDOING = {
    "agents": {"switch": {"compensates": True}, "check": {}},
    "teams": {"house": {"agents": ["switch", "check"], "policy": "all", "partial": False}},
}


def finals(house: House) -> list[ReplyShown]:
    (kitchen,) = house.boards
    return kitchen.told.of(ReplyShown, final=True)


def nobody_was_asked_twice(house: House) -> None:
    """Each agent worked once on each utterance, under one request id."""
    counts = Counter((name, correlation_id) for name, correlation_id, _ in house.asked)
    assert set(counts.values()) <= {1}, house.asked


async def lives_and_dies(house: House, at: int, *, settle: Any = None) -> tuple[list[str], bool]:
    """One utterance, over a gateway that dies at that deed and the next one; what was done, and whether it died."""
    kitchen = await house.board()
    async with house.gateway(at) as (works, fuse):
        saying = asyncio.create_task(kitchen.say(SAID))
        over = asyncio.create_task(settle(works) if settle else _over(works, kitchen))
        dead = asyncio.create_task(fuse.dead.wait())
        await asyncio.wait({over, dead}, return_when=asyncio.FIRST_COMPLETED)
        deeds, died = list(fuse.deeds), fuse.dead.is_set()
        over.cancel()
        dead.cancel()
    if died:
        async with house.gateway() as (works, _):
            await kitchen.told.first(ReplyShown, final=True)
            await until_idle(works)
            if settle:
                await settle(works)
    await saying
    return deeds, died


async def _over(works: Any, kitchen: Any) -> None:
    await kitchen.told.first(ReplyShown, final=True)
    await until_idle(works)


async def _sweep(tmp_path: Path, url: str, settings: dict[str, Any], cast: Any, judge: Any) -> int:
    """Dies at the first deed, at the second, ... until one lives; how many deaths that were."""
    for at in range(1, MOST_DEEDS):
        folder = tmp_path / f"death{at}"
        folder.mkdir()
        async with House(folder, url) as house:
            house.settings = {"orchestrator": settings}
            await cast(house)
            deeds, died = await lives_and_dies(house, at)
            told = f"dead before {deeds[-1]!r}, the {at}th of {deeds}"
            assert len(finals(house)) == 1, told
            await judge(house, told)
            nobody_was_asked_twice(house)
            letters, _, dead = await house.left()
            assert (letters, dead) == ([], []), told
            if not died:
                return at - 1
    raise AssertionError("it never lived")


@pytest.mark.slow
async def test_a_chain_and_its_combiner_go_on_whenever_the_gateway_dies(tmp_path: Path, nats: Any) -> None:
    async def judge(house: House, told: str) -> None:
        assert finals(house)[0].text == "A + B after A", told

    assert await _sweep(tmp_path, nats.url, CHAIN, _chain, judge) > 10
