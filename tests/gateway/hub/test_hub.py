"""The hub: everyone gets what they asked for, in order, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.access.principals import Principal, Role
from gateway.contract.events import HubEvent, SnapshotEvent, Subscribe, decode_event
from gateway.hub.fanout import Serialized
from gateway.hub.hub import OVERRUN_FACTOR, Hub, HubFull, ListenerQueue, SlowConsumer
from gateway.settings.web import WebSettings
from tests.gateway.events import device, partial, reply, status

SMALL = WebSettings(outbox_messages=8, outbox_bytes=64 * 1024, history_events=20, slow_seconds=60)


def show(hub: Hub, event: HubEvent) -> None:
    """Publish it, and let it reach everybody."""
    hub.publish(event)
    hub.fanout.flush()


async def live(hub: Hub, subscribe: Subscribe | None = None) -> ListenerQueue:
    """An outbox whose snapshot has been read."""
    outbox = hub.attach(subscribe or Subscribe())
    assert isinstance((await anext(outbox)).event, SnapshotEvent)
    return outbox


def texts(items: list[Serialized]) -> list[str]:
    return [getattr(item.event, "text", "") for item in items]


async def drain(outbox: ListenerQueue) -> list[Serialized]:
    outbox.close()
    return [item async for item in outbox]


async def test_every_listener_gets_the_same_event_serialized_once() -> None:
    hub = Hub(SMALL)
    one, other = await live(hub), await live(hub)
    show(hub, reply())
    first, second = await anext(one), await anext(other)
    assert first is second
    assert decode_event(first.text) == first.event
    assert first.size == len(first.text.encode())
    assert (first.event.epoch, first.event.seq) == (hub.epoch, 1)


async def test_a_listener_that_waits_is_woken() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    waiting_for = asyncio.ensure_future(anext(outbox))
    await asyncio.sleep(0)
    hub.publish(status())
    assert (await asyncio.wait_for(waiting_for, 5)).event.seq == 1


@pytest.mark.parametrize(
    ("subscribe", "devices"),
    [
        (Subscribe(), ["kitchen", "study", "light"]),
        (Subscribe(kinds=("status",)), ["kitchen", "study"]),
        (Subscribe(devices=("study",)), ["study"]),
        (Subscribe(users=("anna",)), ["kitchen", "light"]),
        (Subscribe(sessions=("s-study",)), ["study"]),
        (Subscribe(users=("anna",), devices=("study",)), []),
        (Subscribe(kinds=("health",)), []),
    ],
)
async def test_filters(subscribe: Subscribe, devices: list[str]) -> None:
    hub = Hub(SMALL)
    outbox = await live(hub, subscribe)
    show(hub, status())
    show(hub, status(device="study", user="ben"))
    show(hub, device("light"))
    assert [getattr(item.event, "device_id", "") for item in await drain(outbox)] == devices


async def test_over_the_bound_partials_go_and_replies_stay() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    for number in range(8):
        show(hub, partial(f"partial {number}"))
    for number in range(6):
        show(hub, reply(f"reply {number}"))
    assert (outbox.pending, outbox.dropped) == (8, 6)
    assert texts(await drain(outbox)) == ["partial 6", "partial 7", *(f"reply {n}" for n in range(6))]
    assert hub.stats().dropped == 6


async def test_the_newest_partial_survives() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    for number in range(100):
        show(hub, partial(f"partial {number}"))
    assert texts(await drain(outbox)) == [f"partial {number}" for number in range(92, 100)]


async def test_bytes_are_bounded_too() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    for number in range(4):
        show(hub, partial(str(number) + "ä" * 14_000))
    assert outbox.pending_bytes <= SMALL.outbox_bytes
    assert [text[0] for text in texts(await drain(outbox))] == ["2", "3"]


async def test_levels_are_droppable_buttons_are_not() -> None:
    assert device(notice="level").droppable
    assert not device(notice="button").droppable


async def test_a_listener_that_stays_behind_is_closed_with_its_last_sequence() -> None:
    hub = Hub(WebSettings(outbox_messages=8, slow_seconds=0.01))
    outbox = await live(hub)
    quick = await live(hub)
    show(hub, reply("first"))
    await anext(outbox)
    for number in range(9):
        show(hub, reply(f"reply {number}"))
        await anext(quick)
    with pytest.raises(SlowConsumer) as caught:
        await asyncio.wait_for(outbox.overrun(), 5)
    assert caught.value.seq == 1
    with pytest.raises(SlowConsumer, match="resume after seq 1"):
        await anext(outbox)
    assert (outbox.pending, outbox.pending_bytes) == (0, 0)
    assert hub.stats().slow_consumers == 1
    assert not quick.too_slow


async def test_a_listener_that_catches_up_is_forgiven() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    for number in range(9):
        show(hub, reply(f"reply {number}"))
    assert outbox._overdue is not None
    await anext(outbox)
    assert outbox._overdue is None
    assert len(await drain(outbox)) == 8


async def test_a_burst_far_over_the_bound_is_cut_at_once() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    for number in range(8 * OVERRUN_FACTOR + 1):
        show(hub, reply(f"reply {number}"))
    assert outbox.too_slow
    show(hub, reply("more"))
    assert outbox.pending == 0


async def test_resuming_brings_what_was_missed_once_and_in_order() -> None:
    hub = Hub(SMALL)
    for number in range(6):
        show(hub, reply(f"reply {number}"))
        show(hub, partial())
    outbox = hub.attach(Subscribe(epoch=hub.epoch, seq=3))
    show(hub, reply("live"))
    assert texts(await drain(outbox)) == ["reply 2", "reply 3", "reply 4", "reply 5", "live"]


async def test_resuming_may_bring_more_than_an_outbox_holds() -> None:
    hub = Hub(WebSettings(outbox_messages=8, history_events=1_000))
    for number in range(500):
        show(hub, reply(f"reply {number}"))
    outbox = hub.attach(Subscribe(epoch=hub.epoch, seq=0))
    assert len(await drain(outbox)) == 500
    assert not outbox.too_slow


async def test_resuming_keeps_to_the_filter() -> None:
    hub = Hub(SMALL)
    show(hub, status(device="kitchen"))
    show(hub, status(device="study"))
    outbox = hub.attach(Subscribe(epoch=hub.epoch, devices=("study",)))
    assert [item.event.seq for item in await drain(outbox)] == [2]


@pytest.mark.parametrize(
    "cursor", [("e_another_run", 25), ("", 0), (None, 4), (None, 26)], ids=["epoch", "none", "old", "future"]
)
async def test_what_cannot_be_resumed_starts_with_a_snapshot(cursor: tuple[str | None, int]) -> None:
    hub = Hub(SMALL)
    for number in range(25):
        show(hub, reply(f"reply {number}"))
    epoch, seq = cursor
    items = await drain(hub.attach(Subscribe(epoch=hub.epoch if epoch is None else epoch, seq=seq)))
    assert [type(item.event) for item in items] == [SnapshotEvent]
    assert items[0].event.seq == 25


async def test_the_oldest_cursor_that_still_resumes() -> None:
    hub = Hub(SMALL)
    for number in range(25):
        show(hub, reply(f"reply {number}"))
    items = await drain(hub.attach(Subscribe(epoch=hub.epoch, seq=5)))
    assert [item.event.seq for item in items] == list(range(6, 26))


async def test_without_history_only_the_newest_cursor_resumes() -> None:
    hub = Hub(WebSettings(history_events=0))
    show(hub, reply())
    assert await drain(hub.attach(Subscribe(epoch=hub.epoch, seq=1))) == []
    assert len(await drain(hub.attach(Subscribe(epoch=hub.epoch, seq=0)))) == 1


async def test_listeners_are_bounded_and_counted() -> None:
    hub = Hub(WebSettings(max_listeners=2))
    with hub.attach() as one, hub.attach():
        with pytest.raises(HubFull, match="2 listeners"):
            hub.attach()
        await anext(one)
        assert (hub.stats().listeners, hub.stats().refused) == (2, 1)
    assert (hub.stats().listeners, hub.stats().delivered) == (0, 1)
    with hub.attach() as outbox:
        hub.detach(outbox)
        hub.detach(outbox)


async def test_a_detached_listener_gets_nothing_more() -> None:
    hub = Hub(SMALL)
    with await live(hub) as outbox:
        pass
    show(hub, reply())
    assert outbox.pending == 0


async def test_closing_lets_listeners_read_what_waits() -> None:
    hub = Hub(SMALL)
    outbox = await live(hub)
    hub.publish(reply("last words"))
    hub.close()
    hub.publish(reply("too late"))
    assert texts([item async for item in outbox]) == ["last words"]
    late = hub.attach()
    assert [type(item.event) for item in [item async for item in late]] == [SnapshotEvent]


EVENTS = st.one_of(
    st.builds(partial, st.text(max_size=5)),
    st.builds(reply, st.text(max_size=5)),
    st.builds(status, device=st.sampled_from(["kitchen", "study"])),
)


@settings(max_examples=50)
@given(st.lists(EVENTS, max_size=30), st.integers(min_value=0, max_value=30))
def test_cut_and_resumed_anywhere_no_final_is_missed_or_doubled(events: list[HubEvent], cut: int) -> None:
    async def story() -> list[int]:
        hub = Hub(WebSettings())
        outbox = await live(hub)
        for event in events[:cut]:
            show(hub, event)
        first = await drain(outbox)
        seq = first[-1].event.seq if first else 0
        for event in events[cut:]:
            show(hub, event)
        return [
            item.event.seq for item in first + await drain(hub.attach(Subscribe(epoch=hub.epoch, seq=seq)))
        ]

    got = asyncio.run(story())
    assert got == sorted(set(got))
    assert set(got) >= {number for number, event in enumerate(events, 1) if not event.droppable}


# Whether anybody wants an event at all


async def test_what_no_listener_asked_for_is_not_wanted() -> None:
    hub = Hub(SMALL)
    assert not hub.is_wanted(partial())
    with hub.attach(Subscribe(kinds=("reply",))), hub.attach(Subscribe(devices=("attic",))):
        assert not hub.is_wanted(partial())
        with hub.attach(Subscribe(kinds=("partial",), devices=("kitchen",))):
            assert hub.is_wanted(partial())
    assert not hub.is_wanted(partial())


class TestScope:
    """A principal gets what is within its scope: live, in the snapshot, and when it resumes."""

    SCOPED = Principal(name="anna's tablet", role=Role.LISTENER, devices=frozenset({"kitchen"}))

    async def test_snapshot_and_events(self) -> None:
        hub = Hub(SMALL)
        show(hub, device("kitchen"))
        show(hub, device("cellar"))
        outbox = hub.attach(Subscribe(), self.SCOPED)
        snapshot = (await anext(outbox)).event
        assert isinstance(snapshot, SnapshotEvent)
        assert [event.device_id for event in snapshot.devices] == ["kitchen"]
        show(hub, status(device="cellar"))
        show(hub, status())
        seen = await drain(outbox)
        assert [item.event.seq for item in seen] == [4]

    async def test_resume(self) -> None:
        hub = Hub(SMALL)
        show(hub, device("cellar"))
        show(hub, device("kitchen"))
        outbox = hub.attach(Subscribe(epoch=hub.epoch, seq=0), self.SCOPED)
        assert [item.event.seq for item in await drain(outbox)] == [2]

    async def test_what_is_asked_for_beyond_it_is_not_there(self) -> None:
        hub = Hub(SMALL)
        outbox = hub.attach(Subscribe(devices=("cellar",)), self.SCOPED)
        show(hub, device("cellar"))
        (first,) = await drain(outbox)
        assert isinstance(first.event, SnapshotEvent)


async def test_whoever_keeps_what_it_was_shown_is_told_that_something_is_forgotten() -> None:
    hub, told = Hub(SMALL), []

    def stumble() -> None:
        raise ValueError("who forgets badly")

    hub.on_forget += [stumble, lambda: told.append(texts(hub.history.of(hub.epoch, 0)))]
    show(hub, reply())
    hub.forget(lambda event: getattr(event, "text", "") == reply().text)
    assert told == [[]], "once it is gone, and whatever becomes of others"


async def test_other_bounds_hold_for_who_comes_from_then_on() -> None:
    hub = Hub(SMALL)
    first = await live(hub)
    hub.reconfigure(structs.replace(SMALL, max_listeners=1, listener_policy="refuse_new"))
    with pytest.raises(HubFull):
        hub.attach(Subscribe())
    show(hub, reply())
    assert (await anext(first)).event.seq == 1, "who is there stays"
    hub.reconfigure(SMALL)
    await live(hub)


@pytest.mark.parametrize(("kept", "resumes"), [(0, False), (4, False), (5, True), (100, True)])
async def test_less_history_is_forgotten_at_once_and_more_is_kept_from_then_on(
    kept: int, *, resumes: bool
) -> None:
    hub = Hub(SMALL)
    for number in range(6):
        show(hub, reply(text=str(number)))
    hub.reconfigure(structs.replace(SMALL, history_events=kept))
    outbox = hub.attach(Subscribe(epoch=hub.epoch, seq=1))
    first = await anext(outbox)
    assert isinstance(first.event, SnapshotEvent) is not resumes
    if resumes:
        assert first.event.seq == 2
    for number in range(30):
        show(hub, reply(text=f"later {number}"))
    assert len(hub.history.of(hub.epoch, 0)) == min(kept, 36)


async def test_what_has_given_way_is_kept_again_when_there_is_room() -> None:
    hub = Hub(SMALL)
    show(hub, reply())
    hub.history.keep(0)
    show(hub, reply())
    assert hub.history.of(hub.epoch, 0) == []
    hub.history.keep(20)
    show(hub, reply())
    assert [item.event.seq for item in hub.history.of(hub.epoch, 0)] == [3]
    resumed = hub.attach(Subscribe(epoch=hub.epoch, seq=2))
    assert (await anext(resumed)).event.seq == 3
    begins_anew = hub.attach(Subscribe(epoch=hub.epoch, seq=1))
    assert isinstance((await anext(begins_anew)).event, SnapshotEvent), "what was in between is not to be had"
