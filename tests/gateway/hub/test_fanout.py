"""The fan-out: together what was published together, straight onto wires that are free, never for long at a time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.contract.events import HubEvent, ReplyEvent, SnapshotEvent, Subscribe, decode_event
from gateway.hub import fanout
from gateway.hub.fanout import Batch, Serialized
from gateway.hub.hub import Evicted, Hub, ListenerQueue
from gateway.hub.snapshot import Filter
from gateway.settings.web import WebSettings
from tests.gateway.events import partial, reply, status
from tests.record import passes


class Wire:
    """Takes batches while it is free."""

    def __init__(self) -> None:
        self.free = True
        self.batches: list[Batch] = []

    def __call__(self, batch: Batch) -> bool:
        if self.free:
            self.batches.append(batch)
        return self.free

    @property
    def texts(self) -> list[list[str]]:
        return [[getattr(item.event, "text", "") for item in batch.items] for batch in self.batches]


async def live(hub: Hub, wire: Wire, subscribe: Subscribe | None = None) -> ListenerQueue:
    """A listener whose snapshot has been read."""
    outbox = hub.attach(subscribe or Subscribe(), direct=wire)
    assert isinstance((await anext(outbox)).event, SnapshotEvent)
    return outbox


async def test_what_is_published_together_travels_together() -> None:
    hub, wire, other = Hub(WebSettings()), Wire(), Wire()
    await live(hub, wire)
    await live(hub, other)
    for number in range(3):
        hub.publish(reply(f"reply {number}"))
    assert wire.batches == []  # first whatever else there is to do
    await passes(lambda: bool(wire.batches))
    assert wire.texts == [["reply 0", "reply 1", "reply 2"]]
    assert wire.batches[0] is other.batches[0]  # put together once for both
    assert hub.stats().delivered == 2 + 6


async def test_a_wire_that_is_not_free_gets_it_later_and_in_order() -> None:
    hub, wire = Hub(WebSettings()), Wire()
    outbox = await live(hub, wire)
    wire.free = False
    hub.publish(reply("one"))
    hub.fanout.flush()
    wire.free = True
    hub.publish(reply("two"))  # not before what waits
    hub.fanout.flush()
    assert [(await anext(outbox)).event.seq for _ in range(2)] == [1, 2]
    hub.publish(reply("three"))
    hub.fanout.flush()
    assert wire.texts == [["three"]]
    assert outbox.seq == 3


async def test_before_the_snapshot_is_read_nothing_passes_it() -> None:
    hub, wire = Hub(WebSettings()), Wire()
    outbox = hub.attach(direct=wire)
    hub.publish(reply("new"))
    hub.fanout.flush()
    assert wire.batches == []
    assert isinstance((await anext(outbox)).event, SnapshotEvent)
    assert isinstance((await anext(outbox)).event, ReplyEvent)


async def test_who_comes_in_between_gets_nothing_twice() -> None:
    """The event is published, not yet on its way, and in the newcomer's snapshot."""
    hub, wire = Hub(WebSettings()), Wire()
    await live(hub, wire)
    hub.publish(reply("before"))
    late = Wire()
    outbox = hub.attach(direct=late)
    hub.publish(reply("after", 2))
    snapshot = (await anext(outbox)).event
    assert isinstance(snapshot, SnapshotEvent)
    assert [getattr(event, "text", "") for event in snapshot.conversation] == ["before"]
    hub.fanout.flush()
    assert late.texts == [["after"]]
    assert wire.texts == [["before", "after"]]


async def test_groups_get_what_they_asked_for() -> None:
    hub = Hub(WebSettings())
    wires = {kind: Wire() for kind in ("reply", "status", "health")}
    for kind, wire in wires.items():
        await live(hub, wire, Subscribe(kinds=(kind,)))
    hub.publish(reply("a"))
    hub.publish(status())
    hub.fanout.flush()
    assert {kind: len(wire.batches) for kind, wire in wires.items()} == {"reply": 1, "status": 1, "health": 0}


def test_those_who_want_the_same_are_equal() -> None:
    one, same = Filter(Subscribe(kinds=("reply",))), Filter(Subscribe(kinds=("reply",), epoch="e", seq=3))
    assert one == same
    assert hash(one) == hash(same)
    assert one != Filter(Subscribe(kinds=("status",)))
    assert one != Filter(Subscribe(kinds=("reply",), devices=("kitchen",)))
    assert one != "reply"


async def test_a_long_round_lets_others_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "SLICE_SECONDS", 0.0)
    hub = Hub(WebSettings())
    wires = [Wire() for _ in range(20)]
    for wire in wires:
        await live(hub, wire)
    hub.publish(reply())
    turns = 0
    while not wires[-1].batches:
        turns += 1
        await asyncio.sleep(0)  # a turn of the loop for everybody else
    assert turns >= len(wires)
    assert all(len(wire.batches) == 1 for wire in wires)


async def test_who_leaves_in_the_middle_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "SLICE_SECONDS", 0.0)
    hub = Hub(WebSettings())
    wires = [Wire() for _ in range(4)]
    outboxes = [await live(hub, wire) for wire in wires]
    hub.publish(reply())
    while not wires[0].batches:  # noqa: ASYNC110 - turns of the loop are what is looked at
        await asyncio.sleep(0)
    with outboxes[-1]:
        pass
    hub.publish(reply("next"))
    await passes(lambda: len(wires[2].batches) == 2)
    assert wires[-1].batches == []
    assert hub.stats().listeners == 3


async def test_after_work_comes_rest_and_what_came_meanwhile_goes_together() -> None:
    hub, wire = Hub(WebSettings()), Wire()
    await live(hub, wire)
    hub.publish(reply("first"))
    await passes(lambda: bool(wire.batches))
    hub.fanout._rest_until = asyncio.get_running_loop().time() + 0.05  # as after a long round
    for number in range(5):
        hub.publish(reply(f"reply {number}"))
        await asyncio.sleep(0)
    assert len(wire.batches) == 1
    await passes(lambda: len(wire.batches) == 2)
    assert wire.texts[1] == [f"reply {number}" for number in range(5)]


async def test_closing_takes_everything_along() -> None:
    hub, wire = Hub(WebSettings()), Wire()
    await live(hub, wire)
    hub.publish(reply("last words"))
    hub.close()
    assert wire.texts == [["last words"]]


@pytest.mark.parametrize("size", [0, 10, 125, 126, 127, 1_000, 65_000, 65_535, 65_536, 70_000])
def test_a_frame_is_a_websocket_frame(size: int) -> None:
    """RFC 6455, 5.2: final, text, not masked, the shortest length that holds it."""
    event = reply("x")
    event = reply("x" * max(1, size - len(Serialized(event).data) + 1))
    item = Serialized(event)
    frame = item.frame
    assert frame[0] == 0x81
    if item.size < 126:
        length, at = frame[1], 2
    elif item.size < 65_536:
        assert frame[1] == 126
        length, at = int.from_bytes(frame[2:4], "big"), 4
    else:
        assert frame[1] == 127
        length, at = int.from_bytes(frame[2:10], "big"), 10
    assert length == item.size == len(frame) - at
    assert decode_event(frame[at:]) == event


def test_a_block_is_an_event_of_a_stream() -> None:
    hub_events: list[HubEvent] = [reply("zwei\nZeilen"), partial("<b>")]
    batch = Batch(tuple(map(Serialized, hub_events)))
    size, _, blocks = batch.chunk.partition(b"\r\n")
    assert blocks.endswith(b"\r\n")
    assert int(size, 16) == len(blocks) - 2
    first, second, rest = blocks.removesuffix(b"\r\n").split(b"\n\n")
    assert rest == b""
    for block, event, kind in ((first, hub_events[0], b"reply"), (second, hub_events[1], b"partial")):
        number, tag, data = block.split(b"\n")
        assert number == b"id: :0"
        assert tag == b"event: " + kind
        assert decode_event(data.removeprefix(b"data: ")) == event


class TestPolicy:
    """One listener too many: who goes?"""

    async def test_the_one_furthest_behind_makes_room(self) -> None:
        hub = Hub(WebSettings(max_listeners=2, listener_policy="replace_slowest"))
        quick, slow = Wire(), Wire()
        await live(hub, quick)
        behind = await live(hub, slow)
        slow.free = False
        hub.publish(reply())
        newcomer = hub.attach()
        assert (hub.stats().listeners, hub.stats().evicted, hub.stats().refused) == (2, 1, 0)
        with pytest.raises(Evicted, match="made room"):
            await anext(behind)
        assert isinstance((await anext(newcomer)).event, SnapshotEvent)
        hub.publish(reply())
        hub.fanout.flush()
        assert len(quick.batches) == 2

    async def test_where_none_is_behind_it_is_the_first_who_came(self) -> None:
        hub = Hub(WebSettings(max_listeners=2, listener_policy="replace_slowest"))
        first, second = await live(hub, Wire()), await live(hub, Wire())
        hub.attach()
        assert (first.evicted, second.evicted) == (True, False)
        with first:  # its socket notices later
            pass
        assert (hub.stats().listeners, hub.stats().evicted) == (2, 1)
