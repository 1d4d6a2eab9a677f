"""Listeners that come, go, fall behind and come back, in any order: each is shown everything once, and in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.events import HubEvent, SnapshotEvent, Subscribe
from gateway.hub.fanout import Batch
from gateway.hub.hub import Hub, ListenerQueue
from gateway.settings.web import WebSettings
from tests.gateway.events import device, partial, reply, status

ROOMY = WebSettings(outbox_messages=1000, outbox_bytes=1024 * 1024, history_events=1000, slow_seconds=60)
FORGETFUL = WebSettings(outbox_messages=1000, outbox_bytes=1024 * 1024, history_events=5, slow_seconds=60)
WISHES = [
    Subscribe(),
    Subscribe(devices=("kitchen",)),
    Subscribe(kinds=("reply", "status")),
    Subscribe(devices=("hall",), kinds=("status",)),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["publish"] * 6 + ["flush", "turn", "come", "come", "go", "read", "read", "busy", "free"]
        ),
        st.integers(0, 11),
    ),
    max_size=80,
)


@dataclass(eq=False)
class Guest:
    """One listener over all its visits: what it was shown, and where it goes on."""

    wish: Subscribe
    epoch: str = ""
    seq: int = 0
    shown: list[int] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)
    outbox: ListenerQueue | None = None
    free: bool = False

    async def do(self, step: str, number: int, hub: Hub) -> None:
        if step in ("busy", "free"):
            self.free = step == "free"
        elif step == "come" and self.outbox is None:
            self.come(hub)
        elif step == "read" and self.outbox is not None:
            await self.read(number)
        elif step == "go" and self.outbox is not None:
            self.go()

    def come(self, hub: Hub) -> None:
        subscribe = Subscribe(
            kinds=self.wish.kinds, devices=self.wish.devices, epoch=self.epoch, seq=self.seq
        )
        self.outbox = hub.attach(subscribe, direct=self.write)

    def write(self, batch: Batch) -> bool:
        """Straight onto the wire, when that is free."""
        if self.free:
            for item in batch.items:
                self.note(item.event)
        return self.free

    def note(self, event: HubEvent | SnapshotEvent) -> None:
        self.epoch, self.seq = event.epoch, event.seq
        (self.snapshots if isinstance(event, SnapshotEvent) else self.shown).append(event.seq)

    async def read(self, most: int) -> None:
        assert self.outbox is not None
        for _ in range(most):
            if not (self.outbox._first or self.outbox._waiting):
                return
            self.note((await anext(self.outbox)).event)

    def go(self) -> None:
        assert self.outbox is not None
        self.outbox.__exit__(None, None, None)
        self.outbox = None


def event(number: int) -> HubEvent:
    name = ["kitchen", "hall"][number % 2]
    return [device(name), status(device=name), reply(f"answer {number}"), partial(number=number)][number % 4]


async def lived(
    steps: list[tuple[str, int]], settings: WebSettings
) -> tuple[list[Guest], dict[int, HubEvent], Hub]:
    hub, events = Hub(settings), dict[int, HubEvent]()
    guests = [Guest(wish) for wish in WISHES for _ in range(2)]
    for step, number in steps:
        guest = guests[number % len(guests)]
        if step == "publish":
            hub.publish(event(number))
            events[len(events) + 1] = event(number)
        elif step == "flush":
            hub.fanout.flush()
        elif step == "turn":
            await asyncio.sleep(0)
        else:
            await guest.do(step, number, hub)
    hub.fanout.flush()
    for guest in guests:
        if guest.outbox is None:
            guest.come(hub)
        await guest.read(1000)
    return guests, events, hub


def wanted(guest: Guest, event: HubEvent) -> bool:
    """As docs/events.md says it, once more and on its own."""
    kind = event.__struct_config__.tag
    devices = guest.wish.devices
    return (not guest.wish.kinds or kind in guest.wish.kinds) and (
        not devices or getattr(event, "device_id", None) in devices
    )


@given(STEPS)
async def test_with_its_cursor_nobody_misses_anything_nor_sees_it_twice(steps: list[tuple[str, int]]) -> None:
    guests, events, hub = await lived(steps, ROOMY)
    for guest in guests:
        assert guest.shown == sorted(set(guest.shown)), "once each, and in order"
        assert len(guest.snapshots) == 1, "at the very first"
        since = guest.snapshots[0]
        owed = {
            seq
            for seq, event in events.items()
            if seq > since and wanted(guest, event) and not event.droppable
        }
        assert owed <= set(guest.shown)
        assert all(wanted(guest, events[seq]) for seq in guest.shown)
    assert hub.stats().listeners == len(guests)
    assert hub.stats().slow_consumers == 0


@given(STEPS)
async def test_what_can_no_longer_be_told_begins_with_a_snapshot(steps: list[tuple[str, int]]) -> None:
    guests, events, _ = await lived(steps, FORGETFUL)
    for guest in guests:
        told = sorted([*guest.shown, *guest.snapshots])
        assert guest.shown == sorted(set(guest.shown))
        assert guest.snapshots == sorted(guest.snapshots)
        since = guest.snapshots[-1]
        owed = {
            seq
            for seq, event in events.items()
            if seq > since and wanted(guest, event) and not event.droppable
        }
        assert owed <= set(guest.shown), "from the last snapshot on nothing is missing"
        assert told[-1] <= len(events)


@given(STEPS)
async def test_everything_that_was_delivered_is_counted_also_of_those_who_left(
    steps: list[tuple[str, int]],
) -> None:
    guests, events, hub = await lived(steps, ROOMY)
    seen = sum(len(guest.shown) + len(guest.snapshots) for guest in guests)
    assert hub.stats().delivered == seen
    assert hub.stats().published == len(events)
    for guest in guests:
        guest.go()
    assert hub.stats().delivered == seen
    assert hub.stats().listeners == 0
