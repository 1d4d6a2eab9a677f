"""What every broker has in this process: it makes the messages, and they come through its buffers."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from gateway.broker.base import (
    BrokerClosed,
    BrokerError,
    BufferFull,
    BufferPolicy,
    DeadLetter,
    Message,
    Receipt,
    RoutingKey,
    TopicStats,
)
from gateway.broker.buffer import Bounds, Buffer, Counters, Member, Readership
from gateway.broker.patterns import check_group, check_topic, parse_pattern
from gateway.broker.rejected import DeadLetters
from gateway.broker.subscription import BufferSubscription
from gateway.contract.messages import new_id
from gateway.settings.broker import BrokerSettings

MAX_TOPICS = 1024
_Topic = TypeVar("_Topic")


class BufferedBroker(ABC, Generic[_Topic]):
    """The half of ``MessageBroker`` that is the same wherever the messages go. ``_Topic``: what is known of one."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._bounds = Bounds(settings.buffer_messages, settings.buffer_bytes)
        self._topics: dict[str, _Topic] = {}
        self._dead = DeadLetters()
        self._closing = False
        self._closed = asyncio.Event()
        self._run = new_id("m")
        self._ids = itertools.count(1)

    async def publish(
        self,
        topic: str,
        routing_key: RoutingKey,
        payload: bytes,
        *,
        correlation_id: str = "",
        reply_to: str = "",
        message_id: str = "",
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Receipt:
        """As in the contract. BufferFull: also when it is larger than a whole buffer."""
        if self._closing:
            raise BrokerClosed("the broker is closed")
        if len(payload) > self._bounds.bytes:
            raise BufferFull(f"{len(payload)} bytes are more than a whole buffer ({self._bounds.bytes})")
        message = Message(
            topic=topic,
            routing_key=routing_key,
            payload=payload,
            message_id=message_id or f"{self._run}.{next(self._ids)}",
            correlation_id=correlation_id,
            reply_to=reply_to,
            content_type=content_type,
            headers=dict(headers) if headers else {},
        )
        return await self._put(message, self._topics.get(topic) or self._open_topic(topic))

    def subscribe(
        self,
        topic: str,
        pattern: str = "",
        *,
        group: str = "",
        policy: BufferPolicy = BufferPolicy.WAIT,
        on_demand: bool = False,
    ) -> BufferSubscription:
        """As in the contract. A group has the policy of its first member; another one is refused."""
        readership = Readership(check_topic(topic), parse_pattern(pattern), check_group(group), on_demand)
        self._check_policy(policy)
        return BufferSubscription(self, readership, policy)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The latest messages rejected in this process, oldest first."""
        return self._dead.letters()

    def forget(self, is_gone: Callable[[Message], bool]) -> None:
        """As in the contract."""
        self._dead.forget(is_gone)

    async def close(self, drain_seconds: float = 5.0) -> None:
        """As in the contract."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        try:
            await self._drain(drain_seconds)
        finally:
            await self._end()
            self._closed.set()

    @abstractmethod
    async def join(self, readership: Readership, policy: BufferPolicy) -> tuple[Buffer, Member]:
        """The buffer that a beginning subscription is to read, and its place there."""

    @abstractmethod
    async def leave(self, buffer: Buffer) -> None:
        """A subscription of ``buffer`` has ended."""

    @abstractmethod
    async def _put(self, message: Message, topic: _Topic) -> Receipt:
        """Hand a message over."""

    @abstractmethod
    def _new_topic(self, name: str) -> _Topic:
        """One that was not heard of before."""

    @abstractmethod
    async def _drain(self, seconds: float) -> None:
        """Give subscribers so long to read what is buffered."""

    @abstractmethod
    async def _end(self) -> None:
        """Let go of everything."""

    def want(self, buffer: Buffer, messages: int) -> None:
        """Only a server is asked for anything."""

    def _check_policy(self, policy: BufferPolicy) -> None:
        """Raises BrokerError for one that cannot be kept here."""

    def _open_topic(self, name: str) -> _Topic:
        if self._closing:
            raise BrokerClosed("the broker is closed")
        check_topic(name)
        if len(self._topics) >= MAX_TOPICS:
            raise BrokerError(f"there are {MAX_TOPICS} topics already")
        topic = self._topics[name] = self._new_topic(name)
        return topic


async def drained(buffers: list[Buffer], seconds: float) -> None:
    """Until all in them was settled, or the time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for buffer in buffers:
                await buffer.drained()


def same_policy(buffer: Buffer, policy: BufferPolicy) -> None:
    """Raises BrokerError where a group's buffer has another one."""
    if buffer.policy is not policy:
        raise BrokerError(f"group {buffer.readership.group!r} has the policy {buffer.policy.value} already")


def row(name: str, counters: Counters, buffers: list[Buffer]) -> TopicStats:
    """What the contract shows of a topic."""
    return TopicStats(
        topic=name,
        published=counters.published,
        delivered=counters.delivered,
        acknowledged=counters.acknowledged,
        rejected=counters.rejected,
        dropped=counters.dropped,
        subscriptions=sum(len(buffer.members) for buffer in buffers),
        buffered_messages=sum(buffer.held for buffer in buffers),
        buffered_bytes=sum(buffer.held_bytes for buffer in buffers),
    )
