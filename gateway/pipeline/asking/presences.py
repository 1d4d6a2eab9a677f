"""Who says to be there: what agents tell of themselves every second, into the roster."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from gateway.broker.base import BrokerError, Message, MessageBroker
from gateway.contract.agents import PRESENCE_TOPIC, decode_presence
from gateway.contract.messages import BadMessage
from gateway.pipeline.agents.roster import AgentRoster

log = structlog.get_logger(__name__)

AT_ONCE = 100
"""So many records of a flood are taken before everybody else has a turn."""


async def watch_presences(broker: MessageBroker, roster: AgentRoster) -> None:
    """Until the broker is closed. A record that cannot be read is not kept: the next comes in a second."""
    now = asyncio.get_running_loop().time
    taken = 0
    async with broker.subscribe(PRESENCE_TOPIC) as records:
        async for delivery in records:
            _take(delivery.message, roster, now())
            with suppress(BrokerError):  # it comes again, and says the same
                await delivery.ack()
            taken += 1
            if taken % AT_ONCE == 0:
                await asyncio.sleep(0)


def _take(message: Message, roster: AgentRoster, now: float) -> None:
    try:
        presence = decode_presence(message.payload)
    except BadMessage as error:
        log.debug("an agent's presence cannot be read", agent=message.routing_key.user, reason=str(error))
        roster.misread(message.routing_key.user, str(error), now)
    else:
        roster.seen(presence, now)
