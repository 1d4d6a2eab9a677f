"""A gateway played by hand: it puts requests to agents by name, and reads what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import MessageBroker, RoutingKey, Subscription
from gateway.contract.agents import REQUESTS_TOPIC, AgentRequest, Wanted
from gateway.contract.messages import (
    PRIORITY_HEADER,
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    AudioFacts,
    OrchestratorReply,
    TranscriptionMessage,
    decode_reply,
    encode,
)
from gateway.contract.tracing import traceparent
from gateway.orchestrators.sdk import Orchestrator
from tests.record import PATIENCE


def transcript(text: str, name: str = "c_1", **fields: Any) -> TranscriptionMessage:
    wanted = {"session_id": "s_1", "user_id": "ann", "device_id": "kitchen", "traceparent": traceparent(name)}
    return TranscriptionMessage(
        text=text, timestamp=1.0, success=True, message_id="m_1", correlation_id=name, utterance_id="u_1",
        audio=AudioFacts(seconds=1.0), **(wanted | fields),
    )  # fmt: skip


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await awaitable


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - a look at each turn of the loop, not a wait
            await asyncio.sleep(0)


class Gateway:
    """On a broker with agents on it."""

    def __init__(self, broker: MessageBroker, replies: Subscription) -> None:
        self.broker = broker
        self.replies = replies
        self.priorities: list[str] = []
        """Of the replies, as the broker is told."""
        self._number = 0

    async def tell(self, text: str, **fields: Any) -> None:
        """A transcript for everybody."""
        said = transcript(text, **fields)
        await self._publish(RESULTS_TOPIC, said.user_id, said, encode(said))

    async def ask(
        self, agent: str, text: str, *, request: dict[str, Any] | None = None, **fields: Any
    ) -> AgentRequest:
        """A request to one agent."""
        self._number += 1
        wanted = {"request_id": f"q_{self._number}", "seconds": 5.0} | (request or {})
        asked = AgentRequest(agent=agent, transcript=transcript(text, **fields), **wanted)
        await self.put(asked)
        return asked

    async def put(self, asked: AgentRequest, **changes: Any) -> None:
        """The request, once more or otherwise."""
        asked = msgspec.structs.replace(asked, **changes)
        await self._publish(REQUESTS_TOPIC, asked.agent, asked.transcript, encode(asked))

    async def stop(self, asked: AgentRequest) -> None:
        await self.put(asked, kind=Wanted.STOP)

    async def reply(self) -> OrchestratorReply:
        """The next one; its envelope is as it must be."""
        delivery = await soon(anext(self.replies))
        await delivery.ack()
        message, reply = delivery.message, decode_reply(delivery.message.payload)
        assert message.routing_key == RoutingKey("ann", "kitchen", reply.session_id)
        assert message.correlation_id == reply.correlation_id
        assert message.message_id == reply.message_id != ""
        assert message.headers.get("traceparent") == reply.traceparent
        self.priorities.append(message.headers.get("earshot-priority", "normal"))
        assert reply.traceparent == traceparent(reply.correlation_id) != ""
        return reply

    async def replied(self, count: int) -> list[OrchestratorReply]:
        return [await self.reply() for _ in range(count)]

    async def settled(self, topic: str = REQUESTS_TOPIC) -> None:
        """Until the agents have settled all they were given."""
        assert isinstance(self.broker, MemoryBroker)
        broker = self.broker
        await until(lambda: not any(row.buffered_messages for row in broker.stats() if row.topic == topic))

    async def _publish(self, topic: str, user: str, said: TranscriptionMessage, payload: bytes) -> None:
        key = RoutingKey(user, said.device_id, said.session_id)
        await self.broker.publish(topic, key, payload, headers={PRIORITY_HEADER: said.priority})


@asynccontextmanager
async def running(*agents: Orchestrator, broker: MessageBroker | None = None) -> AsyncIterator[Gateway]:
    """The agents at work, and a gateway."""
    broker = broker or MemoryBroker()
    async with AsyncExitStack() as stack:
        replies = await stack.enter_async_context(broker.subscribe(REPLIES_TOPIC))
        tasks = [asyncio.create_task(agent.run(broker)) for agent in agents]
        stack.push_async_callback(_ended, tasks)
        await asyncio.sleep(0)
        yield Gateway(broker, replies)
        assert not any(task.done() for task in tasks)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
