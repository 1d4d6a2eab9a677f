"""What any program says that is not true any more is not given again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.answering.outdated import watch_outdated
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey
from gateway.contract.agents import OUTDATED_TOPIC, AgentAnswer, OutdatedAnswers
from gateway.contract.messages import encode
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.pipeline.agents.answer_cache import AnswerCaches, Inquired
from gateway.settings.answer_cache import CacheSettings
from gateway.settings.orchestrator import AgentSettings
from tests.record import passes
from tests.system.house import running


class House:
    """Two agents, each of whom has answered twice."""

    def __init__(self) -> None:
        cached = AgentSettings(cache=CacheSettings(seconds=60))
        self.answers = AnswerCaches({"clock": cached, "radio": cached})
        for agent in ("clock", "radio"):
            for text in ("what time is it", "what is on"):
                inquired = Inquired(
                    text=text, language="en", user_id="ann", device_id="kitchen", room="", begun=False
                )
                self.cache(agent).keep(inquired, (), AgentAnswer(agent=agent, text="Noon."), 0.0)

    def cache(self, agent: str) -> Any:
        return self.answers.of(agent)

    @property
    def kept(self) -> tuple[int, int]:
        return self.cache("clock").figures().entries, self.cache("radio").figures().entries


@pytest.mark.parametrize(
    ("agent", "payload", "left"),
    [
        ("clock", encode(OutdatedAnswers(agent="clock", text="What time is it?")), (1, 2)),
        ("clock", encode(OutdatedAnswers(agent="clock")), (0, 2)),
        ("all", encode(OutdatedAnswers(agent="", text="what is on")), (1, 1)),
        ("all", encode(OutdatedAnswers(agent="")), (0, 0)),
        ("clock", b"all that you have", (0, 2)),
        ("all", b"all that you have", (0, 0)),
        ("clock", b'{"agent": "no name"}', (0, 2)),
    ],
)
async def test_what_is_outdated_is_forgotten(agent: str, payload: bytes, left: tuple[int, int]) -> None:
    broker, house = MemoryBroker(), House()
    with running(watch_outdated(broker, house.answers)):
        await asyncio.sleep(0)
        await broker.publish(OUTDATED_TOPIC, RoutingKey(agent, "cache", "outdated"), payload)
        await passes(lambda: house.kept == left)
        assert not broker.dead_letters()
    await broker.close()


async def test_an_agent_says_itself_what_is_outdated() -> None:
    broker, house, clock = MemoryBroker(), House(), Orchestrator("clock")

    @clock.on_transcript
    async def answer(_heard: object) -> str:
        return "Noon."

    with pytest.raises(BadOrchestrator):
        await clock.outdate()
    with running(watch_outdated(broker, house.answers)), running(clock.run(broker)):
        await asyncio.sleep(0)
        await clock.outdate("what time is it?")
        await passes(lambda: house.kept == (1, 2))
        await clock.outdate()
        await passes(lambda: house.kept == (0, 2))
    await broker.close()
