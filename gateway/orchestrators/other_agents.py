"""Other agents, asked by one that answers: each gets a request of its own, and its reply comes back here."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
import structlog

from gateway.broker.base import BrokerError, MessageBroker, RoutingKey
from gateway.contract.agents import (
    ANSWERS_TOPIC,
    MOST_ASKERS,
    REQUESTS_TOPIC,
    AgentAnswer,
    AgentRequest,
    Wanted,
)
from gateway.contract.messages import (
    BadMessage,
    OrchestratorReply,
    TranscriptionMessage,
    decode_reply,
    encode,
    is_token,
    new_id,
)
from gateway.orchestrators.heard import CannotAsk, Heard
from gateway.orchestrators.post import Letter, Post

log = structlog.get_logger(__name__)

MOST_OPEN = 1_000
"""Requests to others at once."""
MOST_CHARACTERS = 1024 * 1024
"""Of the pieces of one answer; further ones are left out."""


class OtherAgents:
    """As one agent sees them."""

    def __init__(self, broker: MessageBroker, post: Post, name: str) -> None:
        self._broker = broker
        self._post = post
        self._name = name
        self._open: dict[str, _Open] = {}
        self._wanted = asyncio.Event()
        self._listening = asyncio.Event()
        self._stops: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Take what they answer, from the first request on and until the broker is closed."""
        await self._wanted.wait()
        async with self._broker.subscribe(ANSWERS_TOPIC, f"user.{self._name}") as answers:
            self._listening.set()
            async for delivery in answers:
                self._take(delivery.message.payload)
                with suppress(BrokerError):
                    await delivery.ack()

    async def ask(
        self, heard: Heard, key: RoutingKey, agent: str, text: str | None, seconds: float
    ) -> AgentAnswer:
        """What ``agent`` says to it, or why it does not. ``key``: of the device and session.

        Raises CannotAsk where asking would make no sense, and BrokerError.
        """
        self._check(heard, agent)
        if len(self._open) >= MOST_OPEN:
            return AgentAnswer(agent=agent, error=f"{self._name} asks {MOST_OPEN} others already")
        request = self._request(heard, agent, text, seconds)
        opened = self._open[request.request_id] = _Open(agent)
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds) as limit:
                await self._listening.wait()
                await self._post.send(_letter(request, key))
                return await opened.answer
        except TimeoutError:
            if not limit.expired():
                raise
            return AgentAnswer(agent=agent, error=f"{agent} did not answer within {round(seconds, 2):g} s")
        finally:
            del self._open[request.request_id]
            if not opened.answer.done() or opened.answer.cancelled():
                self._stop(request, key)

    def _check(self, heard: Heard, agent: str) -> None:
        if not is_token(agent):
            raise CannotAsk(f"an agent's name is 1-64 of A-Z a-z 0-9 _ -; got {agent!r:.80}")
        if agent == self._name:
            raise CannotAsk(f"{agent} cannot ask itself")
        if agent in heard.path:
            raise CannotAsk(f"{agent} is asking already: {' asks '.join((*heard.path, self._name, agent))}")
        if len(heard.path) >= MOST_ASKERS:
            raise CannotAsk(
                f"{MOST_ASKERS} agents are asking each other already: {' asks '.join(heard.path)}"
            )

    def _request(self, heard: Heard, agent: str, text: str | None, seconds: float) -> AgentRequest:
        said = {name: getattr(heard, name) for name in TranscriptionMessage.__struct_fields__}
        if text is not None:
            said["text"] = text
        return AgentRequest(
            request_id=new_id("q"),
            agent=agent,
            transcript=TranscriptionMessage(**said),
            team=heard.team,
            seconds=seconds,
            conversation=heard.conversation,
            path=(*heard.path, self._name),
            reply_to=ANSWERS_TOPIC,
            message_id=new_id("m"),
            traceparent=heard.traceparent,
        )

    def _take(self, payload: bytes) -> None:
        """What nobody waits for any more, and what another says than was asked, is passed over."""
        try:
            reply = decode_reply(payload)
        except BadMessage as error:
            log.info("an answer that cannot be read", reason=str(error))
            return
        opened = self._open.get(reply.request_id)
        if opened is not None and opened.agent == reply.agent:
            opened.take(reply)

    def _stop(self, request: AgentRequest, key: RoutingKey) -> None:
        """Tell it that the answer is not needed any more, without waiting for that."""
        stop = msgspec.structs.replace(request, kind=Wanted.STOP, message_id=new_id("m"), conversation=())
        task = asyncio.create_task(self._say_stop(_letter(stop, key)), name="stop")
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def _say_stop(self, letter: Letter) -> None:
        with suppress(BrokerError):
            await self._post.offer(letter)


class _Open:
    """One request to another agent, until its answer is there."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.answer: asyncio.Future[AgentAnswer] = asyncio.get_running_loop().create_future()
        self._pieces: list[str] = []
        self._characters = 0
        self._first = ""

    def take(self, reply: OrchestratorReply) -> None:
        """A piece, a first answer, a sign of life, or the end."""
        if reply.interim and reply.error is None:
            self._first = reply.text
        elif reply.final or reply.error is not None:
            if not self.answer.done():
                self.answer.set_result(self._ended(reply))
        elif self._characters + len(reply.text) <= MOST_CHARACTERS:
            self._pieces.append(reply.text)
            self._characters += len(reply.text)

    def _ended(self, reply: OrchestratorReply) -> AgentAnswer:
        error = reply.error
        if error is None and not reply.understood:
            error = f"{self.agent} did not understand"
        return AgentAnswer(
            agent=self.agent,
            text=reply.text or "".join(self._pieces) or self._first,
            error=error,
            confidence=reply.confidence,
            data=reply.data,
        )


def _letter(request: AgentRequest, key: RoutingKey) -> Letter:
    return Letter(
        REQUESTS_TOPIC,
        RoutingKey(request.agent, key.device, key.session),
        encode(request),
        request.message_id,
        request.transcript.correlation_id,
        request.traceparent,
        request.transcript.priority,
    )
