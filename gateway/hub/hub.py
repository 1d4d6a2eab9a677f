"""Fan-out: every event of the gateway to every listener that wants it.

:meth:`Hub.publish` numbers an event, serializes it once and hands it to every listener's bounded
:class:`ListenerQueue`, or through the :class:`Fanout` straight onto the wires that are free; it never waits. A
listener that reads too slowly loses partials and levels first, keeps transcripts and replies, and is closed
as a slow consumer when it stays behind. The transports (``gateway/web/listeners/sockets.py``, ``event_stream.py``)
read queues; nothing here knows about sockets.

Everything runs on one event loop.

::

    HubError
      HubFull          no room for another listener
      SlowConsumer     this listener stayed behind for too long; it may resume after ``seq``
      Evicted          this listener had to make room for another; it may resume, too
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from msgspec import Struct, structs

from firmware_bridge.shares import gives_way
from gateway.access.principals import LOCAL, Principal
from gateway.contract.events import HubEvent, SnapshotEvent, Subscribe
from gateway.contract.messages import new_id
from gateway.contract.redaction import redacted
from gateway.hub.fanout import Batch, Fanout, Lane, Serialized
from gateway.hub.listener_queue import OVERRUN_FACTOR, Evicted, HubError, ListenerQueue, SlowConsumer
from gateway.hub.snapshot import Filter, Picture
from gateway.process.mishaps import Mishaps
from gateway.settings.web import WebSettings

__all__ = [
    "OVERRUN_FACTOR",
    "Evicted",
    "Hub",
    "HubError",
    "HubFull",
    "HubStats",
    "ListenerQueue",
    "SlowConsumer",
]

HISTORY_BYTES = 8 * 1024 * 1024
"""Of the events that are kept for who resumes, beside ``web.history_events``; the oldest are forgotten first."""
_EVERYTHING = Subscribe()


class HubFull(HubError):
    """``max_listeners`` are attached."""


class HubStats(Struct, frozen=True):
    """Counters since the start, and how many are listening now."""

    listeners: int
    published: int
    delivered: int
    dropped: int
    slow_consumers: int
    refused: int
    evicted: int


class Hub:
    """The one place where events become visible. ``epoch`` names this run, so that a cursor of another is known."""

    def __init__(
        self, settings: WebSettings, *, redact: bool = False, mishaps: Mishaps | None = None
    ) -> None:
        """``redact``: nobody is shown words, only that there were some."""
        self.settings = settings
        self.epoch = new_id("e")
        self.on_forget: list[Callable[[], None]] = []
        """To be told when something is shown to nobody any more: by whoever keeps what it was shown."""
        self._mishaps = Mishaps() if mishaps is None else mishaps
        self.fanout = Fanout(self._lane_failed)
        self._redact = redact
        self._seq = 0
        self._picture = Picture()
        self._history: deque[Serialized] = deque()
        self._history_bytes = 0
        self._forgotten = 0
        self._queues: dict[ListenerQueue, None] = {}  # in the order they came
        self._gone = HubStats(
            listeners=0, published=0, delivered=0, dropped=0, slow_consumers=0, refused=0, evicted=0
        )
        self._closed = False

    def is_wanted(self, event: HubEvent) -> bool:
        """Whether any listener would get ``event``, for what is costly to find out."""
        if self._redact and redacted(event) is None:
            return False
        return self.fanout.wants(event)

    def publish(self, event: HubEvent) -> None:
        """Show ``event`` to every listener that wants it, now or when it has time. Never waits, and never raises."""
        with self._mishaps.contained("an event for listeners", kind=type(event).__name__):
            self._publish(event)

    def _publish(self, event: HubEvent) -> None:
        if self._redact:
            seen = redacted(event)
            if seen is None:
                return
            event = seen
        event = structs.replace(event, epoch=self.epoch, seq=self._seq + 1)
        item = Serialized(event)  # first: what cannot be written is shown to nobody, also later
        self._seq += 1
        self._picture.apply(event)
        if not event.droppable:
            self._remember(item)
        self.fanout.put(item)

    def attach(
        self,
        subscribe: Subscribe = _EVERYTHING,
        principal: Principal = LOCAL,
        direct: Callable[[Batch], bool] | None = None,
    ) -> ListenerQueue:
        """A new listener, to be used as ``with hub.attach(...) as queue``. Raises HubFull.

        It gets nothing that ``principal`` may not see, whatever it asks for. It starts with the events after
        the subscription's cursor, each exactly once, when all of them are still in the history; else with a
        snapshot. ``direct``: a way that needs no waiting (see :class:`ListenerQueue`).
        """
        if len(self._queues) >= self.settings.max_listeners:
            self._make_room(principal)
        wanted = Filter(subscribe, principal)
        queue = ListenerQueue(
            wanted,
            self.settings,
            first=self._missed(subscribe, wanted),
            since=self._seq,
            on_leave=self.detach,
            direct=direct,
            owner=principal.owner,
        )
        self._queues[queue] = None
        if self._closed:
            queue.close()
        else:
            self.fanout.join(wanted, queue)
        return queue

    def detach(self, queue: ListenerQueue) -> None:
        """Forget a listener. Idempotent; the end of ``with queue`` does it."""
        if queue in self._queues:
            del self._queues[queue]
            self.fanout.leave(queue.wanted, queue)
            self._gone = _with(self._gone, queue)

    def forget(self, is_gone: Callable[[HubEvent | SnapshotEvent], bool]) -> None:
        """Show these to nobody any more who resumes, or comes later. Who has them has them."""
        self._history = deque(item for item in self._history if not is_gone(item.event))
        self._history_bytes = sum(item.size for item in self._history)
        self._picture.forget(is_gone)
        for tell in self.on_forget:
            with self._mishaps.contained("who is to forget"):
                tell()

    def stats(self) -> HubStats:
        """The counters as they are now."""
        stats = self._gone
        for queue in self._queues:
            stats = _with(stats, queue)
        return structs.replace(stats, listeners=len(self._queues), published=self._seq)

    def close(self) -> None:
        """End every listener once it has read what waits for it. Idempotent."""
        with self._mishaps.contained("the last events for listeners"):
            self.fanout.flush()
        self._closed = True
        for queue in self._queues:
            queue.close()

    def _lane_failed(self, lane: Lane, error: Exception) -> None:
        """Its listener may come again, and resume."""
        self._mishaps.note("a listener", error)
        with self._mishaps.contained("a listener"):
            if isinstance(lane, ListenerQueue):
                lane.evict("something went wrong inside the gateway")
                self.detach(lane)

    def _make_room(self, principal: Principal) -> None:
        """At the cost of whoever has more listeners, else as ``web.listener_policy`` says. Raises HubFull."""
        most = self.settings.max_listeners
        owner = gives_way(Counter(queue.owner for queue in self._queues), principal.owner)
        if owner is None and self.settings.listener_policy == "refuse_new":
            self._gone = structs.replace(self._gone, refused=self._gone.refused + 1)
            raise HubFull(f"{most} listeners are connected already (web.max_listeners)")
        self.fanout.flush()
        theirs = [queue for queue in self._queues if queue.owner == (owner or principal.owner)]
        behind = max(theirs or self._queues, key=lambda queue: queue.pending_bytes)  # the first came first
        behind.evict(f"made room for another: there are {most} listeners")
        self.detach(behind)

    def _remember(self, item: Serialized) -> None:
        self._history.append(item)
        self._history_bytes += item.size
        while len(self._history) > self.settings.history_events or self._history_bytes > HISTORY_BYTES:
            oldest = self._history.popleft()
            self._history_bytes -= oldest.size
            self._forgotten = oldest.event.seq

    def _missed(self, subscribe: Subscribe, wanted: Filter) -> list[Serialized]:
        if subscribe.epoch == self.epoch and self._forgotten <= subscribe.seq <= self._seq:
            return [item for item in self._history if item.event.seq > subscribe.seq and wanted(item.event)]
        return [Serialized(self._picture.snapshot(wanted, self.epoch, self._seq))]


def _with(stats: HubStats, queue: ListenerQueue) -> HubStats:
    """The counters, with those of one more listener."""
    return structs.replace(
        stats,
        delivered=stats.delivered + queue.delivered,
        dropped=stats.dropped + queue.dropped,
        slow_consumers=stats.slow_consumers + queue.too_slow,
        evicted=stats.evicted + queue.evicted,
    )
