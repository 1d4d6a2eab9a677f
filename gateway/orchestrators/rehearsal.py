"""Agents tried out without a gateway: one is played here, over a broker in this process.

::

    async with Rehearsal(house) as stage:
        answer = await stage.say("turn on the light", room="Kitchen")
        assert answer.text == "The kitchen light is on."
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from gateway.broker.base import RoutingKey, Subscription
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.agents import (
    ANNOUNCEMENTS_TOPIC,
    MOST_TURNS,
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentRequest,
    AnnouncementMessage,
    ConversationTurn,
    Wanted,
    decode_announcement,
    decode_presence,
)
from gateway.contract.messages import (
    REPLIES_TOPIC,
    AudioFacts,
    OrchestratorReply,
    TranscriptionMessage,
    decode_reply,
    encode,
    new_id,
)
from gateway.contract.tracing import traceparent
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.broker import BrokerSettings

SECONDS = 30.0
"""So long an answer is waited for, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What an agent made of one request: all its replies, in their order."""

    request: AgentRequest
    replies: tuple[OrchestratorReply, ...]

    @property
    def end(self) -> OrchestratorReply:
        """The last: with its error, data, hints, confidence, and whether it was understood."""
        return self.replies[-1]

    @property
    def text(self) -> str:
        """The whole answer."""
        return self.end.text

    @property
    def pieces(self) -> list[str]:
        """What was said before the end, piece by piece."""
        return [one.text for one in self.replies[:-1] if one.text and not one.interim]

    @property
    def first_answers(self) -> list[str]:
        """Whole answers that were shown before the better one."""
        return [one.text for one in self.replies[:-1] if one.interim]

    @property
    def progress(self) -> list[str]:
        """What it said that it was doing."""
        return [one.progress for one in self.replies if one.progress]


class Rehearsal:
    """``async with``; the agents work meanwhile, and can ask each other."""

    def __init__(self, *agents: Orchestrator) -> None:
        self._agents = agents
        self._broker = open_broker(MEMORY, BrokerSettings())
        self._stack = AsyncExitStack()
        self._waiting: dict[str, _Waiting] = {}
        self._turns: dict[str, deque[ConversationTurn]] = defaultdict(lambda: deque(maxlen=MOST_TURNS))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            replies = await stack.enter_async_context(self._broker.subscribe(REPLIES_TOPIC))
            self._told = await stack.enter_async_context(self._broker.subscribe(ANNOUNCEMENTS_TOPIC))
            async with self._broker.subscribe(PRESENCE_TOPIC) as presences:
                work = [tasks.create_task(agent.run(self._broker)) for agent in self._agents]
                work.append(tasks.create_task(self._read(replies)))
                stack.callback(lambda: [task.cancel() for task in work])
                await self._listening(presences)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()
        await self._broker.close(0)

    async def say(
        self, text: str, *, agent: str = "", seconds: float = SECONDS, device_id: str = "device", **more: Any
    ) -> Rehearsed:
        """Put it to ``agent`` (the first of them, if none is named), with what was said to that device before.

        ``more``: fields of the request (``role``, ``answers``, ...) or of its transcript (``room``, ``user_id``,
        ``language``, ...). Raises TimeoutError.
        """
        of_request = {name: more.pop(name) for name in list(more) if name in _REQUEST_FIELDS}
        request = AgentRequest(
            request_id=new_id("q"),
            agent=agent or self._agents[0].name,
            transcript=_transcript(text, device_id, **more),
            seconds=seconds,
            **({"conversation": tuple(self._turns[device_id])} | of_request),
        )
        said = await self._put(request)
        self._turns[device_id].append(
            ConversationTurn(text=text, reply=said.text, agent=request.agent, timestamp=time.time())
        )
        return said

    async def undo(self, said: Rehearsed, reason: str = "") -> Rehearsed:
        """Ask the agent to undo what it did for that. Raises TimeoutError."""
        return await self._put(msgspec.structs.replace(said.request, kind=Wanted.COMPENSATE, reason=reason))

    async def announced(self, seconds: float = SECONDS) -> AnnouncementMessage:
        """The next announcement of one of them. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            delivery = await anext(self._told)
        await delivery.ack()
        return decode_announcement(delivery.message.payload)

    async def _put(self, request: AgentRequest) -> Rehearsed:
        waiting = self._waiting[request.request_id] = _Waiting()
        said = request.transcript
        key = RoutingKey(request.agent, said.device_id, said.session_id)
        try:
            async with asyncio.timeout(request.seconds + 1):
                await self._broker.publish(REQUESTS_TOPIC, key, encode(request))
                await waiting.ended.wait()
        finally:
            del self._waiting[request.request_id]
        return Rehearsed(request, tuple(waiting.replies))

    async def _listening(self, presences: Subscription) -> None:
        """Until each says to be there, which may have had something to open first."""
        missing = {agent.name for agent in self._agents}
        while missing:
            delivery = await anext(presences)
            missing.discard(decode_presence(delivery.message.payload).agent)
            await delivery.ack()

    async def _read(self, replies: Subscription) -> None:
        async for delivery in replies:
            reply = decode_reply(delivery.message.payload)
            await delivery.ack()
            if reply.request_id in self._waiting:
                self._waiting[reply.request_id].take(reply)


class _Waiting:
    def __init__(self) -> None:
        self.replies: list[OrchestratorReply] = []
        self.ended = asyncio.Event()

    def take(self, reply: OrchestratorReply) -> None:
        self.replies.append(reply)
        if reply.final:
            self.ended.set()


_REQUEST_FIELDS = {*AgentRequest.__struct_fields__} - {*TranscriptionMessage.__struct_fields__}


def _transcript(text: str, device_id: str, **more: Any) -> TranscriptionMessage:
    name = new_id("c")
    usual = {
        "session_id": f"s_{device_id}"[:64],
        "user_id": "somebody",
        "language": "en",
        "conversation_id": f"v_{device_id}",
        "correlation_id": name,
        "traceparent": traceparent(name),
    }
    return TranscriptionMessage(
        text=text,
        device_id=device_id,
        timestamp=time.time(),
        success=True,
        message_id=new_id("m"),
        utterance_id=new_id("u"),
        audio=AudioFacts(seconds=1.0),
        **(usual | more),
    )
