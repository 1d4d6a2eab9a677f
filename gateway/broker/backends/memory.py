"""The broker inside the process: the reference of what every broker here must do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from gateway.broker.base import (
    BrokerClosed,
    BrokerError,
    BufferFull,
    BufferPolicy,
    DeadLetter,
    Durability,
    Message,
    Receipt,
    RoutingKey,
    TopicStats,
)
from gateway.broker.buffer import Bounds, Buffer, Counters, Member, Readership
from gateway.broker.patterns import PatternKind, check_group, check_topic, parse_pattern
from gateway.broker.rejected import DeadLetters
from gateway.broker.subscription import TURN, BufferSubscription
from gateway.contract.messages import new_id
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

MAX_TOPICS = 1024
_MEMORY = Durability.MEMORY  # an enum's member is slow to look up


class MemoryBroker:
    """``MessageBroker`` in this process and event loop; a receipt's durability is ``memory``."""

    def __init__(self, settings: BrokerSettings | None = None) -> None:
        settings = settings or BrokerSettings()
        self._bounds = Bounds(settings.buffer_messages, settings.buffer_bytes)
        self._topics: dict[str, _Topic] = {}
        self._dead = DeadLetters()
        self._closing = False
        self._closed = asyncio.Event()
        self._since_pause = 0
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
        """Put a message into every buffer that wants it.

        Raises BrokerClosed, BadRoutingKey for the topic, and BufferFull when a buffer refuses or the
        payload is larger than a whole buffer. A cancelled publish may have reached some subscribers.
        """
        self._since_pause += 1
        if self._since_pause >= TURN:
            self._since_pause = 0
            await asyncio.sleep(0)
        if self._closing:
            raise BrokerClosed("the broker is closed")
        size = len(payload)
        if size > self._bounds.bytes:
            raise BufferFull(f"{size} bytes are more than a whole buffer ({self._bounds.bytes})")
        line = self._topics.get(topic) or self._open_topic(topic)
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
        buffers = line.wanting(routing_key)
        for buffer in buffers:
            if buffer.refuses and not buffer.has_room(size):
                buffer.report_slow()
                raise BufferFull(f"a subscription of {topic} is full and refuses more")
        line.counters.published += 1
        waits = []
        for buffer in buffers:
            place = buffer.put(message)
            if place is not None:
                waits.append((buffer, place))
        if waits:
            await _until_placed(waits)
        return Receipt(message.message_id, _MEMORY, len(buffers))

    def subscribe(
        self,
        topic: str,
        pattern: str = "",
        *,
        group: str = "",
        policy: BufferPolicy = BufferPolicy.WAIT,
    ) -> BufferSubscription:
        """As in the contract. A group has the policy of its first member; another one is refused."""
        readership = Readership(check_topic(topic), parse_pattern(pattern), check_group(group))
        return BufferSubscription(self, readership, policy)

    def stats(self) -> tuple[TopicStats, ...]:
        """One row per topic that was published or subscribed."""
        return tuple(topic.stats() for topic in self._topics.values())

    async def readers(self, topic: str, group: str = "") -> int:
        """Subscriptions of the topic."""
        line = self._topics.get(topic)
        buffers = line.buffers() if line is not None else ()
        return sum(len(one.members) for one in buffers if not group or one.readership.group == group)

    async def abandon(self, topic: str, group: str) -> bool:  # noqa: ARG002 - it goes with its last member
        """Nothing is kept for a group without members."""
        return True

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The latest rejected messages, oldest first."""
        return self._dead.letters()

    def forget(self, is_gone: Callable[[Message], bool]) -> None:
        """As in the contract."""
        self._dead.forget(is_gone)

    async def close(self, drain_seconds: float = 5.0) -> None:
        """Take nothing more, wait so long until all was settled, then end the subscriptions."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain_seconds):
                    for buffer in self._buffers():
                        await buffer.drained()
        finally:
            lost = sum(buffer.end(closed=True) for buffer in self._buffers())
            self._closed.set()
            if lost:
                log.warning("broker closed with messages unsettled", lost=lost)

    def _buffers(self) -> list[Buffer]:
        return [buffer for topic in self._topics.values() for buffer in topic.buffers()]

    async def join(self, readership: Readership, policy: BufferPolicy) -> tuple[Buffer, Member]:
        """The buffer that a beginning subscription is to read, and its place there."""
        if self._closing:
            raise BrokerClosed("the broker is closed")
        topic = self._topics.get(readership.topic) or self._open_topic(readership.topic)
        buffer = topic.buffer(readership, policy)
        return buffer, buffer.join()

    async def leave(self, buffer: Buffer) -> None:
        """A subscription of ``buffer`` has ended."""
        self._topics[buffer.readership.topic].release(buffer)

    def _open_topic(self, name: str) -> _Topic:
        if len(self._topics) >= MAX_TOPICS:
            raise BrokerError(f"there are {MAX_TOPICS} topics already")
        topic = self._topics[check_topic(name)] = _Topic(name, self._bounds, self._dead)
        return topic


class _Topic:
    """The buffers of one topic, found by key without looking at each."""

    def __init__(self, name: str, bounds: Bounds, dead: DeadLetters) -> None:
        self.counters = Counters()
        self._name = name
        self._bounds = bounds
        self._dead = dead
        self._groups: dict[Readership, Buffer] = {}
        self._index: dict[PatternKind, dict[str, list[Buffer]]] = {kind: {} for kind in PatternKind}
        self._everything = self._index[PatternKind.EVERYTHING]
        self._by_session = self._index[PatternKind.SESSION]
        self._by_device = self._index[PatternKind.DEVICE]
        self._by_user = self._index[PatternKind.USER]

    def wanting(self, key: RoutingKey) -> list[Buffer]:
        """The buffers whose pattern matches ``key``."""
        buffers = self._everything.get("", []).copy()
        if self._by_session:
            buffers += self._by_session.get(key.session, ())
        if self._by_device:
            buffers += self._by_device.get(key.device, ())
        if self._by_user:
            buffers += self._by_user.get(key.user, ())
        return buffers

    def buffer(self, readership: Readership, policy: BufferPolicy) -> Buffer:
        """The group's buffer, or a new one."""
        buffer = self._groups.get(readership)
        if buffer is None:
            buffer = Buffer(readership, self._bounds, policy, self.counters, self._dead)
            pattern = readership.pattern
            self._index[pattern.kind].setdefault(pattern.token, []).append(buffer)
            if readership.group:
                self._groups[readership] = buffer
        elif buffer.policy is not policy:
            raise BrokerError(f"group {readership.group!r} has the policy {buffer.policy.value} already")
        return buffer

    def release(self, buffer: Buffer) -> None:
        """Forget a buffer that nobody reads any more."""
        if buffer.members:
            return
        readership = buffer.readership
        buckets = self._index[readership.pattern.kind]
        buckets[readership.pattern.token].remove(buffer)
        if not buckets[readership.pattern.token]:
            del buckets[readership.pattern.token]
        lost = buffer.end(closed=False)
        if readership.group:
            del self._groups[readership]
            if lost:
                log.warning("messages lost with the last of a group", group=readership.group, lost=lost)

    def buffers(self) -> list[Buffer]:
        """All of them."""
        return [
            buffer for buckets in self._index.values() for bucket in buckets.values() for buffer in bucket
        ]

    def stats(self) -> TopicStats:
        """What the contract shows."""
        buffers, counters = self.buffers(), self.counters
        return TopicStats(
            topic=self._name,
            published=counters.published,
            delivered=counters.delivered,
            acknowledged=counters.acknowledged,
            rejected=counters.rejected,
            dropped=counters.dropped,
            subscriptions=sum(len(buffer.members) for buffer in buffers),
            buffered_messages=sum(buffer.held for buffer in buffers),
            buffered_bytes=sum(buffer.held_bytes for buffer in buffers),
        )


async def _until_placed(waits: list[tuple[Buffer, asyncio.Future[bool]]]) -> None:
    try:
        for _, place in waits:
            if not await place:
                raise BrokerClosed("the broker was closed before there was room")
    finally:
        for buffer, place in waits:
            buffer.unpark(place)
