"""What one readership has in this process: its buffer, and its consumer at the server.

All subscriptions of a group in one process share a feed and compete for its buffer; one without a
group has a feed of its own. A feed outlives connections: its consumer is renewed with each.

What was delivered here is *held* until it is settled, by message id. A second delivery of what is held
is the same message again (the server thought it lost), and only its token is kept, so that it is
settled with the first. What was settled is *unconfirmed* until the server has heard of it, and what a
subscriber acknowledges after the server has taken it back is *answered*: when either comes again, it is
settled and never shown.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from msgspec import Struct

from gateway.broker.base import (
    BadRoutingKey,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    BufferPolicy,
    Durability,
    Message,
)
from gateway.broker.buffer import Bounds, Buffer, BufferedDelivery, Counters, Readership
from gateway.broker.envelope import beginning, dead_letter, read_message, read_unreadable
from gateway.broker.rejected import DeadLetters
from gateway.broker.wire import Consumer, Demand, RawMessage, Token, Wire
from gateway.contract.messages import DEAD_TOPIC, MESSAGE_BYTES, new_id

log = structlog.get_logger(__name__)

MAX_ANSWERED = 10_000
"""Acknowledgements remembered that the server did not hear; the oldest is forgotten first."""
RENEWALS = 3
"""A lease is renewed so often before it would end."""
RETRY_SECONDS = 0.5
FLUSH_SECONDS = 2.0
"""What was settled is told to the server within this time when a feed ends, or not at all."""

Send = Callable[[Message], Awaitable[Durability]]


class Burial(Struct, frozen=True):
    """A rejected message on its way to the dead letters."""

    letter: Message
    tokens: list[Token]


class Feed:
    """One readership in this process. Implements ``Upstream`` for its buffer and ``Intake`` for consumers."""

    def __init__(
        self,
        readership: Readership,
        bounds: Bounds,
        policy: BufferPolicy,
        *,
        prefetch: int,
        counters: Counters,
        dead: DeadLetters,
        send: Send,
    ) -> None:
        """``send`` publishes dead letters."""
        self.readership = readership
        self.buffer = Buffer(readership, bounds, policy, counters, dead, upstream=self)
        self.repeated = 0
        """Deliveries that were settled without being shown, because they had been before."""
        self._bounds = bounds
        self._drops = policy is BufferPolicy.DROP_OLDEST
        # A feed that drops must receive more than it holds, or nothing would ever be too much.
        self._prefetch = bounds.messages + prefetch if self._drops else min(prefetch, bounds.messages)
        self._counters = counters
        self._dead = dead
        self._send = send
        self._held: dict[str, list[Token]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._unconfirmed: dict[str, list[Token]] = {}
        self._burials: list[Burial] = []
        self._untaken: list[Token] = []
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._wanted = 0 if readership.on_demand else sys.maxsize
        self._spent = asyncio.Event()
        self._room: asyncio.Future[None] | None = None
        self._full = False
        self._attaching = asyncio.Lock()
        self._wire: Wire | None = None
        self._losses = 0
        self._consumer: Consumer | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._name = new_id("r")
        self._after = ""
        self._taking = True

    # -- with each connection

    async def attach(self, wire: Wire, tasks: asyncio.TaskGroup) -> None:
        """Begin to receive. Raises BrokerUnavailable; once for each wire, and not on one that is lost meanwhile."""
        losses = self._losses
        async with self._attaching:
            if self._wire is wire or losses != self._losses or not self._taking:
                return
            for message_id in self._unconfirmed:  # may be on its way here again while it is being settled
                self._remember(message_id)
            demand = Demand(self.readership, self._name, self._prefetch, self._after)
            consumer = await wire.consume(demand, self)
            self._after = self._after or consumer.place
            if losses != self._losses:
                await self._leave(consumer, wire)
                return
            self._wire, self._consumer = wire, consumer
            if self._unconfirmed or self._burials:  # what the worker before this one was cancelled over
                self._wake()
            name = f"settle {self.readership.topic}"
            self._workers = [tasks.create_task(self._settle(consumer), name=name)]
            lease = wire.facts.lease_seconds
            if lease is not None and self.readership.group:
                self._workers.append(tasks.create_task(self._renew(consumer, lease), name=f"renew {name}"))

    async def detach(self) -> None:
        """The connection is lost. What belongs to it comes again, unless leases outlive it."""
        self._losses += 1
        wire, self._wire, self._consumer = self._wire, None, None
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []
        if wire is not None and wire.facts.lease_seconds is None:
            self._forget_tokens()

    async def _leave(self, consumer: Consumer, wire: Wire) -> None:
        """A consumer that was given us by a connection which had been lost. What it brought comes again."""
        with suppress(TimeoutError, BrokerUnavailable):
            async with asyncio.timeout(FLUSH_SECONDS):
                await consumer.close(self._held_tokens() + self._untaken)
        if wire.facts.lease_seconds is None:
            self._forget_tokens()

    def _forget_tokens(self) -> None:
        """They died with the connection. Without a group nothing comes again, so nothing is forgotten."""
        if self.readership.group:
            for message_id in self._unconfirmed:
                self._remember(message_id)
            for message in self.buffer.forget_undelivered():
                self._held.pop(message.message_id, None)
            self._burials.clear()  # they come again, and will be rejected again
        for tokens in (*self._held.values(), *(burial.tokens for burial in self._burials)):
            tokens.clear()
        self._unconfirmed.clear()
        self._untaken.clear()

    async def end(self) -> None:
        """Tell the server what was settled, give back what was not, and stop."""
        self._taking = False
        async with self._attaching:
            consumer = self._consumer
            if consumer is None:
                return
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._idle.wait()
                    await consumer.close(self._held_tokens() + self._untaken)  # in their order
            except (TimeoutError, BrokerUnavailable) as error:
                log.info("subscription ended without the broker's word", **self._facts(), reason=str(error))
            self._consumer = None
            for worker in self._workers:
                worker.cancel()

    def stop_taking(self) -> None:
        """Receive nothing more; what is here may still be settled."""
        self._taking = False

    # -- Intake

    def take(self, received: RawMessage) -> None:
        """A message has come."""
        if not self._taking:
            if received.token is not None:
                self._untaken.append(received.token)  # it goes to somebody else
            return
        self._after = received.after or received.place or self._after
        size, received = len(received.payload), beginning(received)
        try:
            message = read_message(self.readership.topic, received)
        except BadRoutingKey as error:
            self._refuse(read_unreadable(self.readership.topic, received), received, str(error))
            return
        if not self.readership.pattern.matches(message.routing_key):
            self._finish("", received.token)
        elif self._is_repeated(message.message_id, received):
            self.repeated += 1
        elif size > self._bounds.bytes:
            self._refuse(
                message, received, f"{size} bytes are more than a whole buffer ({self._bounds.bytes})"
            )
        elif size > MESSAGE_BYTES:
            self._refuse(
                message, received, f"{size} bytes are more than a message may have ({MESSAGE_BYTES})"
            )
        else:
            self._admit(message, received)

    async def room(self) -> int:
        """Wait until there is room; for how many messages."""
        while (room := self._has_room()) <= 0:
            if self._room is None or self._room.done():
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)
        return room

    async def spent(self) -> None:
        """Wait until there is no room."""
        while self._has_room() > 0:
            self._spent.clear()
            await self._spent.wait()

    def want(self, messages: int) -> None:
        """On demand: so many more may come."""
        self._wanted = messages
        self._look_for_room()

    def lost(self, messages: int) -> None:
        """The server gave up so many before they came here."""
        self.buffer.dropped += messages
        self._counters.dropped += messages
        log.warning("messages lost at the broker before they were read", **self._facts(), lost=messages)

    def revoked(self, tokens: Sequence[Token]) -> None:
        """The server gives these to somebody else. What nobody has in his hands is forgotten here."""
        gone = set(tokens)
        stale = {one for one, own in self._held.items() if own and gone.issuperset(own)}
        for message_id in stale:
            self._held[message_id].clear()  # who has it may answer it: see ``settled``
        for message in self.buffer.forget_undelivered(lambda message: message.message_id in stale):
            self._held.pop(message.message_id, None)
        self._look_for_room()

    # -- Upstream

    def settled(self, message: Message) -> None:
        """It was acknowledged, or dropped here."""
        tokens = self._held.pop(message.message_id, None)
        if tokens:
            for token in tokens:
                self._finish(message.message_id, token)
        elif tokens is not None and self.readership.group:  # stale: it will come again
            self._remember(message.message_id)
        self._look_for_room()

    def buried(self, delivery: BufferedDelivery, reason: str) -> None:
        """It was rejected: a dead letter first, settled then."""
        message = delivery.message
        tokens = self._held.pop(message.message_id, [])
        if not tokens and self.readership.group:
            self._remember(message.message_id)
        self._bury(message, reason, delivery.attempt, tokens)

    # -- inside

    def _admit(self, message: Message, received: RawMessage) -> None:
        size = len(message.payload)
        if self._drops and not self.buffer.make_room(message):
            self._finish("", received.token)
            return
        if not self.buffer.has_room(size):
            self.buffer.report_slow()
        self._held[message.message_id] = [] if received.token is None else [received.token]
        if self.readership.on_demand:
            self._wanted = max(0, self._wanted - 1)
            self._spent.set()
        self.buffer.admit(message, max(1, received.attempt))

    def _look_for_room(self) -> None:
        """Whoever waits for room, or for its end, looks again."""
        if self._has_room() <= 0:
            self._spent.set()
        elif self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _has_room(self) -> int:
        if not self._taking:
            return 0
        if self._drops:
            return self._prefetch
        if self.buffer.held_bytes >= self._bounds.bytes:
            return 0
        room = self._prefetch - self.buffer.held
        if self.readership.on_demand:
            return min(room, self._wanted)
        # Once it was full, it is not refilled one by one while there is something to go on with.
        self._full = room <= 0 or (self._full and room < self._prefetch // 2 and self.buffer.pending > 0)
        return 0 if self._full else room

    def _is_repeated(self, message_id: str, received: RawMessage) -> bool:
        """Whether it was shown already; its token is settled when the first one's is.

        What was answered and comes for the first time was published again: its publisher misses something.
        """
        token = received.token
        tokens = self._held.get(message_id)
        if tokens is None:
            buried = (burial.tokens for burial in self._burials if burial.letter.message_id == message_id)
            tokens = next(buried, None)
        if tokens is not None:
            if token is not None and token not in tokens:
                tokens.append(token)
            return True
        if message_id not in self._unconfirmed and (
            message_id not in self._answered or received.attempt == 1
        ):
            return False
        self._answered.pop(message_id, None)
        self._finish(message_id, token)
        return True

    def _refuse(self, message: Message, received: RawMessage, reason: str) -> None:
        """What never gets to a subscriber."""
        self._counters.rejected += 1
        self._dead.add(message, reason, received.attempt, self.readership.group)
        self._bury(message, reason, received.attempt, [] if received.token is None else [received.token])

    def _bury(self, message: Message, reason: str, attempt: int, tokens: list[Token]) -> None:
        if self.readership.topic == DEAD_TOPIC:
            for token in tokens:
                self._finish(message.message_id, token)
            return
        self._burials.append(
            Burial(dead_letter(message, reason, attempt, self.readership.group), list(tokens))
        )
        self._wake()

    def _finish(self, message_id: str, token: Token) -> None:
        if token is not None:
            self._unconfirmed.setdefault(message_id, []).append(token)
            self._wake()

    def _held_tokens(self) -> list[Token]:
        return [token for tokens in self._held.values() for token in tokens]

    def _wake(self) -> None:
        self._work.set()
        self._idle.clear()

    def _remember(self, message_id: str) -> None:
        self._answered[message_id] = None
        if len(self._answered) > MAX_ANSWERED:
            self._answered.popitem(last=False)

    async def _settle(self, consumer: Consumer) -> None:
        """Tell the server what was settled, as much at a time as has come together."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                while self._burials:
                    await self._bury_next()
                while self._unconfirmed:
                    await self._settle_all(consumer)
            except BrokerUnavailable as error:  # if the connection is lost, too, this ends here
                log.info("not settled yet", **self._facts(), reason=str(error))
                self._work.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if not self._work.is_set():  # nothing came while the last of it was told
                    self._idle.set()

    async def _settle_all(self, consumer: Consumer) -> None:
        batch = [(message_id, len(tokens)) for message_id, tokens in self._unconfirmed.items()]
        await consumer.settle([token for tokens in self._unconfirmed.values() for token in tokens])
        for message_id, count in batch:
            tokens = self._unconfirmed[message_id]
            del tokens[:count]
            if not tokens:
                del self._unconfirmed[message_id]

    async def _bury_next(self) -> None:
        burial = self._burials[0]
        try:
            await self._send(burial.letter)
        except BrokerError as error:
            if isinstance(error, BrokerUnavailable) and not isinstance(error, BrokerRefused):
                raise
            # It would be refused again, so it stays in this process's list only.
            log.error("dead letter not published", **self._facts(), reason=str(error))  # noqa: TRY400
        self._burials.pop(0)
        for token in burial.tokens:
            self._finish(burial.letter.message_id, token)

    async def _renew(self, consumer: Consumer, lease_seconds: float) -> None:
        while True:
            tokens = self._held_tokens() + [token for burial in self._burials for token in burial.tokens]
            try:
                if tokens:
                    await consumer.renew(tokens)
            except BrokerUnavailable as error:
                log.info("leases not renewed", **self._facts(), reason=str(error))
            await asyncio.sleep(lease_seconds / RENEWALS)

    def _facts(self) -> dict[str, Any]:
        readership = self.readership
        return {
            "topic": readership.topic,
            "pattern": str(readership.pattern),
            "group": readership.group,
        }
