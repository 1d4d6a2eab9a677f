"""A message broker on the network, whichever one it is: what all of them have in common.

While there is no connection, publishing fails at once and subscriptions wait; when there is one again,
they go on. What the server and its client library do is behind :mod:`gateway.broker.wire`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import structlog

from gateway.broker.address import Scheme
from gateway.broker.base import (
    CANNOT_TELL,
    BadRoutingKey,
    BrokerClosed,
    BrokerError,
    BrokerRefused,
    BrokerStatus,
    BrokerUnavailable,
    BufferPolicy,
    Durability,
    Message,
    NoDeposits,
    NoLeases,
    Receipt,
    TopicStats,
)
from gateway.broker.buffer import Buffer, Counters, Member, Readership
from gateway.broker.buffered import BufferedBroker, drained, row, same_policy
from gateway.broker.connection import Connection, OnStatus
from gateway.broker.feed import Feed
from gateway.broker.patterns import EVERYTHING, check_group, check_topic
from gateway.broker.wire import Connect, DepthGauge, Keeper, Lessor, Wire
from gateway.contract.messages import is_token
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class NetworkBroker(BufferedBroker[Counters]):
    """``MessageBroker`` over one adapter. It connects when it is first used, or by ``start``.

    Publishing waits for the first attempt to connect, and later for no other. BrokerUnavailable leaves open whether
    the server has the message: publish it again under the same ``message_id``. BufferFull: also when the server takes
    none so large. What a group leaves unsettled when this is closed stays at the server.
    """

    def __init__(
        self,
        url: str,
        scheme: Scheme,
        connect: Connect,
        settings: BrokerSettings,
        on_status: OnStatus | None = None,
    ) -> None:
        """``url`` has been checked; ``on_status`` is called with each change."""
        super().__init__(settings)
        self._connection = Connection(url, scheme, connect, settings, passenger=self, on_status=on_status)
        self._feeds: dict[Buffer, Feed] = {}
        self._ending: set[Feed] = set()
        self._under_way: dict[asyncio.Timeout, float] = {}  # until when; the oldest first
        self._watch: asyncio.Task[None] | None = None

    @property
    def status(self) -> BrokerStatus:
        """How the connection is."""
        return self._connection.status

    def start(self) -> None:
        """Begin to connect. Idempotent; needs a running loop."""
        if not self._closing:
            self._connection.start()

    # -- the contract

    async def _put(self, message: Message, topic: Counters) -> Receipt:
        await self._until_tried()
        if not self._connection.ready:
            raise self._away()
        durability = await self._send(message)
        topic.published += 1
        return Receipt(message.message_id, durability)

    def _check_policy(self, policy: BufferPolicy) -> None:
        """The publisher is far away."""
        if policy is BufferPolicy.REFUSE:
            raise BrokerError("a publisher on the network cannot be refused; take wait or drop_oldest")

    def stats(self) -> tuple[TopicStats, ...]:
        """One row per topic that was published or subscribed here; only what this process did."""
        return tuple(self._row(name, counters) for name, counters in self._topics.items())

    async def readers(self, topic: str, group: str = "") -> int:
        """As in the contract; waits for the first attempt to connect, and as long as for a confirmation."""
        await self._until_tried()
        return await self._ask(self._live_wire().readers(check_topic(topic), check_group(group)))

    async def abandon(self, topic: str, group: str) -> bool:
        """As in the contract; waits as ``readers`` does."""
        readership = Readership(check_topic(topic), EVERYTHING, check_group(group))
        await self._until_tried()
        return await self._ask(self._live_wire().abandon(readership))

    def groups(self) -> tuple[tuple[str, str], ...]:
        """As in the contract."""
        read = (feed.readership for feed in self._feeds.values())
        return tuple((one.topic, one.group) for one in read if one.group and one.pattern == EVERYTHING)

    async def waiting(self, topic: str, group: str) -> int:
        """As in the contract."""
        wire = self._live_wire()
        if not isinstance(wire, DepthGauge):
            return CANNOT_TELL
        return await self._ask(wire.waiting(check_topic(topic), check_group(group)))

    # -- deposits

    async def deposit(self, key: str, data: bytes, seconds: float) -> None:
        """As in the contract."""
        await self._until_tried()
        await self._ask(self._keeper().deposit(_checked(key), data, seconds))

    async def deposited(self, key: str, most: int) -> bytes | None:
        """As in the contract."""
        await self._until_tried()
        return await self._ask(self._keeper().deposited(_checked(key), most))

    async def discard(self, key: str) -> None:
        """As in the contract."""
        await self._until_tried()
        await self._ask(self._keeper().discard(_checked(key)))

    # -- leases

    async def lease(self, name: str, holder: str, seconds: float) -> str:
        """As in the contract."""
        await self._until_tried()
        return await self._ask(self._lessor().lease(_checked(name), _checked(holder), seconds))

    async def release(self, name: str, holder: str) -> None:
        """As in the contract."""
        await self._until_tried()
        await self._ask(self._lessor().release(_checked(name), _checked(holder)))

    def _lessor(self) -> Lessor:
        wire = self._live_wire()
        if not isinstance(wire, Lessor):
            raise NoLeases(f"{wire.facts.name} knows of no leases")
        return wire

    def _keeper(self) -> Keeper:
        wire = self._live_wire()
        if not isinstance(wire, Keeper):
            raise NoDeposits(f"{wire.facts.name} keeps messages only")
        return wire

    async def _drain(self, seconds: float) -> None:
        for feed in self._feeds.values():
            feed.stop_taking()
        await drained(list(self._feeds), seconds)

    async def _end(self) -> None:
        await asyncio.gather(*(self._end_feed(feed, closed=True) for feed in list(self._feeds.values())))
        await asyncio.gather(*(feed.end() for feed in self._ending))  # their own goodbye is under way
        await self._connection.close()

    # -- subscriptions

    async def join(self, readership: Readership, policy: BufferPolicy) -> tuple[Buffer, Member]:
        """The buffer that a beginning subscription is to read, and its place there."""
        if self._closing:
            raise BrokerClosed("the broker is closed")
        counters = self._topics.get(readership.topic) or self._open_topic(readership.topic)
        feed = self._shared_feed(readership)
        if feed is None:
            feed = Feed(
                readership,
                self._bounds,
                policy,
                prefetch=self._settings.prefetch,
                counters=counters,
                dead=self._dead,
                send=self._send,
            )
            self._feeds[feed.buffer] = feed
        same_policy(feed.buffer, policy)
        member = feed.buffer.join()
        try:
            await self._until_tried()
            await self._attach(feed)
        except BaseException:
            feed.buffer.leave(member)
            await self.leave(feed.buffer)
            raise
        return feed.buffer, member

    async def leave(self, buffer: Buffer) -> None:
        """A subscription of ``buffer`` has ended."""
        feed = self._feeds.get(buffer)
        if feed is not None and not buffer.members:
            await self._end_feed(feed, closed=False)

    def want(self, buffer: Buffer, messages: int) -> None:
        """Its feed may ask for so many more."""
        feed = self._feeds.get(buffer)
        if feed is not None:
            feed.want(messages)

    def _shared_feed(self, readership: Readership) -> Feed | None:
        if not readership.group:
            return None
        return next((feed for feed in self._feeds.values() if feed.readership == readership), None)

    async def _attach(self, feed: Feed) -> None:
        """Begin to receive, if there is a connection. A failure is the connection's: another will be made."""
        wire, tasks = self._connection.wire, self._connection.tasks
        if wire is None or tasks is None:
            return
        try:
            await feed.attach(wire, tasks)
        except BrokerUnavailable as error:
            self._connection.lose(wire, error)

    async def _end_feed(self, feed: Feed, *, closed: bool) -> None:
        if self._feeds.pop(feed.buffer, None) is None:  # its last subscription has ended meanwhile
            return
        self._ending.add(feed)
        try:
            await feed.end()
        finally:
            self._ending.discard(feed)
        lost = feed.buffer.end(closed=closed, kept=bool(feed.readership.group))
        if lost:
            log.warning("subscription ended with messages unsettled", topic=feed.readership.topic, lost=lost)

    # -- publishing

    async def _send(self, message: Message) -> Durability:
        """Raises BrokerUnavailable when it is not confirmed in time, or the connection is lost."""
        wire = self._connection.wire
        if wire is None:
            raise self._away()
        limit = asyncio.timeout(None)  # a timer for each would cost more than the rest of it
        self._under_way[limit] = asyncio.get_running_loop().time() + self._settings.confirm_seconds
        try:
            async with limit:
                durability = await wire.publish(message)
        except BrokerRefused as error:
            self._connection.denied(message.topic, error)
            raise
        except TimeoutError as error:
            raise BrokerUnavailable("the broker has not confirmed the message") from error
        finally:
            del self._under_way[limit]
        self._connection.allowed(message.topic)
        return durability

    async def _watch_confirmations(self) -> None:
        """End what was not confirmed in time."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._settings.confirm_seconds / 4)
            self._give_up([limit for limit, until in self._under_way.items() if until <= clock()])

    def _give_up(self, limits: list[asyncio.Timeout]) -> None:
        now = asyncio.get_running_loop().time()
        for limit in limits:
            with suppress(RuntimeError):  # it is ending already
                limit.reschedule(now)

    def _live_wire(self) -> Wire:
        wire = self._connection.wire
        if wire is None or not self._connection.ready:
            raise self._away()
        return wire

    def _away(self) -> BrokerUnavailable:
        """Also while a connection that was lost is still being put away, and nothing has been told of it yet."""
        return BrokerUnavailable(self.status.reason or "the connection was lost", self.status.remedy)

    async def _ask(self, question: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._settings.confirm_seconds):
                return await question
        except TimeoutError as error:
            raise BrokerUnavailable("the broker has not answered") from error

    async def _until_tried(self) -> None:
        if self._closing:
            raise BrokerClosed("the broker is closed")
        if not self._connection.tried.is_set():
            self.start()
            await self._connection.tried.wait()
            if self._closing:
                raise BrokerClosed("the broker is closed")

    # -- Passenger

    async def board(self, wire: Wire, tasks: asyncio.TaskGroup) -> None:
        """All subscriptions get their consumers."""
        self._watch = tasks.create_task(self._watch_confirmations(), name="broker confirmations")
        for feed in list(self._feeds.values()):
            await feed.attach(wire, tasks)

    async def leave_wire(self) -> None:
        """What is being published is not confirmed, and nothing more comes."""
        if self._watch is not None:
            self._watch.cancel()
        self._give_up(list(self._under_way))
        for feed in list(self._feeds.values()):
            await feed.detach()

    # -- figures

    def _new_topic(self, name: str) -> Counters:  # noqa: ARG002
        return Counters()

    def _row(self, name: str, counters: Counters) -> TopicStats:
        return row(name, counters, [buffer for buffer in self._feeds if buffer.readership.topic == name])


def _checked(key: str) -> str:
    """Raises BadRoutingKey."""
    if not is_token(key):
        raise BadRoutingKey(f"the key {key!r:.80} is not 1-64 of A-Z a-z 0-9 _ -")
    return key
