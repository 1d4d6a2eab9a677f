"""One hub of several: what came from which gateway, and how far a listener is with each, wherever it was before."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from gateway.contract.events import CursorEvent, HubEvent, SnapshotEvent, Subscribe, decode_event
from gateway.hub.fanout import Serialized
from gateway.hub.history import MOST_EPOCHS, EventHistory
from gateway.hub.hub import Hub, ListenerQueue
from gateway.hub.snapshot import Filter
from gateway.settings.web import WebSettings
from tests.gateway.events import device, partial, reply

SETTINGS = WebSettings(history_events=20)
FAR = "e_far"


class Others:
    """Housemates that do nothing but count."""

    name = "here"

    def __init__(self) -> None:
        self.items: list[Serialized] = []
        self.away: set[str] = set()

    def published(self, item: Serialized) -> None:
        self.items.append(item)

    def wants(self, event: HubEvent) -> bool:
        return False

    def is_so(self, event: HubEvent) -> bool:
        return getattr(event, "device_id", "") not in self.away

    def resumed(self, news: list[Serialized], had: Mapping[str, int], wanted: Filter) -> list[Serialized]:
        return news

    async def catch_up(self, subscribe: Subscribe) -> None:
        pass


def shared() -> tuple[Hub, Others]:
    hub, others = Hub(SETTINGS), Others()
    hub.house = others
    return hub, others


def from_afar(seq: int, event: HubEvent | None = None, epoch: str = FAR) -> Serialized:
    return Serialized(structs.replace(event or reply(f"far {seq}"), epoch=epoch, seq=seq))


def show(hub: Hub, *items: Serialized) -> None:
    for item in items:
        hub.show(item)
    hub.fanout.flush()


async def read(queue: ListenerQueue) -> list[Serialized]:
    queue.close()
    return [item async for item in queue]


def texts(items: list[Serialized]) -> list[str]:
    return [getattr(item.event, "text", "") for item in items]


async def test_all_gateways_are_shown_in_the_order_in_which_they_are_heard() -> None:
    hub, others = shared()
    queue = hub.attach()
    assert isinstance((await anext(queue)).event, SnapshotEvent)
    show(hub, from_afar(7))
    hub.publish(reply("near"))
    show(hub, from_afar(8))
    assert texts(await read(queue)) == ["far 7", "near", "far 8"]
    assert texts(others.items) == ["near"]


async def test_a_snapshot_says_how_far_each_is_and_a_listener_resumes_from_there() -> None:
    hub, _ = shared()
    hub.publish(reply("near"))
    show(hub, from_afar(1))
    queue = hub.attach()
    snapshot = (await anext(queue)).event
    assert isinstance(snapshot, SnapshotEvent)
    assert snapshot.cursors == {hub.epoch: 1, FAR: 1}
    hub.publish(reply("missed"))
    show(hub, from_afar(2))
    again = hub.attach(Subscribe(cursors=snapshot.cursors))
    assert texts(await read(again)) == ["missed", "far 2"]


async def test_what_it_had_at_another_hub_does_not_come_again() -> None:
    hub, _ = shared()
    show(hub, from_afar(1))
    queue = hub.attach(Subscribe(cursors={hub.epoch: 0, FAR: 3, "h_elsewhere": 9}))
    show(hub, from_afar(2), from_afar(3))
    hub.publish(reply("near"))
    show(hub, from_afar(4))
    items = await read(queue)
    assert texts(items) == ["near", "far 4"]
    assert items[0].cursors == ((hub.epoch, 1), (FAR, 3)), "of a page: how far it is, not how far its hub is"
    assert items[1].cursors == ((hub.epoch, 1), (FAR, 4))


async def test_who_names_a_gateway_that_nobody_knows_here_begins_anew() -> None:
    hub, _ = shared()
    (first,) = await read(hub.attach(Subscribe(cursors={hub.epoch: 0, "e_unknown": 3})))
    assert isinstance(first.event, SnapshotEvent)


async def test_who_does_not_know_a_gateway_gets_all_of_it_if_all_of_it_is_here() -> None:
    hub, _ = shared()
    show(hub, from_afar(1), from_afar(2))
    assert texts(await read(hub.attach(Subscribe(cursors={hub.epoch: 0})))) == ["far 1", "far 2"]
    assert texts(await read(hub.attach(Subscribe(cursors={hub.epoch: 0, FAR: 1})))) == ["far 2"]
    hub.history.begin("e_late", 50)  # nobody has what it said before
    show(hub, from_afar(51, epoch="e_late"))
    (first,) = await read(hub.attach(Subscribe(cursors={hub.epoch: 0, FAR: 2})))
    assert isinstance(first.event, SnapshotEvent)


async def test_epoch_and_seq_alone_do_for_one_gateway_and_not_for_several() -> None:
    hub, _ = shared()
    hub.publish(reply("one"))
    hub.publish(reply("two"))
    assert texts(await read(hub.attach(Subscribe(epoch=hub.epoch, seq=1)))) == ["two"]
    show(hub, from_afar(1))
    (first,) = await read(hub.attach(Subscribe(epoch=hub.epoch, seq=1)))
    assert isinstance(first.event, SnapshotEvent)


async def test_what_is_not_so_here_is_not_shown_and_counts_as_had() -> None:
    hub, others = shared()
    others.away.add("kitchen")
    queue = hub.attach(Subscribe(cursors={}))
    await anext(queue)
    show(hub, from_afar(1, device("kitchen")), from_afar(2, device("hall")))
    assert [getattr(item.event, "device_id", "") for item in await read(queue)] == ["hall"]
    again = hub.attach(Subscribe(cursors={hub.epoch: 0, FAR: 0}))
    assert [getattr(item.event, "device_id", "") for item in await read(again)] == ["hall"]


async def test_who_keeps_cursors_is_told_how_far_it_is_and_nobody_else() -> None:
    hub, _ = shared()
    wanted = Subscribe(kinds=("health",))
    keeps, other = hub.attach(structs.replace(wanted, cursors={})), hub.attach(wanted)
    await anext(keeps)
    await anext(other)
    show(hub, from_afar(5))
    hub.tell_cursors()
    hub.fanout.flush()
    (told,) = await read(keeps)
    assert isinstance(told.event, CursorEvent)
    assert told.event.cursors == {hub.epoch: 0, FAR: 5}
    assert told.block == f"id: {hub.epoch}:0,{FAR}:5\n\n".encode()
    assert decode_event(told.text) == told.event
    assert await read(other) == []


async def test_the_id_of_a_stream_names_all_gateways() -> None:
    hub, _ = shared()
    queue = hub.attach()
    await anext(queue)
    show(hub, from_afar(5))
    (item,) = await read(queue)
    assert item.block.startswith(f"id: {hub.epoch}:0,{FAR}:5\nevent: reply\n".encode())


async def test_erased_here_is_erased_there_and_nobody_sees_it() -> None:
    hub, others = shared()
    there, _ = shared()
    for one in (hub, there):
        show(one, from_afar(1, structs.replace(reply("secret"), user_id="anna", correlation_id="c_1")))
    hub.erase(user_id="anna")
    (item,) = others.items
    there.show(item)
    for one in (hub, there):
        assert [len(one.history.of(FAR, 0)), one.history.seq(FAR)] == [0, 1]
        queue = one.attach(Subscribe(cursors={one.epoch: 0, FAR: 0, hub.epoch: 0}))
        assert await read(queue) == []
        (snapshot,) = await read(one.attach())
        assert isinstance(snapshot.event, SnapshotEvent)
        assert snapshot.event.conversation == ()


async def test_everybody_begins_anew_where_nobody_can_tell_what_was_missed() -> None:
    hub, _ = shared()
    queue = hub.attach()
    await anext(queue)
    show(hub, from_afar(5))
    hub.renew()
    show(hub, from_afar(6))
    first, second = await read(queue)
    assert isinstance(first.event, SnapshotEvent)
    assert texts([second]) == ["far 6"]


async def test_of_whoever_has_had_more_than_its_hub_nothing_is_told_of_its_hubs_cursors() -> None:
    hub, _ = shared()
    show(hub, from_afar(1))
    queue = hub.attach(Subscribe(cursors={hub.epoch: 0, FAR: 3}))
    hub.tell_cursors()
    hub.fanout.flush()
    assert await read(queue) == []


class TestHistory:
    def test_epochs_are_bounded_and_one_that_comes_back_goes_on_where_it_was(self) -> None:
        history = EventHistory("e_own", 1_000)
        for number in range(MOST_EPOCHS):
            history.note(from_afar(1, epoch=f"e_{number}"))
        assert len(history.cursors) == MOST_EPOCHS
        assert "e_0" not in history.cursors
        assert history.seq("e_0") == 1
        history.note(from_afar(2, epoch="e_0"))
        assert history.missed({**history.cursors, "e_0": 0}) is None, (
            "what it said first is not here any more"
        )
        assert history.missed({**history.cursors, "e_0": 1}) is not None
        assert "e_own" in history.cursors

    def test_the_oldest_go_whosesoever_they_are(self) -> None:
        history = EventHistory("e_own", 1)
        for seq, epoch in ((1, "e_a"), (1, "e_b"), (2, "e_a"), (2, "e_b")):
            history.note(from_afar(seq, epoch=epoch))
        assert history.missed({"e_a": 0}) is None
        found = history.missed({"e_a": 1})
        assert found is not None
        assert [(item.event.epoch, item.event.seq) for item in found] == [("e_b", 1), ("e_a", 2), ("e_b", 2)]

    def test_what_may_be_missed_is_counted_and_not_kept(self) -> None:
        history = EventHistory("e_own", 10)
        history.note(from_afar(1, partial("may go")))
        assert history.seq(FAR) == 1
        assert history.of(FAR, 0) == []


def test_of_each_gateway_so_many_are_kept() -> None:
    hub, _ = shared()
    show(hub, *(from_afar(seq) for seq in range(1, 31)))
    assert [item.event.seq for item in hub.history.of(FAR, 0)] == list(range(1, 31))
    show(hub, *(from_afar(seq) for seq in range(31, 61)))
    assert len(hub.history.of(FAR, 0)) == 2 * SETTINGS.history_events, "this one's own, and the one from afar"
    assert hub.history.forgotten(FAR) == 20


def test_what_was_told_of_one_after_the_other_stands_as_it_happened_and_each_in_its_order() -> None:
    hub, _ = shared()
    for epoch, offset in (("e_one", 0.0), ("e_two", 0.5)):
        for seq in range(1, 6):
            told = structs.replace(reply(f"{epoch} {seq}"), timestamp=1_000.0 + seq + offset)
            hub.recall(from_afar(seq, told, epoch))
    late = structs.replace(reply("by a clock that went back"), timestamp=1.0)
    hub.recall(from_afar(6, late, "e_one"))
    hub.history.mix()
    missed = hub.history.missed({})
    assert missed is not None
    order = [(item.event.epoch, item.event.seq) for item in missed]
    assert order[:4] == [("e_one", 1), ("e_two", 1), ("e_one", 2), ("e_two", 2)]
    assert [seq for epoch, seq in order if epoch == "e_one"] == [1, 2, 3, 4, 5, 6]
    assert [seq for epoch, seq in order if epoch == "e_two"] == [1, 2, 3, 4, 5]
