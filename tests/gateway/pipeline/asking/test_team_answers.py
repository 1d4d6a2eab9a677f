"""What teams do, done: over a whole pipeline, with agents that say just what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.access.principals import Principal, Role
from gateway.broker.base import RoutingKey
from gateway.contract.agents import (
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentPresence,
    AgentRequest,
    Wanted,
    decode_request,
)
from gateway.contract.events import ReplyEvent
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, encode
from gateway.pipeline.teams.members import MemberState
from tests.gateway.works import Works, open_works
from tests.record import Record, passes
from tests.system.house import running

ANNA = Principal(name="anna", role=Role.LISTENER, users=frozenset({"anna"}), devices=frozenset({"kitchen"}))


class House:
    """The works, and all that their agents are asked."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.asked = Record()

    async def listen(self) -> None:
        async with self.works.broker.subscribe(REQUESTS_TOPIC) as requests:
            async for delivery in requests:
                self.asked(decode_request(delivery.message.payload))
                await delivery.ack()

    async def say(self, text: str) -> str:
        """The correlation id of what somebody types."""
        return (await self.works.pipeline.say(text, ANNA)).correlation_id

    async def request(
        self, agent: str, text: str = "", count: int = 1, kind: Wanted = Wanted.ASK
    ) -> AgentRequest:
        """What that agent was asked, about that text if one is given."""

        def found() -> list[AgentRequest]:
            asked: list[AgentRequest] = self.asked.of(AgentRequest, agent=agent)
            return [one for one in asked if one.kind is kind and text in ("", one.transcript.text)]

        await passes(lambda: len(found()) >= count)
        return found()[count - 1]

    async def answer(self, request: AgentRequest, text: str = "", **facts: Any) -> None:
        """As the agent that it was put to."""
        said = request.transcript
        ids = {"correlation_id": said.correlation_id, "session_id": said.session_id, "agent": request.agent}
        reply = OrchestratorReply(text=text, request_id=request.request_id, **{**ids, **facts})
        key = RoutingKey("home", said.device_id, said.session_id)
        await self.works.broker.publish(REPLIES_TOPIC, key, encode(reply))

    async def end(self, correlation_id: str) -> ReplyEvent:
        event: ReplyEvent = await self.works.events.first(
            ReplyEvent, correlation_id=correlation_id, final=True
        )
        return event

    @property
    def teams(self) -> Any:
        return self.works.pipeline._by_name._teams  # type: ignore[attr-defined]


@asynccontextmanager
async def house(
    *names: str, team: dict[str, Any] | None = None, agents: dict[str, Any] | None = None, **parts: Any
) -> AsyncIterator[House]:
    """With agents of these names, who are there."""
    orchestrator = {
        "agents": {name: {} for name in names} | (agents or {}),
        "teams": {} if team is None else {"house": {"agents": list(names), **team}},
    }
    async with open_works(orchestrator=orchestrator, **parts) as works:
        one = House(works)
        with running(one.listen()):
            await asyncio.sleep(0)
            for name in orchestrator["agents"]:
                presence = AgentPresence(agent=name, instance="i_1")
                await works.broker.publish(
                    PRESENCE_TOPIC, RoutingKey(name, "i_1", "presence"), encode(presence)
                )
            yield one


async def test_an_answer_that_is_late_is_not_taken_for_the_word_that_it_is_undone(tmp_path: Path) -> None:
    switch = {"switch": {"compensates": True, "timeout_seconds": 0.2}, "check": {}}
    team = {"policy": "all", "partial": False}
    async with house("switch", "check", team=team, agents=switch, journal=tmp_path / "journal.db") as one:
        correlation_id = await one.say("lights on")
        asked = await one.request("switch")
        assert (await one.end(correlation_id)).fallback
        undo = await one.request("switch", kind=Wanted.COMPENSATE)
        (lead,) = one.teams._over.values()
        await one.answer(asked, "The light is on.", message_id="m_late")
        await one.answer(asked, progress="still at it", final=False, message_id="m_later")
        await passes(lambda: one.works.pipeline._questions.tracker.counters.late == 2)
        assert set(lead.undoing) == {asked.request_id}
        await one.answer(undo, compensation=True, message_id="m_undone")
        await passes(lambda: not lead.undoing)
        assert [member.state for member in lead.work.everybody if member.name == "switch"] == [
            MemberState.COMPENSATED
        ]
        await one.works.settled()
        assert [row async for row in one.works.journal.dead_letters()] == []
