"""What is published, on its way to a thousand listeners: serialized once, framed once, written many at a time.

Listeners that asked for the same share a group, whose wishes are looked at once (`groups.py`). A round takes everything
that was published since the last one to every listener; it pauses after each :data:`SLICE_SECONDS`, so that
devices never wait for browsers, and rests as long as it worked, so that listeners never have more than about
half of the event loop: the more there are, the more events travel together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from functools import cached_property
from typing import Protocol, TypeAlias

from msgspec import Struct

from gateway.contract.events import CursorEvent, ErasureEvent, HubEvent, SnapshotEvent
from gateway.contract.messages import encode
from gateway.hub.groups import Group, Groups
from gateway.hub.snapshot import Filter

Shown: TypeAlias = HubEvent | SnapshotEvent | CursorEvent | ErasureEvent
Cursors: TypeAlias = tuple[tuple[str, int], ...]
"""Epochs, and the last event of each."""

SLICE_SECONDS = 0.002
"""A round that works for so long lets the rest of the gateway go on first."""
LONGEST_REST_SECONDS = 0.02


class Serialized:
    """An event on its way to listeners, and its JSON, made once and shared by all.

    ``place`` counts what its hub shows, of whichever gateway. ``cursors``, where there are several: how far each is
    with this event.
    """

    __slots__ = ("__dict__", "cursors", "data", "event", "is_shown", "place", "size")

    def __init__(self, event: Shown, data: bytes = b"") -> None:
        """``data``: its JSON, where that was made elsewhere."""
        self.event = event
        self.data = data or encode(event)
        self.size = len(self.data)
        self.place = event.seq
        self.cursors: Cursors = ()
        self.is_shown = True
        """Whether anybody is to see it."""

    def beside(self, cursors: Cursors) -> Serialized:
        """The same, for somebody who is elsewhere with other gateways."""
        one = Serialized(self.event, self.data)
        one.place, one.cursors = self.place, cursors
        return one

    @cached_property
    def text(self) -> str:
        """The JSON as text."""
        return self.data.decode()

    @cached_property
    def frame(self) -> bytes:
        """The JSON as one WebSocket text frame of a server (RFC 6455, 5.2)."""
        if self.size < 126:
            return bytes((0x81, self.size)) + self.data
        if self.size < 65536:
            return b"\x81\x7e" + self.size.to_bytes(2, "big") + self.data
        return b"\x81\x7f" + self.size.to_bytes(8, "big") + self.data

    @cached_property
    def block(self) -> bytes:
        """The JSON as one block of an event stream (server-sent events)."""
        event = self.event
        cursors = self.cursors or ((event.epoch, event.seq),)
        id_line = "id: " + ",".join([f"{epoch}:{seq}" for epoch, seq in cursors])
        if isinstance(event, CursorEvent):  # nothing but the id: no page hears of it
            return f"{id_line}\n\n".encode()
        tag = event.__struct_config__.tag
        return f"{id_line}\nevent: {tag}\ndata: ".encode() + self.data + b"\n\n"


class Batch:
    """Events that a group of listeners gets together, in order; their bytes are put together once for all."""

    __slots__ = ("__dict__", "items")

    def __init__(self, items: tuple[Serialized, ...]) -> None:
        self.items = items

    @cached_property
    def frames(self) -> bytes:
        """As WebSocket frames."""
        return b"".join([item.frame for item in self.items])

    @cached_property
    def chunk(self) -> bytes:
        """As blocks of an event stream, in one chunk of HTTP/1.1's chunked coding."""
        blocks = b"".join([item.block for item in self.items])
        return b"%x\r\n%b\r\n" % (len(blocks), blocks)


class Lane(Protocol):
    """One listener's place in the fan-out."""

    def take(self, batch: Batch) -> None:
        """Events it wants, without waiting."""


class FanoutStats(Struct, frozen=True):
    """``rounds`` so far, and the seconds of a core that they took."""

    rounds: int
    seconds: float


class Fanout:
    """The lanes by what they want. Everything runs on one event loop."""

    def __init__(self, on_failed: Callable[[Lane, Exception], None]) -> None:
        """``on_failed``: a lane could not take what it wants, and is given up."""
        self._on_failed = on_failed
        self._groups: Groups[Lane] = Groups()
        self._fresh: list[Serialized] = []
        self._round: Iterator[None] | None = None
        self._worked = 0.0
        self._rest_until = 0.0
        self._handle: asyncio.Handle | None = None
        self._rounds = 0
        self._seconds = 0.0

    def join(self, wanted: Filter, lane: Lane) -> None:
        """From the next round on, ``lane`` takes what is ``wanted``."""
        self._groups.join(wanted, lane)

    def leave(self, wanted: Filter, lane: Lane) -> None:
        """It takes nothing more. Idempotent."""
        self._groups.leave(wanted, lane)

    def wants(self, event: HubEvent) -> bool:
        """Whether any lane would take ``event``."""
        return self._groups.wants(event)

    def wanted(self) -> list[Filter]:
        """What is wanted, each once."""
        return self._groups.wanted()

    def put(self, item: Serialized) -> None:
        """Take it to everybody soon."""
        if not self._groups:
            return
        self._fresh.append(item)
        if self._handle is None:
            loop = asyncio.get_running_loop()
            resting = self._rest_until - loop.time()
            context = Context()  # the round is everybody's: nobody's ids are on it
            self._handle = (
                loop.call_soon(self._go, context=context)
                if resting <= 0
                else loop.call_later(resting, self._go, context=context)
            )

    def flush(self) -> None:
        """Take everything to everybody now."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        while self._round is not None or self._fresh:
            for _ in self._round or self._deliveries():
                pass
            self._round = None

    def stats(self) -> FanoutStats:
        """The counters as they are now."""
        return FanoutStats(self._rounds, self._seconds)

    def _go(self) -> None:
        """A slice of a round."""
        began, worked = time.perf_counter(), time.thread_time()
        loop = asyncio.get_running_loop()
        if self._round is None:
            self._round, self._worked = self._deliveries(), 0.0
            self._rounds += 1
        for _ in self._round:
            if time.perf_counter() - began > SLICE_SECONDS:
                self._work(time.thread_time() - worked)
                self._handle = loop.call_soon(self._go)  # in the context of this slice
                return
        self._work(time.thread_time() - worked)
        self._round, self._handle = None, None
        rest = min(self._worked, LONGEST_REST_SECONDS)
        self._rest_until = loop.time() + rest
        if self._fresh:
            self._handle = loop.call_later(rest, self._go)

    def _work(self, seconds: float) -> None:
        self._worked += seconds
        self._seconds += seconds

    def _deliveries(self) -> Iterator[None]:
        """One round; pauses after each event that is looked at, and after each lane."""
        items, self._fresh = self._fresh, []
        taken: dict[Group[Lane], list[Serialized]] = {}
        for item in items:
            for group in self._groups.wanting(item.event):
                taken.setdefault(group, []).append(item)
            yield
        for group, theirs in taken.items():
            batch = Batch(tuple(theirs))
            for lane in list(group.lanes):
                try:
                    lane.take(batch)
                except Exception as error:  # noqa: BLE001 - the boundary: between this listener and the others
                    self.leave(group.wanted, lane)
                    self._on_failed(lane, error)
                yield
