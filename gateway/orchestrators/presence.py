"""That an agent is there: told every second while it is, and once when it leaves."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from gateway.broker.base import BrokerClosed, BrokerError, BrokerRefused, MessageBroker, RoutingKey
from gateway.contract.agents import PRESENCE_SECONDS, PRESENCE_TOPIC, AgentPresence
from gateway.contract.messages import encode, new_id

log = structlog.get_logger(__name__)

REFUSED_SECONDS = 60.0
"""A broker that does not let us tell it is tried again after so long."""
LEAVING_SECONDS = 0.5
"""So long the end may wait for the last word."""


@dataclass(slots=True)
class Figures:
    """What an agent has done since it began; the last three are of requests that were not worked on."""

    answering: int = 0
    answered: int = 0
    failed: int = 0
    stale: int = 0
    repeated: int = 0
    stopped: int = 0


class Heartbeat:
    """Of one copy of an agent. A broker that is away is told nothing, and nothing is kept for it."""

    def __init__(
        self,
        broker: MessageBroker,
        agent: str,
        figures: Figures,
        *,
        concurrency: int,
        version: str = "",
        description: str = "",
    ) -> None:
        self.instance = new_id("i")
        self._broker = broker
        self._key = RoutingKey(agent, self.instance, "presence")
        self._figures = figures
        self._facts = AgentPresence(
            agent=agent,
            instance=self.instance,
            concurrency=concurrency,
            version=version,
            description=description,
        )

    async def tell(self) -> None:
        """Until the broker is closed."""
        told = False
        while True:
            pause = PRESENCE_SECONDS
            try:
                await self._publish("here")
            except BrokerClosed:
                return
            except BrokerRefused as error:
                pause = REFUSED_SECONDS
                if not told:
                    log.warning("nobody is told that this agent is here", reason=str(error))
                    told = True
            except BrokerError:
                pass  # it is away, which whoever has to say something there says
            await asyncio.sleep(pause)

    async def leave(self) -> None:
        """It takes nothing more."""
        with suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(LEAVING_SECONDS):
                await self._publish("leaving")

    async def _publish(self, state: str) -> None:
        done = self._figures
        presence = replace(
            self._facts,
            state=state,
            timestamp=time.time(),
            answering=done.answering,
            answered=done.answered,
            failed=done.failed,
        )
        await self._broker.publish(PRESENCE_TOPIC, self._key, encode(presence))
