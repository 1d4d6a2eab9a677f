"""What is asked of an orchestrator, however it came: a transcript for whoever listens, or a request by name."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from gateway.broker.base import BadRoutingKey, Delivery, RoutingKey
from gateway.contract.agents import ANSWERS_TOPIC, AgentRequest, Wanted, decode_request
from gateway.contract.messages import REPLIES_TOPIC, BadMessage, decode_transcription
from gateway.orchestrators.heard import AgentAnswers, Heard, heard

CLOCK_SECONDS = 2.0
"""When a request was made is told by our own clock, as another program knows it: that well."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """``topic`` and ``key``: where its replies go. ``lane``: what has the same is answered one after the other.

    ``due``: until when an answer is waited for, by the loop's clock.
    """

    delivery: Delivery
    heard: Heard
    topic: str
    key: RoutingKey
    lane: str
    kind: Wanted = Wanted.ASK
    reason: str = ""
    due: float = math.inf

    @property
    def is_named(self) -> bool:
        """Whether this very agent was asked, so that it owes a reply."""
        return bool(self.heard.request_id)

    @property
    def stoppable(self) -> str:
        """What a stop calls it; empty: none is meant for it."""
        return self.heard.request_id if self.kind is Wanted.ASK else ""

    @property
    def is_stale(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self.due <= asyncio.get_running_loop().time()


def read_transcript(delivery: Delivery) -> Inquiry:
    """From ``transcription.results``. Raises BadMessage."""
    message = delivery.message
    transcript = decode_transcription(message.payload)
    lane = transcript.conversation_id or message.routing_key.session
    return Inquiry(delivery, heard(transcript), REPLIES_TOPIC, message.routing_key, lane)


def read_request(delivery: Delivery, agent: str) -> Inquiry:
    """From ``orchestrator.requests``. Raises BadMessage, also for what is no request to ``agent``."""
    request = decode_request(delivery.message.payload)
    if request.agent != agent or not request.request_id:
        raise BadMessage(f"not a request to {agent} with an id")
    key = _reply_key(request, delivery.message.routing_key)
    around = heard(
        request.transcript,
        conversation=request.conversation,
        role=request.role,
        team=request.team,
        answers=AgentAnswers(request.answers),
        attempt=request.attempt,
        request_id=request.request_id,
        path=request.path,
    )
    # Agents that ask each other would wait for each other, each behind what it is asked itself in the conversation.
    lane = request.request_id if request.path else around.conversation_id or key.session
    return Inquiry(delivery, around, request.reply_to, key, lane, request.kind, request.reason, _due(request))


def _reply_key(request: AgentRequest, key: RoutingKey) -> RoutingKey:
    """As the transcript's; and an agent that asks finds its answers under its own name."""
    if request.reply_to not in {REPLIES_TOPIC, ANSWERS_TOPIC}:
        raise BadMessage(f"replies do not go to {request.reply_to!r:.80}")
    asks = request.reply_to == ANSWERS_TOPIC and request.path
    try:
        return RoutingKey(request.path[-1] if asks else request.transcript.user_id, key.device, key.session)
    except BadRoutingKey as error:
        raise BadMessage(str(error)) from error


def _due(request: AgentRequest) -> float:
    """Whoever asks waits from ``asked_at`` on; one that does not know our clock, from when it came."""
    seconds = request.seconds
    if request.asked_at > 0:
        seconds = min(seconds, request.asked_at + seconds + CLOCK_SECONDS - time.time())
    return asyncio.get_running_loop().time() + seconds
