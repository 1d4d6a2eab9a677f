"""An agent's process: one orchestrator, at work on a broker of its own, to which the gateway's pipe is a door.

Started as ``python -m gateway.agents.process.worker``. So an orchestrator is asked here as it is anywhere: with its
filters, its order within a conversation, its time, and its tools.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from gateway.agents.process.pipe_end import PipeEnd
from gateway.agents.process.wire import (
    AgentTold,
    Announces,
    Asks,
    Become,
    DidAct,
    IsOver,
    OtherAnswered,
    Put,
    Ready,
    RepliedTo,
    Unfit,
)
from gateway.agents.ready_made import ready_made
from gateway.broker.base import Delivery, MessageBroker, RoutingKey, Subscription
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.agents import (
    ANNOUNCEMENTS_TOPIC,
    ANSWERS_TOPIC,
    REQUESTS_TOPIC,
    decode_announcement,
    decode_request,
)
from gateway.contract.messages import REPLIES_TOPIC, decode_reply, encode
from gateway.orchestrators.answer import CannotAnswer
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.loading import load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.broker import BrokerSettings

_MIB = 1024 * 1024
LEFT_SECONDS = 10.0
"""What was stopped is not called over before: by then this process has been ended for it. An undoing nobody stops."""


class Hosted:
    """The agent, and what travels between it and the gateway."""

    def __init__(self, end: PipeEnd[AgentTold]) -> None:
        self._end = end
        self._name = ""
        self._broker = open_broker(MEMORY, BrokerSettings())
        self._is_open = asyncio.Event()

    async def main(self) -> None:
        """Until it is cancelled, or cannot go on."""
        become = await self._end.heard()
        assert isinstance(become, Become)
        self._name = become.name
        _bound(become.settings.process_mb * _MIB)
        try:
            agent = _made(become)
            agent.check()
            await self._run(self._watched(agent))
        except BadOrchestrator as error:
            self._end.say(Unfit(str(error), f"correct orchestrator.agents.{become.name}"))
        except CannotAnswer as error:
            self._end.say(Unfit(error.reason, error.remedy))

    def _watched(self, agent: Orchestrator) -> Orchestrator:
        """The same, and it is told when it can be asked, and when an answer is over."""
        lifespan = agent.lifespan

        @asynccontextmanager
        async def open_and_say() -> AsyncIterator[None]:
            async with lifespan():
                self._is_open.set()
                yield

        @asynccontextmanager
        async def until_over(_delivery: Delivery, heard: Heard) -> AsyncIterator[bool]:
            try:
                yield True
            finally:
                self._end.say(IsOver(heard.request_id, heard.attempt))

        agent.lifespan, agent.turn = open_and_say, until_over
        agent.ending_seconds = LEFT_SECONDS
        agent.acted = lambda **facts: self._end.say(DidAct(facts))
        return agent

    async def _run(self, agent: Orchestrator) -> None:
        broker = self._broker
        async with AsyncExitStack() as stack:
            requests = await stack.enter_async_context(broker.subscribe(REQUESTS_TOPIC))
            replies = await stack.enter_async_context(broker.subscribe(REPLIES_TOPIC))
            announcements = await stack.enter_async_context(broker.subscribe(ANNOUNCEMENTS_TOPIC))
            run = asyncio.create_task(agent.run(broker), name=agent.name)
            work = [
                asyncio.create_task(self._tell_requests(requests)),
                asyncio.create_task(self._tell_replies(replies)),
                asyncio.create_task(self._tell_announcements(announcements)),
                asyncio.create_task(self._take(broker)),
            ]
            try:
                await asyncio.wait([run, *work], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (run, *work):
                    task.cancel()
                await asyncio.gather(run, *work, return_exceptions=True)
            for task in (run, *work):
                if not task.cancelled() and (error := task.exception()):
                    raise error

    async def _take(self, broker: MessageBroker) -> None:
        await self._is_open.wait()
        await asyncio.sleep(0)  # now it listens
        self._end.say(Ready())
        while True:
            told = await self._end.heard()
            if isinstance(told, Put):
                key = RoutingKey(self._name, told.device, told.session)
                await broker.publish(REQUESTS_TOPIC, key, encode(told.request))
            elif isinstance(told, OtherAnswered):
                key = RoutingKey(self._name, told.device, told.session)
                await broker.publish(ANSWERS_TOPIC, key, encode(told.reply))

    async def _tell_requests(self, requests: Subscription) -> None:
        async for delivery in requests:
            request, key = decode_request(delivery.message.payload), delivery.message.routing_key
            await delivery.ack()
            if request.agent != self._name:
                self._end.say(Asks(request, key.device, key.session))

    async def _tell_replies(self, replies: Subscription) -> None:
        async for delivery in replies:
            self._end.say(RepliedTo(decode_reply(delivery.message.payload)))
            await delivery.ack()

    async def _tell_announcements(self, announcements: Subscription) -> None:
        async for delivery in announcements:
            self._end.say(Announces(decode_announcement(delivery.message.payload)))
            await delivery.ack()


def _made(become: Become) -> Orchestrator:
    if become.settings.kind:
        return ready_made(become.name, become.settings)
    return load_orchestrator(become.settings.app).renamed(become.name)


def _bound(data_bytes: int) -> None:
    """What it takes beyond is refused it, before the machine has none for anybody."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data_bytes if most == resource.RLIM_INFINITY else min(data_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


async def _main(end: PipeEnd[AgentTold]) -> None:
    await Hosted(end).main()


def main() -> None:
    """The process's entry point."""
    end: PipeEnd[AgentTold] = PipeEnd(msgspec.json.Decoder(AgentTold))
    end.run(lambda: _main(end))


if __name__ == "__main__":
    main()
