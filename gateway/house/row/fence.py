"""What keeps a gateway that may have been replaced from doing what is another's: it publishes nothing, takes no work.

What it read as one of a group and did not settle comes to the group's next member.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self, cast

from gateway.broker.base import (
    CANNOT_TELL,
    BrokerUnavailable,
    DeadLetter,
    Delivery,
    Deposits,
    Depths,
    Message,
    MessageBroker,
    Receipt,
    RoutingKey,
    Subscription,
    TopicStats,
)
from gateway.contract.house import GATEWAYS_TOPIC
from gateway.house.row.tenure import Tenure

LOOK_SECONDS = 0.05


class FencedDelivery:
    """``Delivery`` that is settled only while the place is this one's for sure; else its group's next member has it."""

    def __init__(self, delivery: Delivery, tenure: Tenure) -> None:
        self._delivery = delivery
        self._tenure = tenure

    @property
    def message(self) -> Message:
        """As in the contract."""
        return self._delivery.message

    @property
    def attempt(self) -> int:
        """As in the contract."""
        return self._delivery.attempt

    async def ack(self) -> None:
        """As in the contract."""
        if self._tenure.holds:
            await self._delivery.ack()

    async def nack(self, delay: float = 0.0) -> None:
        """As in the contract."""
        if self._tenure.holds:
            await self._delivery.nack(delay)

    async def reject(self, reason: str) -> None:
        """As in the contract."""
        if self._tenure.holds:
            await self._delivery.reject(reason)


class FencedSubscription:
    """``Subscription`` of a group, which hands nothing out while the place may be another's."""

    def __init__(self, subscription: Subscription, tenure: Tenure) -> None:
        self._subscription = subscription
        self._tenure = tenure

    async def __aenter__(self) -> Self:
        await self._subscription.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._subscription.__aexit__(*exc)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        delivery = await self._subscription.__anext__()
        while not self._tenure.holds:
            if self._tenure.is_gone:
                raise StopAsyncIteration
            await asyncio.sleep(LOOK_SECONDS)
        return FencedDelivery(delivery, self._tenure)

    def want(self, messages: int) -> None:
        """As in the contract."""
        self._subscription.want(messages)

    @property
    def pending(self) -> int:
        """As in the contract."""
        return self._subscription.pending

    @property
    def pending_bytes(self) -> int:
        """As in the contract."""
        return self._subscription.pending_bytes

    @property
    def dropped(self) -> int:
        """As in the contract."""
        return self._subscription.dropped


class FencedBroker:
    """``MessageBroker`` that publishes only while the place is this gateway's for sure; what waits is tried again."""

    def __init__(self, broker: MessageBroker, tenure: Tenure) -> None:
        self._broker = broker
        self._tenure = tenure

    async def publish(
        self,
        topic: str,
        routing_key: RoutingKey,
        payload: bytes,
        **more: Any,
    ) -> Receipt:
        """As in the contract."""
        if not self._tenure.holds and topic != GATEWAYS_TOPIC:  # who is there says so
            raise BrokerUnavailable("another gateway may have the place of this one")
        return await self._broker.publish(topic, routing_key, payload, **more)

    def subscribe(
        self,
        topic: str,
        pattern: str = "",
        *,
        group: str = "",
        **more: Any,
    ) -> Subscription:
        """As in the contract."""
        subscription = self._broker.subscribe(topic, pattern, group=group, **more)
        return FencedSubscription(subscription, self._tenure) if group else subscription

    def stats(self) -> tuple[TopicStats, ...]:
        """As in the contract."""
        return self._broker.stats()

    async def readers(self, topic: str, group: str = "") -> int:
        """As in the contract."""
        return await self._broker.readers(topic, group)

    async def abandon(self, topic: str, group: str) -> bool:
        """As in the contract."""
        return await self._broker.abandon(topic, group)

    def groups(self) -> tuple[tuple[str, str], ...]:
        """As in the contract; none, where the broker does not tell."""
        return self._broker.groups() if isinstance(self._broker, Depths) else ()

    async def waiting(self, topic: str, group: str) -> int:
        """As in the contract."""
        return await self._broker.waiting(topic, group) if isinstance(self._broker, Depths) else CANNOT_TELL

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """As in the contract."""
        return self._broker.dead_letters()

    def forget(self, is_gone: Callable[[Message], bool]) -> None:
        """As in the contract."""
        self._broker.forget(is_gone)

    async def deposit(self, key: str, data: bytes, seconds: float) -> None:
        """As in the contract."""
        await self._deposits.deposit(key, data, seconds)

    async def deposited(self, key: str, most: int) -> bytes | None:
        """As in the contract."""
        return await self._deposits.deposited(key, most)

    async def discard(self, key: str) -> None:
        """As in the contract."""
        await self._deposits.discard(key)

    @property
    def _deposits(self) -> Deposits:
        return cast("Deposits", self._broker)

    async def close(self, drain_seconds: float = 5.0) -> None:
        """As in the contract."""
        await self._broker.close(drain_seconds)
