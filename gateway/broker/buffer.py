"""A bounded buffer of messages and the deliveries taken out of it.

One buffer stands behind each subscription, or behind all subscriptions of one group, which then
compete. It holds what is undelivered and what is delivered but unsettled; both count against its
bounds, in messages and in bytes of payload.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import structlog
from msgspec import Struct

from gateway.broker.base import BrokerClosed, BrokerError, BufferPolicy, Message
from gateway.broker.patterns import Pattern
from gateway.broker.rejected import DeadLetters
from gateway.broker.waiting import Parked, Undelivered

log = structlog.get_logger(__name__)


class Bounds(Struct, frozen=True):
    """How much one buffer holds."""

    messages: int
    bytes: int


class Readership(Struct, frozen=True):
    """Whose buffer it is; ``group`` is empty for the buffer of a single subscription.

    ``on_demand``: nothing comes from a server but what was asked for.
    """

    topic: str
    pattern: Pattern
    group: str
    on_demand: bool = False


@dataclass(slots=True)
class Counters:
    """What happened on one topic, as in ``TopicStats``."""

    published: int = 0
    delivered: int = 0
    acknowledged: int = 0
    rejected: int = 0
    dropped: int = 0


class Upstream(Protocol):
    """Where a buffer's messages come from, when it wants to know what becomes of them."""

    def settled(self, message: Message) -> None:
        """It was acknowledged, or lost to the buffer's policy."""

    def buried(self, delivery: BufferedDelivery, reason: str) -> None:
        """It was rejected; ``settled`` follows."""


class BufferedDelivery(Struct, eq=False):
    """One message in one buffer, waiting or handed to a subscriber.

    ``sequence`` is its place among the buffer's messages, kept when it is delivered again.
    ``member`` is the subscriber that has it, None while nobody has.
    """

    message: Message
    attempt: int
    sequence: int
    buffer: Buffer
    member: Member | None = None

    async def ack(self) -> None:
        """Done: never delivered again to this group."""
        self._settle()
        self.buffer.counters.acknowledged += 1
        self.buffer.release(self.message)

    async def nack(self, delay: float = 0.0) -> None:
        """Not now: delivered again after ``delay`` seconds, before all that was published later."""
        if not (math.isfinite(delay) and delay >= 0):
            raise ValueError(f"a delay is a number of seconds from 0; got {delay}")
        self._settle()
        self.buffer.give_back(self, delay)

    async def reject(self, reason: str) -> None:
        """Never: counted and handed to the dead letters with the reason."""
        self._settle()
        self.buffer.bury(self, reason)

    def _settle(self) -> None:
        if self.member is None:
            if self.buffer.closed:
                raise BrokerClosed("the broker was closed before this delivery was settled")
            raise BrokerError("settled already, or its subscription has ended")
        del self.member[self.sequence]
        self.member = None


Member: TypeAlias = "dict[int, BufferedDelivery]"
"""One subscriber of a buffer: what it was handed and has not settled, by sequence."""


class Buffer:
    """Bounded, ordered, with a named policy for when it is full; read by its members."""

    def __init__(
        self,
        readership: Readership,
        bounds: Bounds,
        policy: BufferPolicy,
        counters: Counters,
        dead: DeadLetters,
        *,
        upstream: Upstream | None = None,
    ) -> None:
        self.readership = readership
        self.policy = policy
        self.refuses = policy is BufferPolicy.REFUSE
        self.counters = counters
        self.closed = False
        self.held = 0
        self.held_bytes = 0
        self.dropped = 0
        self.members: list[Member] = []
        self._bounds = bounds
        self._dead = dead
        self._upstream = upstream
        self._sequence = 0
        self._undelivered: Undelivered[BufferedDelivery] = Undelivered()
        self._delayed: dict[int, tuple[BufferedDelivery, asyncio.TimerHandle]] = {}
        self._parked = Parked()
        self._readers: deque[asyncio.Future[None]] = deque()
        self._slow = False
        self._empty: asyncio.Future[None] | None = None
        self._watched = False  # whether a release has anything more to do than to count

    @property
    def pending(self) -> int:
        """Messages waiting to be delivered."""
        return len(self._undelivered) + len(self._delayed)

    @property
    def pending_bytes(self) -> int:
        """Their payload bytes."""
        unsettled = (delivery for member in self.members for delivery in member.values())
        return self.held_bytes - sum(len(delivery.message.payload) for delivery in unsettled)

    def has_room(self, size: int) -> bool:
        """Whether a message of ``size`` bytes can be put now; who waits already comes first."""
        return not self._parked and self._fits(size)

    def put(self, message: Message) -> asyncio.Future[bool] | None:
        """Take a message in, or what to wait for until it is in (False: the broker was closed).

        A full buffer whose policy is to refuse must not be asked.
        """
        size = len(message.payload)
        if self.has_room(size):
            self._admit(message, size)
            return None
        self.report_slow()
        if self.policy is BufferPolicy.WAIT:
            place = asyncio.get_running_loop().create_future()
            self._parked.append(place, message)
            return place
        if self.make_room(message):
            self._admit(message, size)
        return None

    def make_room(self, message: Message) -> bool:
        """Drop the oldest of the least urgent until a message fits; False: it is what has to be dropped."""
        while not self._fits(len(message.payload)):
            self._count_dropped(1)
            oldest = self._undelivered.drop(message)
            if oldest is None:  # what is more urgent, or in subscribers' hands: the new one is what can go
                return False
            self._forget(oldest.message)
        return True

    def admit(self, message: Message, attempt: int) -> None:
        """Take a message in whatever the bounds say; who calls this keeps them in another way."""
        self._admit(message, len(message.payload), attempt)

    def forget_undelivered(self, is_gone: Callable[[Message], bool] = lambda _: True) -> list[Message]:
        """Forget those of which nobody has in his hands: they will be put again. Those forgotten, oldest first."""
        waiting = self._undelivered.clear()
        forgotten = [delivery for delivery in waiting if is_gone(delivery.message)]
        for delivery in waiting:
            if not is_gone(delivery.message):
                self._undelivered.put_back(delivery)
        for sequence, (delivery, timer) in list(self._delayed.items()):
            if is_gone(delivery.message):
                timer.cancel()
                del self._delayed[sequence]
                forgotten.append(delivery)
        forgotten.sort(key=lambda delivery: delivery.sequence)
        for delivery in forgotten:
            self.held -= 1
            self.held_bytes -= len(delivery.message.payload)
        return [delivery.message for delivery in forgotten]

    def erase(self, is_gone: Callable[[Message], bool]) -> None:
        """Deliver these to nobody any more; what somebody has in his hands is his."""
        waiting = []
        while (delivery := self._undelivered.get()) is not None:
            waiting.append(delivery)
        for delivery in waiting:
            if not is_gone(delivery.message):
                self._undelivered.put_back(delivery)
        for delivery in waiting:
            if is_gone(delivery.message):
                self.release(delivery.message)

    def unpark(self, place: asyncio.Future[bool]) -> None:
        """The publisher that waited for ``place`` has given up."""
        if self._parked.discard(place):
            self._admit_parked()

    def join(self) -> Member:
        """A new member."""
        member: Member = {}
        self.members.append(member)
        return member

    def leave(self, member: Member) -> None:
        """A member ends: what it had is for the others to take."""
        self.members = [other for other in self.members if other is not member]
        for delivery in member.values():
            delivery.member = None
            self.give_back(delivery)
        member.clear()
        self._wake_all()

    def take(self, member: Member) -> BufferedDelivery | None:
        """The next undelivered message (the oldest of its class), now in the hands of ``member``."""
        delivery = self._undelivered.get()
        if delivery is None:
            return None
        delivery.member = member
        member[delivery.sequence] = delivery
        return delivery

    def release(self, message: Message) -> None:
        """A taken message was settled for good."""
        self._forget(message)
        if self._watched:
            self._after_release()

    def give_back(self, delivery: BufferedDelivery, delay: float = 0.0) -> None:
        """A taken message is to be delivered again."""
        again = BufferedDelivery(delivery.message, delivery.attempt + 1, delivery.sequence, self)
        if delay:
            timer = asyncio.get_running_loop().call_later(delay, self._due, again.sequence)
            self._delayed[again.sequence] = (again, timer)
        else:
            self._put_back(again)

    def bury(self, delivery: BufferedDelivery, reason: str) -> None:
        """A taken message was rejected."""
        self.counters.rejected += 1
        if self._upstream is not None:
            self._upstream.buried(delivery, reason)
        self._dead.add(delivery.message, reason, delivery.attempt, self.readership.group)
        self.release(delivery.message)

    def reader(self) -> asyncio.Future[None]:
        """What a subscriber with nothing to take awaits before it looks again."""
        reader = asyncio.get_running_loop().create_future()
        self._readers.append(reader)
        return reader

    def give_up(self, reader: asyncio.Future[None]) -> None:
        """The subscriber that awaited ``reader`` was cancelled."""
        if reader.cancelled():
            with suppress(ValueError):  # a wake-up may have skipped and removed it
                self._readers.remove(reader)
        else:
            self._wake_one()  # it was this reader's turn: the next one has it now

    async def drained(self) -> None:
        """Until everything that is held was settled."""
        if self.held:
            self._watched = True
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def end(self, *, closed: bool, kept: bool = False) -> int:
        """Forget what is held, let go who waits; how many messages were lost (none that are ``kept``)."""
        self.closed = closed
        lost = 0 if kept else self.held
        self._count_dropped(lost)
        for member in self.members:
            for delivery in member.values():
                delivery.member = None
            member.clear()
        self.members = []
        for _, timer in self._delayed.values():
            timer.cancel()
        for place in self._parked.clear():
            if not place.done():
                place.set_result(not closed)
        self._undelivered.clear()
        self._delayed.clear()
        self.held = self.held_bytes = 0
        if self._empty is not None and not self._empty.done():
            self._empty.set_result(None)
        self._wake_all()
        return lost

    def report_slow(self) -> None:
        """Say once per episode that the buffer is full; it ends when half is free again."""
        if self._slow:
            return
        self._slow = self._watched = True
        log.warning("slow consumer", **self._facts(), held=self.held, held_bytes=self.held_bytes)

    def _facts(self) -> dict[str, str]:
        topic, pattern, group = self.readership.topic, self.readership.pattern, self.readership.group
        return {"topic": topic, "pattern": str(pattern), "group": group, "policy": self.policy.value}

    def _admit(self, message: Message, size: int, attempt: int = 1) -> None:
        self.held += 1
        self.held_bytes += size
        self._sequence += 1
        self._undelivered.append(BufferedDelivery(message, attempt, self._sequence, self))
        if self._readers:
            self._wake_one()

    def _fits(self, size: int) -> bool:
        return self.held < self._bounds.messages and self.held_bytes + size <= self._bounds.bytes

    def _forget(self, message: Message) -> None:
        self.held -= 1
        self.held_bytes -= len(message.payload)
        if self._upstream is not None:
            self._upstream.settled(message)

    def _admit_parked(self) -> None:
        while self._parked:
            size = len(self._parked.next()[1].payload)
            if not self._fits(size):
                return
            place, message = self._parked.get()
            if not place.done():  # its publisher may just have been cancelled
                self._admit(message, size)
                place.set_result(True)

    def _after_release(self) -> None:
        if self._parked:
            self._admit_parked()
        if (
            self._slow
            and self.held <= self._bounds.messages // 2
            and self.held_bytes <= self._bounds.bytes // 2
        ):
            self._slow = False
            log.info("slow consumer has caught up", **self._facts(), dropped=self.dropped)
        if self._empty is not None and not self.held and not self._empty.done():
            self._empty.set_result(None)
        self._watched = bool(self._slow or self._parked or self._empty)

    def _due(self, sequence: int) -> None:
        self._put_back(self._delayed.pop(sequence)[0])

    def _put_back(self, delivery: BufferedDelivery) -> None:
        self._undelivered.put_back(delivery)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._readers:
            reader = self._readers.popleft()
            if not reader.done():
                reader.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._readers:
            self._wake_one()

    def _count_dropped(self, messages: int) -> None:
        self.dropped += messages
        self.counters.dropped += messages
