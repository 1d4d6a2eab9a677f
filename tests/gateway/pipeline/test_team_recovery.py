"""A gateway that is killed in the middle of a team's work: the next one goes on, and nobody is asked twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.orchestrators.heard import Heard
from tests.gateway.pipeline.mortal import House, until_idle
from tests.gateway.works import Works, loud
from tests.record import passes
from tests.system.house import Board

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


async def _one_utterance(kitchen: Board) -> None:
    await kitchen.say(SAID)


async def _nothing_more(_works: Works) -> None:
    """With the end at the device all is over."""


@dataclass(frozen=True)
class Play:
    """What is tried at each death: who is there, what is said, how many ends that has, and when all is over."""

    settings: dict[str, Any]
    cast: Callable[[House], Awaitable[None]]
    speak: Callable[[Board], Awaitable[None]] = _one_utterance
    ends: int = 1
    settle: Callable[[Works], Awaitable[None]] = _nothing_more

    async def lives_and_dies(self, house: House, at: int) -> tuple[list[str], bool]:
        """Over a gateway that dies at that deed, and the next one; what was done, and whether it died."""
        kitchen = await house.board()
        async with house.gateway(at) as (works, fuse):
            speaking = asyncio.ensure_future(self.speak(kitchen))
            over = asyncio.create_task(self._over(works, kitchen))
            dead = asyncio.create_task(fuse.dead.wait())
            await asyncio.wait({over, dead}, return_when=asyncio.FIRST_COMPLETED)
            deeds, died = list(fuse.deeds), fuse.dead.is_set()
            over.cancel()
            dead.cancel()
        if died:
            async with house.gateway() as (works, _):
                await self._over(works, kitchen)
        await speaking
        return deeds, died

    async def _over(self, works: Works, kitchen: Board) -> None:
        await kitchen.told.first(ReplyShown, count=self.ends, final=True)
        await until_idle(works)
        await self.settle(works)


async def sweep(
    folder: Path, url: str, play: Play, judge: Callable[[House, list[str]], Awaitable[None]]
) -> int:
    """Dies at the first deed, at the second, ... until one lives; how many deaths that were."""
    for at in range(1, MOST_DEEDS):
        home = folder / f"death{at}"
        home.mkdir()
        async with House(home, url) as house:
            house.settings = {"orchestrator": play.settings}
            await play.cast(house)
            deeds, died = await play.lives_and_dies(house, at)
            told = f"dead before {deeds[-1]!r}, the {at}th of {deeds}"
            assert len(finals(house)) == play.ends, told
            await judge(house, deeds)
            nobody_was_asked_twice(house)
            letters, _, dead = await house.left()
            assert (letters, dead) == ([], []), told
            if not died:
                return at - 1
    raise AssertionError("it never lived")


@pytest.mark.slow
async def test_a_chain_and_its_combiner_go_on_whenever_the_gateway_dies(tmp_path: Path, nats: Any) -> None:
    async def judge(house: House, deeds: list[str]) -> None:
        assert finals(house)[0].text == "A + B after A", deeds

    assert await sweep(tmp_path, nats.url, Play(CHAIN, _chain), judge) > 10


@pytest.mark.slow
async def test_what_was_done_is_undone_once_whenever_the_gateway_dies(tmp_path: Path, nats: Any) -> None:
    async def judge(house: House, deeds: list[str]) -> None:
        assert finals(house)[0].error, deeds
        await passes(lambda: len(house.undone) == 1)
        (asked,) = [request_id for name, _, request_id in house.asked if name == "switch"]
        assert house.undone == [("switch", asked)], deeds

    async def settle(works: Any) -> None:
        teams = works.pipeline._by_name._teams
        await passes(lambda: teams._over and not any(lead.undoing for lead in teams._over.values()))

    assert await sweep(tmp_path, nats.url, Play(UNDOING, _undoing, settle=settle), judge) > 10


@pytest.mark.slow
async def test_a_turn_waits_for_the_one_before_it_whenever_the_gateway_dies(
    tmp_path: Path, nats: Any
) -> None:
    """It is said while the first is at work, and is put to its agent with the first one's answer."""

    async def cast(house: House) -> None:
        async def answer(heard: Heard) -> str:
            (kitchen,) = house.boards
            await kitchen.told.until(
                lambda: len({one.stream for one in kitchen.told.of(TranscriptShown)}) == 2
            )
            return f"{heard.text} after {[turn.reply for turn in heard.conversation]}"

        await house.work(house.agent("a", answer))

    async def both(kitchen: Board) -> None:
        first = asyncio.create_task(kitchen.say(SAID))
        await kitchen.told.first(TranscriptShown)
        await kitchen.say(loud(2))
        await first

    async def judge(house: House, deeds: list[str]) -> None:
        first, second = (shown.text for shown in finals(house))
        assert first.endswith(" after []"), deeds
        assert second.endswith(f" after {[first]}"), deeds
        if any("Asked" in deed for deed in deeds[:-1]):  # else what is said anew is heard before what is left
            assert first.startswith("16000"), deeds

    play = Play({"agents": {"a": {}}}, cast, both, ends=2)
    assert await sweep(tmp_path, nats.url, play, judge) > 15
