"""The broker inside the process: the reference of what every broker here must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.broker.base import (
    BrokerClosed,
    BufferFull,
    BufferPolicy,
    Durability,
    Message,
    Receipt,
    RoutingKey,
    TopicStats,
)
from gateway.broker.buffer import Bounds, Buffer, Counters, Member, Readership
from gateway.broker.buffered import BufferedBroker, drained, row, same_policy
from gateway.broker.patterns import PatternKind
from gateway.broker.rejected import DeadLetters
from gateway.broker.subscription import TURN
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

_MEMORY = Durability.MEMORY  # an enum's member is slow to look up


class MemoryBroker(BufferedBroker["_Topic"]):
    """``MessageBroker`` in this process and event loop; a receipt's durability is ``memory``.

    A cancelled publish may have reached some subscribers.
    """

    def __init__(self, settings: BrokerSettings | None = None) -> None:
        super().__init__(settings or BrokerSettings())
        self._since_pause = 0

    async def _put(self, message: Message, topic: _Topic) -> Receipt:
        """Into every buffer that wants it. Raises BufferFull when one refuses."""
        self._since_pause += 1
        if self._since_pause >= TURN:
            self._since_pause = 0
            await asyncio.sleep(0)
            if self._closing:
                raise BrokerClosed("the broker is closed")
        buffers = topic.wanting(message.routing_key)
        for buffer in buffers:
            if buffer.refuses and not buffer.has_room(len(message.payload)):
                buffer.report_slow()
                raise BufferFull(f"a subscription of {message.topic} is full and refuses more")
        topic.counters.published += 1
        waits = []
        for buffer in buffers:
            place = buffer.put(message)
            if place is not None:
                waits.append((buffer, place))
        if waits:
            await _until_placed(waits)
        return Receipt(message.message_id, _MEMORY, len(buffers))

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

    def forget(self, is_gone: Callable[[Message], bool]) -> None:
        """As in the contract; nor are they handed to anybody."""
        super().forget(is_gone)
        for buffer in self._buffers():
            buffer.erase(is_gone)

    async def _drain(self, seconds: float) -> None:
        await drained(self._buffers(), seconds)

    async def _end(self) -> None:
        lost = sum(buffer.end(closed=True) for buffer in self._buffers())
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

    def _new_topic(self, name: str) -> _Topic:
        return _Topic(name, self._bounds, self._dead)


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
        same_policy(buffer, policy)
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
        return row(self._name, self.counters, self.buffers())


async def _until_placed(waits: list[tuple[Buffer, asyncio.Future[bool]]]) -> None:
    try:
        for _, place in waits:
            if not await place:
                raise BrokerClosed("the broker was closed before there was room")
    finally:
        for buffer, place in waits:
            buffer.unpark(place)
