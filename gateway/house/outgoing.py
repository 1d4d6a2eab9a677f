"""What this gateway's hub shows, on its way to the other hubs: at once, and together what came meanwhile.

A transcript is published after its event was shown here. So that nobody elsewhere misses the event of a gateway that is
killed then, it does not wait until what went before it is confirmed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from gateway.broker.base import BrokerClosed, BrokerError, MessageBroker, RoutingKey
from gateway.contract.events import HubEventBase
from gateway.contract.house import EVENTS_TOPIC, MOST_IN_BATCH, EventBatch
from gateway.contract.messages import encode
from gateway.hub.fanout import Serialized

log = structlog.get_logger(__name__)

BATCH_BYTES = 256 * 1024
"""Of one batch, unless a single event has more."""
MOST_PENDING = 2_000
PENDING_BYTES = 8 * 1024 * 1024
"""What waits for the broker; the oldest go first, and who misses them asks for them."""
AGAIN_SECONDS = 0.5
MOST_ON_THEIR_WAY = 4
"""Batches that are not confirmed yet."""
DRAIN_SECONDS = 2.0
"""So long the end waits for the last of it."""


class Outgoing:
    """Batches of one gateway, sent in order. One that is not taken and comes late is waited for at its other end."""

    def __init__(self, gateway: str, epoch: str, is_watched: Callable[[HubEventBase], bool]) -> None:
        """``is_watched``: whether somebody elsewhere is shown an event that may be missed."""
        self.dropped = 0
        """Of those that waited for the broker; nobody misses them for that."""
        self.seq = 0
        """Of the last event that nobody may miss."""
        self._gateway = gateway
        self._epoch = epoch
        self._is_watched = is_watched
        self._pending: deque[tuple[int, Serialized]] = deque()
        self._bytes = 0
        self._sent = 0
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._is_over = False
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, item: Serialized) -> None:
        """One more event of this gateway's own."""
        if item.event.droppable and not self._is_watched(item.event):
            return
        self._pending.append((self.seq, item))
        self._bytes += item.size
        if not item.event.droppable:
            self.seq = item.event.seq
        while len(self._pending) > MOST_PENDING or self._bytes > PENDING_BYTES:
            self._bytes -= self._pending.popleft()[1].size
            self.dropped += 1
        self._news.set()
        self._idle.clear()

    async def run(self, broker: MessageBroker) -> None:
        """Until the broker is closed."""
        try:
            while not self._is_over:
                await self._news.wait()
                self._news.clear()
                while self._pending and not self._is_over:
                    await self._begin(broker)
        finally:
            for batch in self._on_their_way:
                batch.cancel()

    async def _begin(self, broker: MessageBroker) -> None:
        while len(self._on_their_way) >= MOST_ON_THEIR_WAY:
            await asyncio.wait(self._on_their_way, return_when=asyncio.FIRST_COMPLETED)
        batch = asyncio.create_task(self._send(broker, self._batch()), name="events on their way")
        self._on_their_way.add(batch)
        batch.add_done_callback(self._ended)

    def _ended(self, batch: asyncio.Task[None]) -> None:
        self._on_their_way.discard(batch)
        if not self._on_their_way and not self._pending:
            self._idle.set()

    async def drain(self) -> None:
        """Wait for what is on its way, not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._idle.wait()

    def _batch(self) -> EventBatch:
        after, first = self._take()
        items, size = [first], first.size
        while self._pending and len(items) < MOST_IN_BATCH and size + self._pending[0][1].size <= BATCH_BYTES:
            _, item = self._take()
            items.append(item)
            size += item.size
        events = tuple(msgspec.Raw(item.data) for item in items)
        return EventBatch(gateway=self._gateway, epoch=self._epoch, after=after, events=events)

    def _take(self) -> tuple[int, Serialized]:
        after, item = self._pending.popleft()
        self._bytes -= item.size
        return after, item

    async def _send(self, broker: MessageBroker, batch: EventBatch) -> None:
        payload, key = encode(batch), RoutingKey("house", self._gateway, "events")
        self._sent += 1
        name = f"{self._epoch}-{self._sent}"
        while True:
            try:
                await broker.publish(EVENTS_TOPIC, key, payload, message_id=name)
            except BrokerClosed:
                self._is_over = True
                self._news.set()
                return
            except BrokerError as error:
                log.debug("not shown elsewhere yet", reason=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return
