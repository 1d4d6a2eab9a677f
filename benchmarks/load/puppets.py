"""Agents without a mind: they say that they are there, keep what they are asked, and answer when they are told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from gateway.broker.base import MessageBroker, RoutingKey
from gateway.contract.agents import (
    PRESENCE_SECONDS,
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentPresence,
    AgentRequest,
    Wanted,
    decode_request,
)
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, encode, new_id


class Puppets:
    """All of them."""

    def __init__(self, broker: MessageBroker, names: Iterable[str]) -> None:
        self.asked: dict[str, AgentRequest] = {}
        """What they are to answer, by request id: a message may come twice."""
        self.others = 0
        """What they were told beside: to stop, or to undo."""
        self._broker = broker
        self._names = tuple(names)

    async def reply(self, request: AgentRequest, text: str, **facts: Any) -> None:
        """One of them answers; ``facts`` take the place of what is true."""
        heard = request.transcript
        true: dict[str, Any] = {
            "correlation_id": heard.correlation_id,
            "session_id": heard.session_id,
            "request_id": request.request_id,
            "agent": request.agent,
            "message_id": new_id("m"),
        }
        reply = OrchestratorReply(text=text, **(true | facts))
        key = RoutingKey(heard.user_id, heard.device_id, heard.session_id)
        await self._broker.publish(REPLIES_TOPIC, key, encode(reply))

    async def read(self, name: str) -> None:
        """Take what this one is told, until cancelled."""
        async with self._broker.subscribe(REQUESTS_TOPIC, f"user.{name}", group=name) as requests:
            async for delivery in requests:
                request = decode_request(delivery.message.payload)
                if request.kind is Wanted.ASK:
                    self.asked[request.request_id] = request
                else:
                    self.others += 1
                await delivery.ack()

    async def be_there(self) -> None:
        """Say so, until cancelled."""
        while True:
            for name in self._names:
                presence = AgentPresence(agent=name, instance=f"i_{name}", timestamp=time.time())
                key = RoutingKey(name, presence.instance, "presence")
                await self._broker.publish(PRESENCE_TOPIC, key, encode(presence))
            await asyncio.sleep(PRESENCE_SECONDS)


@asynccontextmanager
async def puppets(broker: MessageBroker, *names: str) -> AsyncIterator[Puppets]:
    """They are there."""
    one = Puppets(broker, names)
    async with asyncio.TaskGroup() as tasks:
        work = [tasks.create_task(one.be_there()), *(tasks.create_task(one.read(name)) for name in names)]
        yield one
        for task in work:
            task.cancel()
