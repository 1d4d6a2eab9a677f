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

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from msgspec import Struct, structs

from firmware_bridge.shares import gives_way
from gateway.access.principals import LOCAL, Principal
from gateway.contract.events import CursorEvent, ErasureEvent, HealthEvent, HubEvent, SnapshotEvent, Subscribe
from gateway.contract.messages import new_id
from gateway.contract.redaction import redacted
from gateway.hub.fanout import Batch, Fanout, Lane, Serialized, Shown
from gateway.hub.history import EventHistory
from gateway.hub.listener_queue import OVERRUN_FACTOR, Evicted, HubError, ListenerQueue, SlowConsumer
from gateway.hub.snapshot import EVERYTHING, Filter, Picture
from gateway.observing.metrics.waits import Waits
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


class Housemates(Protocol):
    """The other gateways and hubs of the house, as a hub sees them that is not alone."""

    @property
    def name(self) -> str:
        """What this one is called among them."""

    def published(self, item: Serialized) -> None:
        """Something was published here, and is to be shown there."""

    def wants(self, event: HubEvent) -> bool:
        """Whether anybody there is shown ``event``, which nobody has to see."""

    def is_so(self, event: HubEvent) -> bool:
        """Whether it is to be shown here: a device that has moved on is not away."""

    def resumed(self, news: list[Serialized], had: Mapping[str, int], wanted: Filter) -> list[Serialized]:
        """``news`` for a listener that ``had`` so much, perhaps at another hub."""

    async def catch_up(self, subscribe: Subscribe) -> None:
        """Wait until this hub knows what it can know for this listener, or does not find out."""


def nobody_asks(_event: HubEvent) -> None:
    """Who is told of events at once where nobody wants to be."""


class Hub:
    """The one place where events become visible. ``epoch`` names this run, so that a cursor of another is known."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        redact: bool = False,
        mishaps: Mishaps | None = None,
        epoch: str = "",
    ) -> None:
        """``redact``: nobody is shown words, only that there were some."""
        self.settings = settings
        self.epoch = epoch or new_id("e")
        self.house: Housemates | None = None
        """None: there is no other gateway."""
        self.waits = Waits()
        self.on_publish: Callable[[HubEvent], None] = nobody_asks
        """Told of each event of this gateway at once, in the context of who publishes it."""
        """How long people waited, by what was published here."""
        self.on_forget: list[Callable[[], None]] = []
        """To be told when something is shown to nobody any more: by whoever keeps what it was shown."""
        self._mishaps = Mishaps() if mishaps is None else mishaps
        self.fanout = Fanout(self._lane_failed)
        self._redact = redact
        self._seq = 0
        self._place = 0
        self._picture = Picture()
        self.history = EventHistory(self.epoch, settings.history_events)
        self._queues: dict[ListenerQueue, None] = {}  # in the order they came
        self._gone = HubStats(
            listeners=0, published=0, delivered=0, dropped=0, slow_consumers=0, refused=0, evicted=0
        )
        self._closed = False

    def reconfigure(self, settings: WebSettings) -> None:
        """From now on; who is attached keeps the bounds under which they came."""
        self.settings = settings
        self.history.keep(settings.history_events)

    def is_wanted(self, event: HubEvent) -> bool:
        """Whether any listener would get ``event``, for what is costly to find out."""
        if self._redact and redacted(event) is None:
            return False
        return self.fanout.wants(event) or (self.house is not None and self.house.wants(event))

    async def catch_up(self, subscribe: Subscribe) -> None:
        """To be awaited before ``attach``: a hub that has only just begun may not know yet what was missed."""
        if self.house is not None:
            await self.house.catch_up(subscribe)

    def publish(self, event: HubEvent) -> None:
        """Show ``event`` to every listener that wants it, now or when it has time. Never waits, and never raises."""
        with self._mishaps.contained("an event for listeners", kind=type(event).__name__):
            self._publish(event)
            self.waits.note(event)
            self.on_publish(event)

    def _publish(self, event: HubEvent) -> None:
        seen = self.seen(event)
        if seen is None:
            return
        event = seen
        if self.house is not None and isinstance(event, HealthEvent):
            event = structs.replace(event, gateway=self.house.name)
        event = structs.replace(event, epoch=self.epoch, seq=self._seq + 1)
        item = Serialized(event)  # first: what cannot be written is shown to nobody, also later
        self._seq += 1
        self._show(item)
        if self.house is not None:
            self.house.published(item)

    def show(self, item: Serialized) -> None:
        """What another gateway has published, newer than all of it before; or what is said of that gateway here."""
        with self._mishaps.contained("an event of another gateway", kind=type(item.event).__name__):
            self._show(item)

    def _show(self, item: Serialized, *, quietly: bool = False) -> None:
        event = item.event
        if isinstance(event, ErasureEvent):
            self.forget(partial(_is_of, event.user_id, event.correlation_id))
            self._take(item)
            return
        assert not isinstance(event, SnapshotEvent | CursorEvent)
        item.is_shown = self.house is None or self.house.is_so(event)
        self._take(item)
        if item.is_shown:
            self._picture.apply(event)
            if not quietly:
                self.fanout.put(item)

    def _take(self, item: Serialized) -> None:
        """It has its place in what this hub has to show."""
        self._place += 1
        item.place = self._place
        if isinstance(item.event, ErasureEvent):
            item.is_shown = False
        if not isinstance(item.event, CursorEvent):
            self.history.note(item)
        if self.house is not None:
            item.cursors = tuple(self.history.cursors.items())

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
        had = self._had(subscribe)
        missed = None if had is None else self._missed(had, wanted)
        queue = ListenerQueue(
            wanted,
            self.settings,
            first=[self._snapshot(wanted)] if missed is None else missed,
            since=self._place,
            had=self._ahead(had) if had and missed is not None else None,
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

    def forget(self, is_gone: Callable[[Shown], bool]) -> None:
        """Show these to nobody any more who resumes, or comes later. Who has them has them."""
        self.history.forget(is_gone)
        self._picture.forget(is_gone)
        for tell in self.on_forget:
            with self._mishaps.contained("who is to forget"):
                tell()

    def erase(self, *, user_id: str = "", correlation_id: str = "") -> None:
        """Forget what this user said, or what goes by this id; so do all hubs of the house."""
        self.forget(partial(_is_of, user_id, correlation_id))
        if self.house is None:
            return
        self._seq += 1
        item = Serialized(
            ErasureEvent(epoch=self.epoch, seq=self._seq, user_id=user_id, correlation_id=correlation_id)
        )
        self._take(item)
        self.house.published(item)

    def renew(self) -> None:
        """Everybody begins anew with a snapshot: nobody can tell what they have missed."""
        self.fanout.flush()
        for queue in self._queues:
            with self._mishaps.contained("a new snapshot for a listener"):
                queue.renew(self._snapshot(queue.wanted), self._place)

    def recall(self, item: Serialized) -> None:
        """What another gateway has shown while this hub was not there: it counts as shown."""
        with self._mishaps.contained("an event of another gateway", kind=type(item.event).__name__):
            self._show(item, quietly=True)

    def stands(self, event: HubEvent | ErasureEvent) -> None:
        """So it is with what another gateway showed long ago."""
        if isinstance(event, ErasureEvent) or (seen := self.seen(event)) is None:
            return
        if self.house is None or self.house.is_so(seen):
            self._picture.apply(seen)

    def seen(self, event: HubEvent) -> HubEvent | None:
        """What anybody is shown of it here; None: nothing."""
        return redacted(event) if self._redact and not getattr(event, "redacted", False) else event

    def standing(self, wanted: Filter = EVERYTHING) -> SnapshotEvent:
        """How things are, of whichever gateway."""
        return self._picture.snapshot(wanted, self.epoch, self._seq)

    def is_watched(self) -> tuple[bool, bool]:
        """Whether anybody is shown partials, and whether anybody is shown levels."""
        wanted = self.fanout.wanted()
        return any(one.wants_partials for one in wanted), any(one.wants_levels for one in wanted)

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._queues)

    def tell_cursors(self) -> None:
        """How far they are is told to those who keep it, also of what is not for them."""
        event = CursorEvent(epoch=self.epoch, seq=self._seq, cursors=dict(self.history.cursors))
        self._take(item := Serialized(event))
        self.fanout.put(item)

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

    def _missed(self, had: Mapping[str, int], wanted: Filter) -> list[Serialized] | None:
        """What a listener has not had; None: it has to begin anew."""
        missed = self.history.missed(had)
        if missed is None:
            return None
        news = [item for item in missed if wanted(item.event)]
        return news if self.house is None else self.house.resumed(news, had, wanted)

    def _ahead(self, had: Mapping[str, int]) -> dict[str, int]:
        """What it has had, and this hub has not."""
        return {epoch: seq for epoch, seq in had.items() if seq > self.history.cursors.get(epoch, seq)}

    def _had(self, subscribe: Subscribe) -> Mapping[str, int] | None:
        """How far it is with each gateway; None: nobody can tell."""
        if subscribe.cursors:
            return subscribe.cursors
        if subscribe.epoch == self.epoch and len(self.history.cursors) == 1:
            return {subscribe.epoch: subscribe.seq}
        return None

    def _snapshot(self, wanted: Filter) -> Serialized:
        cursors = dict(self.history.cursors) if self.house is not None else {}
        item = Serialized(self._picture.snapshot(wanted, self.epoch, self._seq, cursors))
        item.cursors = tuple(cursors.items())
        return item


def _is_of(user_id: str, correlation_id: str, event: Shown) -> bool:
    """Whether it has words of this user, or goes by this id."""
    if correlation_id and getattr(event, "correlation_id", None) == correlation_id:
        return True
    return bool(user_id) and getattr(event, "user_id", None) == user_id and hasattr(event, "text")


def _with(stats: HubStats, queue: ListenerQueue) -> HubStats:
    """The counters, with those of one more listener."""
    return structs.replace(
        stats,
        delivered=stats.delivered + queue.delivered,
        dropped=stats.dropped + queue.dropped,
        slow_consumers=stats.slow_consumers + queue.too_slow,
        evicted=stats.evicted + queue.evicted,
    )
