"""What waits for one listener: bounded, droppable events first to go, and who stays behind is given up."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import NoReturn, Self

import structlog

from firmware_bridge.shares import HOUSE
from gateway.contract.events import CursorEvent
from gateway.hub.fanout import Batch, Serialized
from gateway.hub.snapshot import Filter
from gateway.settings.web import WebSettings

log = structlog.get_logger(__name__)

OVERRUN_FACTOR = 8
"""A listener this many times over its bound is closed at once: its memory is bounded in a burst too."""


class HubError(Exception):
    """Base of what the hub raises."""


class SlowConsumer(HubError):
    """The listener stayed behind; ``seq`` is the last event it got, to resume after."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"slow consumer: resume after seq {seq}")
        self.seq = seq


class Evicted(HubError):
    """The listener had to make room for another."""


class ListenerQueue:
    """What waits for one listener. ``async for`` reads it; ``with`` detaches it from the hub.

    First comes what the listener missed (or a snapshot), then every new event it wants. Iterating
    ends when the hub closes and raises SlowConsumer when the listener stayed behind, Evicted when it had to
    make room. While nothing waits, ``direct`` is offered what is new instead: it writes the bytes at once, or
    returns False where that would mean to wait.
    """

    def __init__(
        self,
        wanted: Filter,
        settings: WebSettings,
        *,
        first: list[Serialized],
        since: int,
        had: Mapping[str, int] | None = None,
        on_leave: Callable[[ListenerQueue], None],
        direct: Callable[[Batch], bool] | None = None,
        owner: str = HOUSE,
    ) -> None:
        """``since``: what the hub showed up to this place is in ``first``, or is not to come. ``owner``: who listens.

        ``had``: of gateways of which the listener has had more than this hub yet, the last event.
        """
        self.wanted = wanted
        self.owner = owner
        self.direct = direct
        self._settings = settings
        self._on_leave = on_leave
        self._first = deque(first)
        self._since = since
        self._ahead = dict(had or {})
        self._waiting: OrderedDict[int, Serialized] = OrderedDict()
        self._droppable: deque[int] = deque()
        self._ready = asyncio.Event()
        self._overdue: asyncio.TimerHandle | None = None
        self._last_seq = 0
        self.pending_bytes = 0
        self.delivered = 0
        self.dropped = 0
        self._closed = False
        self._end: HubError | None = None
        self._ended = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._disarm()
        self._closed = True
        self._on_leave(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Serialized:
        """The next event. Raises SlowConsumer, Evicted, and StopAsyncIteration after the hub's last event."""
        while not (self._first or self._waiting or self._closed):
            self._ready.clear()
            await self._ready.wait()
        if self._end is not None:
            raise self._end
        if not (self._first or self._waiting):
            raise StopAsyncIteration
        item = self._first.popleft() if self._first else self._take()
        self._last_seq = item.event.seq
        self.delivered += 1
        return item

    @property
    def pending(self) -> int:
        """Events waiting, beside those the listener resumed with."""
        return len(self._waiting)

    @property
    def too_slow(self) -> bool:
        """Whether the listener was given up on."""
        return isinstance(self._end, SlowConsumer)

    @property
    def evicted(self) -> bool:
        """Whether the listener had to make room."""
        return isinstance(self._end, Evicted)

    @property
    def seq(self) -> int:
        """The last event that the listener was given."""
        return self._last_seq

    async def overrun(self) -> NoReturn:
        """Wait until the listener is given up on, even while its socket is stuck. Raises SlowConsumer, Evicted."""
        await self._ended.wait()
        assert self._end is not None
        raise self._end

    def take(self, batch: Batch) -> None:
        """Events that this listener wants: into the wire if nothing is before them, else they wait."""
        if self._closed:
            return
        if batch.items[0].place <= self._since or self._ahead:
            self._take_later(batch.items)
        else:
            self._pass_on(batch)

    def _pass_on(self, batch: Batch) -> None:
        items = batch.items
        if not (self._first or self._waiting) and self.direct is not None and self.direct(batch):
            self.delivered += len(items)
            self._last_seq = items[-1].event.seq
        else:
            for item in items:
                self._add(item)

    def renew(self, snapshot: Serialized, since: int) -> None:
        """Begin anew: what waits is in the snapshot, as far as it counts still."""
        if self._closed:
            return
        self._disarm()
        self._waiting.clear()
        self._droppable.clear()
        self.pending_bytes = 0
        self._ahead.clear()
        self._first = deque((snapshot,))
        self._since = since
        self._ready.set()

    def close(self) -> None:
        """Take nothing more; what waits can still be read."""
        self._disarm()
        self._closed = True
        self._ready.set()

    def evict(self, reason: str) -> None:
        """Make room: what waits is thrown away."""
        self._give_up(Evicted(reason))

    def _take_later(self, items: tuple[Serialized, ...]) -> None:
        """The rest of a round that had begun before this listener came, without what it has had at another hub."""
        later = tuple(self._told(item) for item in items if item.place > self._since and self._is_news(item))
        if later:
            self._pass_on(Batch(later))

    def _is_news(self, item: Serialized) -> bool:
        event = item.event
        if self._ahead and isinstance(event, CursorEvent):  # its hub's, and not yet its own
            return False
        if event.seq <= self._ahead.get(event.epoch, 0):
            return False
        self._ahead.pop(event.epoch, None)
        return True

    def _told(self, item: Serialized) -> Serialized:
        """With the cursors of this listener, as long as they are not its hub's."""
        if not self._ahead:
            return item
        return item.beside(tuple((epoch, self._ahead.get(epoch, seq)) for epoch, seq in item.cursors))

    def _add(self, item: Serialized) -> None:
        if self._closed:
            return
        self._waiting[item.place] = item
        self.pending_bytes += item.size
        if item.event.droppable:
            self._droppable.append(item.place)
        while self._over(1) and self._droppable:
            self._drop(self._droppable.popleft())
        if self._over(OVERRUN_FACTOR):
            self._too_slow()
        elif self._over(1) and self._overdue is None:
            loop = asyncio.get_running_loop()
            self._overdue = loop.call_later(self._settings.slow_seconds, self._too_slow)
        self._ready.set()

    def _over(self, factor: int) -> bool:
        settings = self._settings
        return (
            len(self._waiting) > settings.outbox_messages * factor
            or self.pending_bytes > settings.outbox_bytes * factor
        )

    def _take(self) -> Serialized:
        _, item = self._waiting.popitem(last=False)
        self.pending_bytes -= item.size
        if item.event.droppable:
            self._droppable.popleft()
        if not self._over(1):
            self._disarm()
        return item

    def _drop(self, place: int) -> None:
        self.pending_bytes -= self._waiting.pop(place).size
        self.dropped += 1

    def _too_slow(self) -> None:
        log.warning(
            "listener too slow, closed",
            last_seq=self._last_seq,
            waiting=self.pending,
            waiting_bytes=self.pending_bytes,
            dropped=self.dropped,
        )
        self._give_up(SlowConsumer(self._last_seq))

    def _give_up(self, why: HubError) -> None:
        self._end = why
        self._ended.set()
        self._first.clear()
        self._waiting.clear()
        self._droppable.clear()
        self.pending_bytes = 0
        self.close()

    def _disarm(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
