"""Numbered frames are complete, in order and single, as far as their sender holds them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.window import (
    ACK_DELAY,
    ACK_FRAMES,
    ASK_AGAIN,
    ASK_AGAIN_MAX,
    RESEND,
    RESEND_MAX,
    ReceiveWindow,
    SendWindow,
    distance,
)

FIRSTS = st.sampled_from([0, 5, 0x7FFFFFFE, 0xFFFFFFFE])
MASK = 0xFFFFFFFF


def numbers(first: int, *offsets: int) -> list[int]:
    return [(first + offset) & MASK for offset in offsets]


@given(st.integers(0, MASK), st.integers(-0x80000000, 0x7FFFFFFF))
def test_distance_wraps(start: int, far: int) -> None:
    assert distance(start, (start + far) & MASK) == far


@given(FIRSTS, st.lists(st.integers(0, 40), max_size=200))
def test_whatever_order_comes_in_the_right_order_comes_out(first: int, offsets: list[int]) -> None:
    window: ReceiveWindow[int] = ReceiveWindow(first, 16)
    out: list[int] = []
    for offset in offsets:
        (number,) = numbers(first, offset)
        out += window.accept(number, offset, 0.0)
        assert len(window._early) < 16
    assert out == list(range(len(out)))
    assert window.expected == (first + len(out)) & MASK
    assert len(out) + len(window._early) + window.duplicates + window.beyond == len(offsets)


@given(FIRSTS, st.sets(st.integers(1, 30)))
def test_what_is_asked_for_is_exactly_what_is_missing(first: int, offsets: set[int]) -> None:
    window: ReceiveWindow[int] = ReceiveWindow(first, 64)
    for offset in sorted(offsets):
        window.accept((first + offset) & MASK, offset, 0.0)
    asked = [(first + k) & MASK for k in range(31)]
    ranges = window.ask(0.0)
    named = {(start + k) & MASK for start, last in ranges for k in range(distance(start, last) + 1)}
    missing = {number for number in asked if distance(first, number) not in offsets}
    assert named == {n for n in missing if offsets and distance(first, n) < max(offsets)}


def test_a_gap_is_asked_for_at_once_then_ever_more_patiently() -> None:
    window: ReceiveWindow[str] = ReceiveWindow(0, 64)
    assert window.ask(0.0) == ()
    window.accept(2, "c", 0.0)
    times, now = [], 0.0
    while len(times) < 8:
        if window.ask(now):
            times.append(round(now, 3))
        assert window.ask_at is not None
        now = window.ask_at
    waits = [round(b - a, 3) for a, b in itertools.pairwise(times)]
    assert waits == [ASK_AGAIN, 0.2, 0.4, 0.8, ASK_AGAIN_MAX, ASK_AGAIN_MAX, ASK_AGAIN_MAX]


def test_another_gap_is_asked_for_at_once_and_a_filled_one_no_more() -> None:
    window: ReceiveWindow[str] = ReceiveWindow(0, 64)
    window.accept(1, "b", 0.0)
    assert window.ask(0.0) == ((0, 0),)
    window.accept(2, "c", 0.01)
    assert window.ask(0.01) == ()
    window.accept(5, "f", 0.02)
    assert window.ask(0.02) == ((0, 0), (3, 4))
    assert window.accept(0, "a", 0.03) == ["a", "b", "c"]
    assert window.asked == 0
    assert window.accept(3, "d", 0.04) == ["d"]
    assert window.accept(4, "e", 0.05) == ["e", "f"]
    assert window.ask_at is None


def test_at_most_sixteen_ranges_are_named() -> None:
    window: ReceiveWindow[int] = ReceiveWindow(0, 256)
    for number in range(1, 80, 2):
        window.accept(number, number, 0.0)
    assert window.ask(0.0) == tuple((k, k) for k in range(0, 32, 2))


def test_an_acknowledgement_is_due_soon_or_after_some_frames_at_once() -> None:
    window: ReceiveWindow[int] = ReceiveWindow(0, 256)
    window.accept(0, 0, 1.0)
    window.accept(1, 1, 1.02)
    assert window.acknowledge_at == 1.0 + ACK_DELAY
    window.acknowledged()
    assert window.acknowledge_at is None
    for number in range(2, 2 + ACK_FRAMES):
        window.accept(number, number, 2.0)
    assert window.acknowledge_at == 2.0


def test_a_duplicate_is_acknowledged_again() -> None:
    window: ReceiveWindow[int] = ReceiveWindow(5, 256)
    assert window.accept(4, 4, 1.0) == []
    assert window.duplicates == 1
    assert window.acknowledge_at is not None


@given(FIRSTS, st.sets(st.integers(1, 30)), st.integers(0, 40))
def test_skipping_delivers_what_is_there_and_counts_what_is_not(
    first: int, offsets: set[int], to: int
) -> None:
    window: ReceiveWindow[int] = ReceiveWindow(first, 64)
    for offset in offsets:
        window.accept((first + offset) & MASK, offset, 0.0)
    frames, lost = window.skip_to((first + to) & MASK, 0.0)
    reached = distance(first, window.expected)
    assert frames == sorted(offset for offset in offsets if offset < reached)
    assert lost == len([offset for offset in range(to) if offset not in offsets])
    assert reached >= to
    assert reached not in offsets


def test_giving_up_skips_the_first_hole_only() -> None:
    window: ReceiveWindow[str] = ReceiveWindow(0, 64)
    window.accept(2, "c", 0.0)
    window.accept(4, "e", 0.0)
    assert window.give_up(0.0) == (["c"], 2)
    assert window.expected == 3


def test_after_a_resume_nothing_is_asked_for_yet() -> None:
    window: ReceiveWindow[str] = ReceiveWindow(0, 64)
    window.accept(2, "c", 0.0)
    window.ask(0.0)
    window.resumed(10.0)
    assert (window.asked, window.ask(10.0)) == (0, ())
    assert window.ask(10.0 + ASK_AGAIN_MAX) == ((0, 1),)


def sent(window: SendWindow[str], now: float = 0.0) -> list[tuple[int, bool, str]]:
    return window.take(now)


def filled(capacity: int, frames: str, credit: int = 100, first: int = 0) -> SendWindow[str]:
    window: SendWindow[str] = SendWindow(capacity, first)
    window.rewind(first, credit)
    for frame in frames:
        window.append(frame)
    return window


def test_frames_go_out_once_within_the_credit() -> None:
    window = filled(8, "abcd", credit=3)
    assert sent(window) == [(0, False, "a"), (1, False, "b"), (2, False, "c")]
    assert sent(window) == []
    assert window.blocked
    assert window.acknowledge(1, 3, 0.0) == ["a"]
    assert sent(window) == [(3, False, "d")]
    assert not window.blocked


@pytest.mark.parametrize("first", [0, 0xFFFFFFFE])
def test_what_was_asked_for_goes_again_once(first: int) -> None:
    window = filled(8, "abcd", first=first)
    sent(window)
    assert window.request(((first + 1 & MASK, first + 2 & MASK), (first + 2 & MASK, first + 2 & MASK)))
    assert sent(window) == [(first + 1 & MASK, True, "b"), (first + 2 & MASK, True, "c")]
    assert sent(window) == []
    assert window.resent == 2


def test_what_was_never_sent_or_is_gone_cannot_be_asked_for() -> None:
    window = filled(8, "abcd", credit=2)
    sent(window)
    assert window.request(((0, 0xFFFF),))
    assert sent(window) == [(0, True, "a"), (1, True, "b")]
    window.acknowledge(1, 2, 0.0)
    window.forget(1)
    assert not window.request(((0, 1),))
    assert [frame for _, again, frame in sent(window) if again] == ["b"]


def test_asking_for_nonsense_costs_nothing() -> None:
    window = filled(8, "abcd")
    sent(window)
    assert window.request(((3, 1), (0x7FFFFFFF, 0x7FFFFFFF)))
    window.request(((0x90000000, 0x7FFFFFFF),))
    assert len(window._again) <= 4


def test_full_of_unacknowledged_frames_there_is_no_room() -> None:
    window = filled(3, "abc")
    assert window.room == 0
    with pytest.raises(OverflowError):
        window.append("d")
    sent(window)
    window.acknowledge(2, 9, 0.0)
    assert window.room == 2
    window.append("d")
    window.append("e")
    assert (window.oldest, window.next) == (2, 5)
    assert not window.request(((0, 0),))


def test_what_is_acknowledged_is_kept_until_forgotten() -> None:
    window = filled(8, "abc")
    sent(window)
    window.acknowledge(2, 9, 0.0)
    window.forget(3)  # only what is acknowledged
    assert window.oldest == 2
    window.rewind(2, 9)
    assert sent(window) == [(2, True, "c")]


def test_an_old_or_impossible_acknowledgement_changes_nothing() -> None:
    window = filled(8, "abcd", credit=3)
    sent(window)
    window.acknowledge(2, 1, 0.0)
    assert window.acknowledge(1, 100, 0.0) == []
    assert window.acknowledge(4, 100, 0.0) == []
    assert window.acknowledge(0x80000000, 100, 0.0) == []
    assert (window.acknowledged, window.edge) == (2, 3)


def test_what_was_sent_before_a_rewind_may_still_be_acknowledged() -> None:
    window = filled(8, "abcd")
    sent(window)
    window.rewind(0, 2)
    assert [number for number, _, _ in sent(window)] == [0, 1]
    assert window.acknowledge(3, 2, 0.0) == ["a", "b", "c"]
    assert sent(window) == [(3, True, "d")]


def test_the_oldest_frame_is_sent_again_ever_more_patiently() -> None:
    window = filled(8, "ab")
    sent(window, 0.0)
    times = []
    for _ in range(6):
        assert window.resend_at is not None
        now = window.resend_at
        assert window.tick(now)
        assert sent(window, now) == [(0, True, "a")]
        times.append(now)
    waits = [b - a for a, b in itertools.pairwise([0.0, *times])]
    assert waits == [RESEND, 0.5, 1.0, 2.0, RESEND_MAX, RESEND_MAX]
    window.acknowledge(1, 9, 100.0)
    assert window.resend_at == 100.0 + RESEND
    window.acknowledge(2, 9, 100.1)
    assert window.resend_at is None


def test_paused_nothing_goes_out_until_rewound() -> None:
    window = filled(8, "ab")
    sent(window)
    window.request(((0, 0),))
    window.pause()
    assert window.resend_at is None
    window.append("c")
    assert window.take(0.0) == []
    window.rewind(1, 9)
    assert window.take(0.0) == [(1, True, "b"), (2, False, "c")]


def test_without_capacity_a_frame_goes_out_at_once_or_not_at_all() -> None:
    window: SendWindow[str] = SendWindow(0, 0)
    assert window.room == 0
    window.rewind(0, 2)
    window.append("a")
    window.append("b")
    assert window.room == 0
    assert [frame for _, _, frame in window.take(0.0)] == ["a", "b"]
    assert (window.oldest, window.acknowledged) == (2, 0)
    assert not window.tick(RESEND)
    window.acknowledge(2, 1, 1.0)
    assert window.room == 1


STEPS = st.one_of(
    st.tuples(st.sampled_from(["append", "take", "pause"]), st.just(0), st.just(0)),
    st.tuples(st.sampled_from(["acknowledge", "rewind", "request"]), st.integers(-2, 9), st.integers(0, 9)),
    st.tuples(st.just("forget"), st.integers(-2, 9), st.just(0)),
)


@given(st.integers(1, 6), FIRSTS, st.lists(STEPS, max_size=60))
def test_its_marks_stay_in_order_whatever_the_peer_says(
    capacity: int, first: int, steps: list[tuple[str, int, int]]
) -> None:
    window: SendWindow[int] = SendWindow(capacity, first)
    for step in steps:
        play(window, step)
        assert distance(window.oldest, window.acknowledged) >= 0
        assert 0 <= distance(window.acknowledged, window.sent) <= capacity
        assert distance(window.sent, window.next) >= 0
        assert len(window._frames) == distance(window.oldest, window.next) <= capacity


def play(window: SendWindow[int], step: tuple[str, int, int]) -> None:
    what, offset, second = step
    where = (window.oldest + offset) & MASK
    if what == "append" and window.room > 0:
        window.append(window.next)
    elif what == "take":
        assert all(number == frame for number, _, frame in window.take(0.0))
    elif what == "pause":
        window.pause()
    elif what == "acknowledge":
        window.acknowledge(where, second, 0.0)
    elif what == "forget":
        window.forget(where)
    elif what == "rewind" and 0 <= distance(window.oldest, where) <= distance(window.oldest, window.next):
        window.rewind(where, second)
    elif what == "request":
        window.request(((where, (window.oldest + second) & MASK),))
