"""What agents say of themselves on the broker, into the roster: also lies, garbage, and floods of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey
from gateway.contract.agents import PRESENCE_TOPIC, AgentPresence
from gateway.contract.messages import encode
from gateway.pipeline.agents.copies import MOST_COPIES
from gateway.pipeline.agents.roster import AgentRoster, AgentStanding
from gateway.pipeline.asking.presences import watch_presences
from gateway.settings.broker import BrokerSettings
from gateway.settings.orchestrator import AgentSettings
from tests.record import passes


class Watched:
    def __init__(self) -> None:
        self.broker = MemoryBroker(BrokerSettings())
        self.now = asyncio.get_running_loop().time
        self.roster = AgentRoster({"lights": AgentSettings(), "weather": AgentSettings()}, self.now() - 100.0)

    async def say(self, payload: bytes, agent: str = "lights") -> None:
        await self.broker.publish(PRESENCE_TOPIC, RoutingKey(agent, "i_1", "presence"), payload)

    async def come(self, agent: str = "lights", instance: str = "i_1") -> None:
        await self.say(encode(AgentPresence(agent=agent, instance=instance)), agent)

    def standing(self, agent: str = "lights") -> AgentStanding:
        found = self.roster.standing(agent, self.now())
        assert found is not None
        return found


@pytest_asyncio.fixture
async def watched() -> AsyncIterator[Watched]:
    one = Watched()
    task = asyncio.create_task(watch_presences(one.broker, one.roster))
    await passes(lambda: any(row.subscriptions for row in one.broker.stats()))
    yield one
    await one.broker.close()
    await task


async def test_who_says_so_is_there(watched: Watched) -> None:
    assert not watched.standing().is_present
    await watched.come()
    await passes(lambda: watched.standing().is_present)
    assert not watched.standing("weather").is_present
    assert watched.broker.dead_letters() == ()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"agent": "lights"}',
        b'{"agent": "li ghts", "instance": "i"}',
        b'{"agent": "lights", "instance": "i", "state": "dancing"}',
        b'{"agent": "lights", "instance": "i", "answering": -1}',
        b'{"agent": "lights", "instance": "i", "version": "' + 2_000 * b"x" + b'"}',
        b'{"agent": "lights", "instance": "i", "description": ' + 100_000 * b"[",
        3 * 1024 * 1024 * b" ",
    ],
)
async def test_what_cannot_be_read_makes_nobody_present_and_keeps_nobody_from_it(
    watched: Watched, payload: bytes
) -> None:
    await watched.say(payload)
    await passes(lambda: watched.standing().unreadable != "")
    assert not watched.standing().is_present
    await watched.come()
    await passes(lambda: watched.standing().is_present)
    assert watched.standing().unreadable == ""
    assert watched.broker.dead_letters() == ()


async def test_a_flood_of_records_keeps_nobody_from_being_seen(watched: Watched) -> None:
    for number in range(10_000):
        await watched.come(instance=f"i_{number}")
    await watched.come("weather")
    await passes(lambda: watched.standing("weather").is_present)
    assert len(watched.standing().copies) <= MOST_COPIES
