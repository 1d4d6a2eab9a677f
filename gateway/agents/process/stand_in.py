"""What stands in the gateway for an agent that has a process of its own: it hands on what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import structlog

from gateway.agents.process.watched import Child, Watched
from gateway.agents.process.wire import (
    AgentSaid,
    Announces,
    Asks,
    Become,
    DidAct,
    IsOver,
    OtherAnswered,
    Put,
    RepliedTo,
)
from gateway.broker.base import BrokerError
from gateway.contract.agents import AgentAnswer, AgentRequest, AnnouncementMessage, Wanted
from gateway.contract.messages import OrchestratorReply, TranscriptionMessage, new_id
from gateway.orchestrators.answer import CannotAnswer, Reply
from gateway.orchestrators.heard import CannotAsk, Heard, TurnOver
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.orchestrator import AgentSettings

log = structlog.get_logger(__name__)

WORKER = "gateway.agents.process.worker"
AT_ONCE = 64
"""Requests in the process at once; how many it works on is its own affair."""
STOP_SECONDS = 1.0
"""What is stopped and has not ended by then, ends with its process."""
MOST_REPLIES = 1_000
"""Of one answer, not handed on yet."""
MOST_ANNOUNCED = 100
"""Announcements on their way to the broker."""
_DECODER: msgspec.json.Decoder[AgentSaid] = msgspec.json.Decoder(AgentSaid)


def stand_in(name: str, settings: AgentSettings) -> Orchestrator:
    """For the agent of that name, which is loaded in its process only."""
    agent = Orchestrator(name, concurrency=AT_ONCE, timeout_seconds=settings.timeout_seconds)
    hosted = _StandIn(agent, settings)
    agent.on_every_result(hosted.answer)
    agent.on_compensation(hosted.undo)
    agent.lifespan = hosted.running
    return agent


async def tried(name: str, settings: AgentSettings) -> None:
    """The agent is loaded once, in its process. Raises CannotAnswer."""
    hosted = _StandIn(Orchestrator(name), settings)
    async with hosted.running():
        await hosted.ready()


class _StandIn:
    def __init__(self, agent: Orchestrator, settings: AgentSettings) -> None:
        self._agent = agent
        self._process = Watched(
            Child(
                who=agent.name,
                module=WORKER,
                first=lambda: Become(agent.name, settings),
                said=_DECODER,
                take=self._take,
                ended=self._failed,
                ailing=lambda reason, remedy: agent.on_ailing(agent.name, reason, remedy),
            )
        )
        self._open: dict[tuple[str, bool], _Open] = {}
        self._stopping: set[tuple[str, int]] = set()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._announcing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With its process."""
        async with self._process.running():
            yield

    async def ready(self) -> None:
        """Returns when it can be asked. Raises CannotAnswer."""
        await self._process.ready()

    async def answer(self, heard: Heard) -> Reply | None:
        """As the agent does."""
        reply = await self._put(heard, Wanted.ASK)
        declined = not reply.understood and not reply.text and not heard.request_id
        return None if declined else reply

    async def undo(self, heard: Heard, reason: str) -> None:
        """As the agent does."""
        await self._put(heard, Wanted.COMPENSATE, reason)

    async def _put(self, heard: Heard, kind: Wanted, reason: str = "") -> Reply:
        await self._process.ready()
        request = self._request(heard, kind, reason)
        name = request.request_id, kind is Wanted.COMPENSATE
        opened = self._open[name] = _Open(heard, self._agent.name)
        try:
            await self._process.tell(Put(request, heard.device_id, heard.session_id))
            return await opened.relayed()
        finally:
            if self._open.get(name) is opened:
                del self._open[name]
            if not opened.has_ended and kind is Wanted.ASK:
                self._stop(request, heard)

    def _request(self, heard: Heard, kind: Wanted, reason: str) -> AgentRequest:
        said = {name: getattr(heard, name) for name in TranscriptionMessage.__struct_fields__}
        return AgentRequest(
            request_id=heard.request_id or new_id("q"),
            agent=self._agent.name,
            kind=kind,
            transcript=TranscriptionMessage(**said),
            role=heard.role,
            team=heard.team,
            seconds=heard.seconds_left(),
            attempt=heard.attempt,
            conversation=heard.conversation,
            answers=tuple(heard.answers),
            path=heard.path,
            reason=reason,
            traceparent=heard.traceparent,
        )

    def _stop(self, request: AgentRequest, heard: Heard) -> None:
        """Told at once, and enforced: what goes on though nobody waits for it would go on for ever."""
        name = request.request_id, request.attempt
        stop = msgspec.structs.replace(request, kind=Wanted.STOP, conversation=(), answers=())
        self._stopping.add(name)
        self._process.tell_soon(Put(stop, heard.device_id, heard.session_id))
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._enforce, name)

    def _enforce(self, name: tuple[str, int]) -> None:
        if name in self._stopping:
            self._stopping.discard(name)
            self._process.kill(f"went on for {STOP_SECONDS:g} s after it was stopped, and was killed")

    # -- what it says

    def _take(self, said: AgentSaid) -> None:
        if isinstance(said, RepliedTo):
            reply = said.reply
            if opened := self._open.get((reply.request_id, reply.compensation)):
                opened.take(reply)
        elif isinstance(said, IsOver):
            self._stopping.discard((said.request_id, said.attempt))
        elif isinstance(said, Asks):
            self._asked(said)
        elif isinstance(said, Announces):
            self._announce(said.announcement)
        elif isinstance(said, DidAct):
            self._agent.acted(**said.facts)

    def _failed(self, reason: str) -> None:
        """All that it had to answer."""
        self._stopping.clear()
        for opened in self._open.values():
            opened.fail(reason)
        for task in self._asking.values():
            task.cancel()

    def _asked(self, asks: Asks) -> None:
        request = asks.request
        if request.kind is Wanted.STOP:
            if task := self._asking.get(request.request_id):
                task.cancel()
            return
        asker = self._asker(request)
        if asker is None or request.request_id in self._asking:
            return
        task = asyncio.create_task(self._ask(asker, asks), name=f"{self._agent.name} asks {request.agent}")
        self._asking[request.request_id] = task
        task.add_done_callback(lambda _: self._asking.pop(request.request_id, None))

    def _asker(self, request: AgentRequest) -> Heard | None:
        """What it was asked, when it asked another: of the same words, by the same way."""
        for opened in self._open.values():
            heard = opened.heard
            same = heard.correlation_id == request.transcript.correlation_id
            if same and (*heard.path, self._agent.name) == request.path:
                return heard
        return None

    async def _ask(self, heard: Heard, asks: Asks) -> None:
        request = asks.request
        try:
            answer = await heard.ask(request.agent, request.transcript.text, seconds=request.seconds)
        except (CannotAsk, TurnOver, BrokerError) as error:
            answer = AgentAnswer(agent=request.agent, error=str(error))
        reply = OrchestratorReply(
            correlation_id=request.transcript.correlation_id,
            session_id=request.transcript.session_id,
            text=answer.text,
            error=answer.error,
            agent=request.agent,
            request_id=request.request_id,
            confidence=answer.confidence,
            data=answer.data,
        )
        with suppress(CannotAnswer):  # who asked waits no longer than it would for silence
            await self._process.tell(OtherAnswered(reply, asks.device, asks.session))

    def _announce(self, one: AnnouncementMessage) -> None:
        if len(self._announcing) >= MOST_ANNOUNCED:
            log.warning("an announcement is lost: too many wait for the broker", agent=self._agent.name)
            return
        task = asyncio.create_task(self._publish(one), name=f"{self._agent.name} announces")
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def _publish(self, one: AnnouncementMessage) -> None:
        with suppress(BrokerError, ValueError):
            await self._agent.announce(one.text, device_id=one.device_id, keep_seconds=one.keep_seconds)


class _Open:
    """One request in the process."""

    def __init__(self, heard: Heard, agent: str) -> None:
        self.heard = heard
        self.has_ended = False
        self._agent = agent
        self._pieces: list[str] = []
        self._replies: asyncio.Queue[OrchestratorReply | CannotAnswer] = asyncio.Queue()

    def take(self, reply: OrchestratorReply) -> None:
        """What the process says to it."""
        if self._replies.qsize() >= MOST_REPLIES and not reply.final:
            self._replies.put_nowait(CannotAnswer("it says more than can be handed on"))
        else:
            self._replies.put_nowait(reply)

    def fail(self, reason: str) -> None:
        """Nothing more comes."""
        self.has_ended = True
        self._replies.put_nowait(CannotAnswer(reason))

    async def relayed(self) -> Reply:
        """What there is to say in the end; the rest is said on the way. Raises CannotAnswer."""
        while True:
            reply = await self._replies.get()
            if isinstance(reply, CannotAnswer):
                raise reply
            if reply.final:
                self.has_ended = True
                return self._end(reply)
            if reply.progress:
                await self.heard.progress(reply.progress)
            elif reply.interim:
                await self.heard.interim(reply.text)
            else:
                self._pieces.append(reply.text)
                await self.heard.say(reply.text)

    def _end(self, reply: OrchestratorReply) -> Reply:
        if reply.error is not None:
            reason = reply.error.removeprefix(self._agent).removeprefix(":").strip()
            raise CannotAnswer(reason)
        rest = reply.text.removeprefix("".join(self._pieces))
        return Reply(rest, reply.hints, reply.data, reply.confidence, reply.understood, reply.acted)
