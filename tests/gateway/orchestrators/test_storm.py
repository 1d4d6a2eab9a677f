"""Requests of every kind in any order, to functions of every temper: each has one end, and no work is done twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import pytest

from gateway.contract.agents import AgentRequest, Wanted
from gateway.contract.messages import OrchestratorReply
from gateway.orchestrators.sdk import Heard, NotUnderstood, Orchestrator, Reply
from tests.gateway.orchestrators.played import Gateway, running

REQUESTS = 60
TEMPERS = (
    "returns", "streams", "raises", "leaves", "knows nothing", "says nothing", "asks", "is slow", "speaks garbage",
)  # fmt: skip


class House:
    """Does what it is told, and counts what it did."""

    def __init__(self) -> None:
        self.agent = Orchestrator("house", concurrency=4)
        self.asked: Counter[tuple[str, int]] = Counter()
        self.undone: Counter[str] = Counter()
        self.agent.on_transcript(self.answer)
        self.agent.on_compensation(self.undo)

    async def answer(self, heard: Heard) -> AsyncIterator[str] | str | Reply | None:
        self.asked[heard.request_id, heard.attempt] += 1
        await asyncio.sleep(0)
        match heard.text:
            case "streams":
                return self.pieces(heard)
            case "raises":
                raise ValueError
            case "leaves":
                raise SystemExit(1)
            case "knows nothing":
                raise NotUnderstood
            case "says nothing":
                return None
            case "asks":
                return (await heard.ask("helper", seconds=0.5)).text
            case "is slow":
                await asyncio.sleep(0.002)
            case "speaks garbage":
                return Reply("", confidence=7)
        return heard.text

    async def pieces(self, heard: Heard) -> AsyncIterator[str]:
        for piece in (heard.text, " in ", "pieces"):
            yield piece
            await asyncio.sleep(0)

    async def undo(self, heard: Heard, _reason: str) -> None:
        self.undone[heard.request_id] += 1


def helper() -> Orchestrator:
    other = Orchestrator("helper")

    @other.on_transcript
    async def answer(heard: Heard) -> str:
        return f"helped {heard.request_id}"

    return other


class Storm:
    """What is done to the house, by a seed."""

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self.gateway = gateway
        self.chance = random.Random(seed)
        self.asked: list[AgentRequest] = []
        self.stopped: set[str] = set()
        self.undone: set[str] = set()

    async def blow(self) -> None:
        for _ in range(REQUESTS):
            session = f"s_{self.chance.randrange(6)}"
            asked = await self.gateway.ask("house", self.chance.choice(TEMPERS), session_id=session)
            self.asked.append(asked)
            for _ in range(self.chance.randrange(3)):
                await self.again(self.chance.choice(self.asked[-10:]))
            if self.chance.random() < 0.3:
                await asyncio.sleep(0)

    async def again(self, asked: AgentRequest) -> None:
        what = self.chance.random()
        if what < 0.4:
            await self.gateway.put(asked)
        elif what < 0.6:
            await self.gateway.put(asked, attempt=2)
        elif what < 0.8:
            self.stopped.add(asked.request_id)
            await self.gateway.stop(asked)
        else:
            self.undone.add(asked.request_id)
            await self.gateway.put(asked, kind=Wanted.COMPENSATE)


@pytest.mark.parametrize("seed", range(3))
async def test_each_request_has_one_end_whatever_comes(seed: int) -> None:
    house = House()
    async with running(house.agent, helper()) as gateway:
        storm = Storm(gateway, seed)
        replies: dict[str, list[OrchestratorReply]] = defaultdict(list)
        blowing = asyncio.create_task(storm.blow())
        reading = asyncio.create_task(read(gateway, replies))
        await blowing
        await gateway.settled()
        await gateway.settled("orchestrator.replies")
        reading.cancel()
    for asked in storm.asked:
        ends = [reply for reply in replies[asked.request_id] if reply.final]
        assert ends or asked.request_id in storm.stopped
        for name in {reply.message_id for reply in ends}:
            assert len({reply.text for reply in ends if reply.message_id == name}) == 1
        assert len({reply.message_id for reply in ends}) <= 3  # two attempts, and the undoing
    assert set(house.asked.values()) <= {1}
    assert house.undone == Counter(storm.undone)
    assert len(house.asked) > REQUESTS / 2


async def read(gateway: Gateway, replies: dict[str, list[OrchestratorReply]]) -> None:
    while True:
        reply = await gateway.reply()
        replies[reply.request_id].append(reply)
