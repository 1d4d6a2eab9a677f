"""What other gateways publish: in order, once, and nothing that is none, however it comes."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.contract.events import HubEvent
from gateway.contract.house import LATEST, EventBatch, HouseTold
from gateway.contract.messages import BadMessage, encode
from gateway.house.incoming import MOST_HELD, Incoming
from gateway.house.sharing import Sharing
from gateway.hub.fanout import Serialized
from gateway.hub.history import MOST_EPOCHS
from gateway.hub.hub import Hub
from gateway.settings.web import WebSettings
from tests.gateway.events import device, partial, reply

FAR = "e_far"


class Here:
    """A hub that hears of others, and what it shows."""

    def __init__(self) -> None:
        self.hub = Hub(WebSettings(history_events=1_000))
        self.sharing = Sharing("here", self.hub)
        self.incoming = self.sharing.incoming
        self.gaps: list[str] = []
        self.incoming.on_gap = self.gaps.append
        self.alive = {FAR}
        self.incoming._alive = lambda: self.alive

    def shown(self, epoch: str = FAR) -> list[int]:
        return [item.event.seq for item in self.hub.history.of(epoch, 0)]

    def hear(self, *batches: EventBatch, key: str = "far") -> None:
        for one in batches:
            self.incoming.hear(key, encode(one))


def raw(seq: int, event: HubEvent | None = None, epoch: str = FAR) -> msgspec.Raw:
    told = structs.replace(event or reply(f"r{seq}", seq), epoch=epoch, seq=seq)
    return msgspec.Raw(encode(told))


def batch(after: int, *seqs: int, epoch: str = FAR, gateway: str = "far") -> EventBatch:
    events = tuple(raw(seq, epoch=epoch) for seq in seqs)
    return EventBatch(gateway=gateway, epoch=epoch, after=after, events=events)


def told(*seqs: int, forgotten: int = 0, standing: tuple[msgspec.Raw, ...] = ()) -> HouseTold:
    return HouseTold(
        ask="a_1",
        gateway="far",
        epoch=FAR,
        of="far",
        forgotten=forgotten,
        seq=max(seqs, default=forgotten),
        events=tuple(map(raw, seqs)),
        standing=standing,
    )


def test_what_comes_in_order_is_shown_as_it_came() -> None:
    here = Here()
    last = batch(2, 3)
    here.hear(batch(0, 1, 2), last)
    assert here.shown() == [1, 2, 3]
    assert here.incoming.seqs() == {FAR: 3}
    assert here.gaps == []
    assert here.hub.history.of(FAR, 2)[0].data == bytes(last.events[0]), "as its own listeners get it"


def test_what_comes_twice_is_shown_once() -> None:
    here = Here()
    here.hear(batch(0, 1, 2), batch(0, 1, 2), batch(0, 1, 2, 3), batch(2, 3))
    assert here.shown() == [1, 2, 3]


def test_what_comes_too_early_waits_for_what_was_before() -> None:
    here = Here()
    here.hear(batch(0, 1), batch(3, 4), batch(2, 3))
    assert here.shown() == [1]
    assert set(here.gaps) == {FAR}
    here.hear(batch(1, 2))
    assert here.shown() == [1, 2, 3, 4]
    followed = here.incoming.followed(FAR)
    assert followed is not None
    assert (followed.is_behind, followed.held_bytes) == (False, 0)


def test_what_is_missing_is_told_and_then_goes_on() -> None:
    here = Here()
    here.hear(batch(0, 1), batch(4, 5))
    assert here.incoming.told(told(2, 3, 4)) is False
    assert here.shown() == [1, 2, 3, 4, 5]


def test_what_is_told_in_part_shows_what_it_has() -> None:
    here = Here()
    here.hear(batch(0, 1), batch(4, 5))
    here.incoming.told(told(2, 3))
    assert here.shown() == [1, 2, 3]
    assert not here.incoming.release(FAR)
    here.incoming.told(told(3, 4))
    assert here.shown() == [1, 2, 3, 4, 5]


def test_where_much_is_forgotten_listeners_begin_anew() -> None:
    here = Here()
    here.hear(batch(0, 1), batch(9, 10))
    standing = (raw(5, device("ward")), raw(9, device("cellar")), raw(12, device("liar")))
    assert here.incoming.told(told(8, 9, forgotten=7, standing=standing)) is True
    assert here.shown() == [1, 8, 9, 10]
    devices = {one.device_id for one in here.hub.standing().devices}
    assert devices == {"ward"}, "only what is not newer than what is forgotten"
    assert here.hub.history.forgotten(FAR) == 7


def test_what_nobody_tells_is_passed_over() -> None:
    here = Here()
    here.hear(batch(0, 1), batch(5, 6), batch(8, 9))
    assert here.incoming.release(FAR, whatever_is_missing=True)
    assert here.shown() == [1, 6, 9]
    assert here.incoming.seqs() == {FAR: 9}
    assert here.hub.history.forgotten(FAR) == 8


def test_what_is_held_is_bounded_and_the_latest_is_asked_for_again() -> None:
    here = Here()
    here.hear(batch(0, 1))
    for after in range(2, MOST_HELD + 20):
        here.hear(batch(after, after + 1))
    followed = here.incoming.followed(FAR)
    assert followed is not None
    assert len(followed.held) == MOST_HELD
    assert min(followed.held) == 2
    here.hear(batch(1, 2))
    assert here.shown() == list(range(1, MOST_HELD + 3))


def test_partials_are_shown_and_count_for_nothing_that_was_missed() -> None:
    here = Here()
    some = EventBatch(gateway="far", epoch=FAR, after=1, events=(raw(2, partial("a")), raw(3)))
    here.hear(
        batch(0, 1), EventBatch(gateway="far", epoch=FAR, after=1, events=(raw(2, partial("a")),)), some
    )
    assert here.incoming.seqs() == {FAR: 3}
    assert here.shown() == [1, 3]
    assert here.incoming.shown == 3


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"gateway":"far"}',
        b'{"gateway":"far","epoch":"e_far","events":5}',
        b'{"gateway":"far","epoch":"e_far","after":"x"}',
        b'{"gateway":"far","epoch":"e_far","events":[' * 500,
    ],
    ids=range(8),
)
def test_what_is_no_batch_is_counted_and_changes_nothing(payload: bytes) -> None:
    here = Here()
    here.hear(batch(0, 1))
    here.incoming.hear("far", payload)
    assert here.incoming.refused["batches"] == 1
    assert here.shown() == [1]


def test_a_batch_under_another_gateways_key_is_none() -> None:
    here = Here()
    here.hear(batch(0, 1), key="somebody-else")
    assert here.incoming.refused["batches"] == 1
    assert here.shown() == []


def test_nobody_speaks_for_this_gateway() -> None:
    here = Here()
    own = here.hub.epoch
    here.hear(batch(0, 1, epoch=own, gateway="here"), key="here")  # its own, as it comes back
    assert not here.incoming.refused
    here.hear(batch(0, 1, epoch=own))
    assert here.incoming.refused["batches"] == 1
    here.hear(batch(0, 1, epoch=here.sharing.statements.epoch))
    here.hear(batch(0, 1, epoch="h_another"))
    assert here.incoming.refused["batches"] == 3
    assert here.shown(own) == []


def test_an_epoch_stays_with_its_gateway() -> None:
    here = Here()
    here.hear(batch(0, 1))
    here.hear(batch(1, 2, gateway="thief"), key="thief")
    assert here.incoming.refused["batches"] == 1
    assert here.shown() == [1]


def test_nobody_goes_on_who_never_began() -> None:
    here = Here()
    here.hear(batch(1_000_000, 1_000_001, epoch="e_ghost"))
    assert here.incoming.refused["batches"] == 1
    assert here.incoming.followed("e_ghost") is None


@pytest.mark.parametrize(
    "event",
    [
        b"5",
        b'{"type":"reply"}',
        b'{"type":"king","epoch":"e_far","seq":2}',
        bytes(raw(2)).replace(b"e_far", b"e_oth"),
        bytes(raw(2)).replace(b'"seq":2', b'"seq":"2"'),
        bytes(raw(2)).replace(b",", b",\n"),
        bytes(msgspec.Raw(encode(structs.replace(reply("late"), epoch=FAR, seq=2, timestamp=LATEST)))),
    ],
    ids=range(7),
)
def test_what_is_no_event_is_passed_over_and_the_others_are_shown(event: bytes) -> None:
    here = Here()
    events = (raw(1), msgspec.Raw(event), raw(3))
    here.hear(EventBatch(gateway="far", epoch=FAR, after=0, events=events))
    assert here.shown() == [1, 3]
    assert here.incoming.refused["events"] == 1


def test_an_event_of_a_later_version_leaves_no_gap() -> None:
    """Nobody here can read it, and nobody needs to be asked for it."""
    here = Here()
    new = msgspec.Raw(b'{"type":"smell","epoch":"e_far","seq":2,"of":"coffee"}')
    here.hear(EventBatch(gateway="far", epoch=FAR, after=0, events=(raw(1), new)), batch(2, 3))
    assert here.shown() == [1, 3]
    assert here.gaps == []


def test_gateways_are_bounded_and_those_that_have_ended_make_room() -> None:
    here = Here()
    for number in range(2 * MOST_EPOCHS):
        here.hear(batch(0, 1, epoch=f"e_{number}"))
    assert len(here.incoming.seqs()) < MOST_EPOCHS
    assert not here.incoming.refused
    here.alive = set(here.incoming.seqs())
    here.hear(batch(0, 1, epoch="e_more"))
    assert here.incoming.refused["batches"] == 1, "all of them are there"


def test_who_was_retired_and_comes_back_goes_on_where_it_was() -> None:
    here = Here()
    here.hear(batch(0, 1, 2))
    here.incoming.retire(FAR)
    assert here.incoming.seqs() == {}
    assert here.shown() == []
    here.hear(batch(2, 3))
    assert here.shown() == [3]


def test_begin_refuses_what_can_be_no_epoch() -> None:
    incoming: Incoming = Here().incoming
    for epoch in ("", "a b", "h_hub", "x" * 200):
        with pytest.raises(BadMessage):
            incoming.begin(epoch, "far")


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_in_whatever_order_and_how_often_they_come_each_is_shown_once_and_in_order(
    count: int, chance: random.Random
) -> None:
    """Cut into batches, lost, doubled and mixed; what is lost is told when it is missed."""
    here = Here()
    seqs, batches, before = list(range(1, count + 1)), [], 0
    while seqs:
        size = chance.randint(1, 5)
        part, seqs = seqs[:size], seqs[size:]
        batches.append(batch(before, *part))
        before = part[-1]
    here.hear(batches[0])
    arriving = [one for one in batches[1:] for _ in range(chance.choice((0, 1, 1, 2)))]
    chance.shuffle(arriving)
    listened: list[Serialized] = []
    show = here.hub.show
    here.hub.show = lambda item: (listened.append(item), show(item))[1]  # type: ignore[method-assign,func-returns-value]
    here.hear(*arriving)
    followed = here.incoming.followed(FAR)
    assert followed is not None
    here.incoming.told(told(*range(followed.seq + 1, count + 1)))
    assert here.shown() == list(range(1, count + 1))
    assert [item.event.seq for item in listened] == here.shown()[len(batches[0].events) :]
    assert not followed.is_behind
