"""Letters: what is published, and published again under the same id as often as the broker is not there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

import structlog

from firmware_bridge.pacing import Backoff
from gateway.broker.base import BrokerUnavailable, MessageBroker, RoutingKey
from gateway.contract.messages import PRIORITY_HEADER
from gateway.contract.tracing import HEADER
from transcription.priority import Priority, priority_of

log = structlog.get_logger(__name__)


class Letter(NamedTuple):
    """A message as it travels, each time under the same id."""

    topic: str
    key: RoutingKey
    payload: bytes
    message_id: str
    correlation_id: str = ""
    traceparent: str = ""
    priority: str = ""


class Post:
    """To one broker."""

    def __init__(self, broker: MessageBroker, retry_seconds: float) -> None:
        """A letter is sent again after a tenth of ``retry_seconds``, and then after up to so long."""
        self._broker = broker
        self._retry_seconds = retry_seconds

    async def offer(self, letter: Letter) -> None:
        """Once: it does without where the broker is not there."""
        with suppress(BrokerUnavailable):
            await self._publish(letter)

    async def send(self, letter: Letter) -> None:
        """As often as the broker is not there."""
        backoff = Backoff(self._retry_seconds / 10, self._retry_seconds)
        told = False
        while True:
            try:
                await self._publish(letter)
            except BrokerUnavailable as error:
                if not told:
                    log.warning("the reply waits for the broker", topic=letter.topic, reason=str(error))
                    told = True
                await asyncio.sleep(backoff.next())
            else:
                return

    async def _publish(self, letter: Letter) -> None:
        await self._broker.publish(
            letter.topic,
            letter.key,
            letter.payload,
            correlation_id=letter.correlation_id,
            message_id=letter.message_id,
            headers=_headers(letter),
        )


def _headers(letter: Letter) -> dict[str, str] | None:
    headers = {HEADER: letter.traceparent} if letter.traceparent else {}
    priority = priority_of(letter.priority)
    if priority is not Priority.NORMAL:
        headers[PRIORITY_HEADER] = priority.value
    return headers or None
