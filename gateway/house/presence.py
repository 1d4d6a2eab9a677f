"""That this gateway or hub is there, said each second, and what the others say of themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from msgspec import structs

from firmware_bridge.pacing import Allowance
from gateway.broker.base import (
    BrokerClosed,
    BrokerError,
    BrokerRefused,
    BufferPolicy,
    MessageBroker,
    RoutingKey,
)
from gateway.contract.house import GATEWAY_SECONDS, GATEWAYS_TOPIC, GatewayPresence, decode_gateway
from gateway.contract.messages import BadMessage, encode
from gateway.house.neighbours import Neighbours

log = structlog.get_logger(__name__)

LEAVING_SECONDS = 0.5
"""So long the end may wait for the last word."""
REFUSED_SECONDS = 60.0
"""A broker that does not let us say it is tried again after so long."""


class HousePresence:
    """Says what ``facts`` gives, and keeps ``neighbours``, as long as ``run`` runs."""

    def __init__(self, broker: MessageBroker, facts: Callable[[], GatewayPresence]) -> None:
        """``facts``: of this one as it is now; its name and instance stay the same."""
        now = facts()
        self.instance = now.instance
        self.neighbours = Neighbours(now.instance)
        self.unreadable = 0
        """Of what came on the topic."""
        self._broker = broker
        self._facts = facts
        self._has_left = False
        self._key = RoutingKey("house", now.gateway, "presence")
        self._logged = Allowance(10, 1 / 60, time.monotonic())

    async def run(self) -> None:
        """Until the broker is closed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(self._tell(), name="presence in the house")
                await self._hear()
                telling.cancel()
        except* BrokerClosed:
            pass  # before it was ever there

    async def leave(self) -> None:
        """It is being stopped on purpose, and says nothing more."""
        self._has_left = True
        with suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(LEAVING_SECONDS):
                await self._publish("leaving")

    async def _tell(self) -> None:
        while not self._has_left:
            pause = GATEWAY_SECONDS
            try:
                await self._publish("here")
            except BrokerClosed:
                return
            except BrokerRefused as error:
                pause = REFUSED_SECONDS
                log.warning("nobody is told that this gateway is here", reason=str(error))
            except BrokerError:
                pass  # it is away, which its own health says
            await asyncio.sleep(pause)

    async def _publish(self, state: str) -> None:
        told = structs.replace(self._facts(), state=state, timestamp=time.time())
        await self._broker.publish(GATEWAYS_TOPIC, self._key, encode(told))

    async def _hear(self) -> None:
        async with self._broker.subscribe(GATEWAYS_TOPIC, policy=BufferPolicy.DROP_OLDEST) as told:
            async for delivery in told:
                try:
                    self.neighbours.hear(decode_gateway(delivery.message.payload))
                except BadMessage as error:
                    self.unreadable += 1
                    if self._logged.take(time.monotonic()):
                        log.warning("somebody's presence cannot be read", reason=str(error))
                with suppress(BrokerError):
                    await delivery.ack()
