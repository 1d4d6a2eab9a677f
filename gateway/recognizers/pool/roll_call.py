"""Which recognizers are there, for somebody who only looks: all that say so on a broker in a while."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from msgspec import structs

from gateway.broker.base import BrokerError, BrokerUnavailable, Message, MessageBroker
from gateway.broker.opening import open_broker
from gateway.contract.messages import BadMessage
from gateway.contract.recognition import (
    POOL_USER,
    WORKER_SECONDS,
    WORKERS_TOPIC,
    WorkerPresence,
    decode_worker,
)
from gateway.recognizers.pool.jobs import LOOK_AT_BROKER
from gateway.recognizers.pool.workers import Workers
from gateway.settings.broker import BrokerSettings

ROLL_CALL_SECONDS = 2.5 * WORKER_SECONDS
CLOSE_SECONDS = 0.5


class Impostor(BadMessage):
    """It is published under a name that is not the one that it says."""


@dataclass(frozen=True, slots=True)
class RollCall:
    """Who said to be there, and how many said something that is nothing. ``at``: the event loop's time at its end."""

    workers: Workers
    at: float
    refused: int

    @property
    def present(self) -> list[WorkerPresence]:
        """By their names."""
        return sorted(self.workers.present(self.at), key=lambda one: one.worker)

    def silent(self, worker: str) -> float:
        """Seconds since its last word."""
        return self.workers.silent(worker, self.at)


def presence_in(message: Message) -> WorkerPresence:
    """What a recognizer says of itself. Raises BadMessage, and Impostor for what is somebody else's."""
    said = decode_worker(message.payload)
    key = message.routing_key
    if (key.user, key.device) != (POOL_USER, said.worker):
        raise Impostor("it is not of the recognizer that it is published for")
    return said


def what_helps(error: BrokerError) -> str:
    """Against a roll call that could not be held; empty: the error says so itself."""
    return (error.remedy or LOOK_AT_BROKER) if isinstance(error, BrokerUnavailable) else ""


async def roll_call_over(settings: BrokerSettings) -> RollCall:
    """On a connection of its own, which keeps nothing for anybody. Raises BrokerError."""
    broker = open_broker(settings.url, structs.replace(settings, keep_for_groups=()))
    try:
        return await roll_call(broker)
    finally:
        await broker.close(CLOSE_SECONDS)


async def roll_call(broker: MessageBroker, seconds: float = ROLL_CALL_SECONDS) -> RollCall:
    """Listen for so long: each recognizer speaks every second. Raises BrokerError."""
    await broker.readers(WORKERS_TOPIC)  # a subscription would wait for a broker that is away
    loop, workers, refused = asyncio.get_running_loop(), Workers(), 0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), broker.subscribe(WORKERS_TOPIC) as told:
            async for delivery in told:
                try:
                    workers.hear(presence_in(delivery.message), loop.time())
                except BadMessage:
                    refused += 1
                await delivery.ack()
    return RollCall(workers, loop.time(), refused)
