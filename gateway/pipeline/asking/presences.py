"""Who says to be there: what agents tell of themselves every second, to whoever wants to know."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog

from gateway.broker.base import BrokerError, Message, MessageBroker
from gateway.contract.agents import PRESENCE_TOPIC, AgentPresence, decode_presence
from gateway.contract.messages import BadMessage

log = structlog.get_logger(__name__)

AT_ONCE = 100
"""So many records of a flood are taken before everybody else has a turn."""


class Watcher(Protocol):
    """Who is told."""

    def seen(self, presence: AgentPresence, now: float) -> None:
        """A copy of an agent says that it is there, or that it leaves."""

    def misread(self, agent: str, reason: str, now: float) -> None:
        """What somebody says who goes by that name cannot be read."""


async def watch_presences(broker: MessageBroker, watcher: Watcher) -> None:
    """Until the broker is closed. A record that cannot be read is not kept: the next comes in a second."""
    now = asyncio.get_running_loop().time
    taken = 0
    async with broker.subscribe(PRESENCE_TOPIC) as records:
        async for delivery in records:
            _take(delivery.message, watcher, now())
            with suppress(BrokerError):  # it comes again, and says the same
                await delivery.ack()
            taken += 1
            if taken % AT_ONCE == 0:
                await asyncio.sleep(0)


def _take(message: Message, watcher: Watcher, now: float) -> None:
    try:
        presence = decode_presence(message.payload)
    except BadMessage as error:
        log.debug("an agent's presence cannot be read", agent=message.routing_key.user, reason=str(error))
        watcher.misread(message.routing_key.user, str(error), now)
    else:
        watcher.seen(presence, now)
