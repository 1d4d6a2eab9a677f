"""When a text would be there: by what was measured of late, and no longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recognizers.pool.estimate import (
    LEAST_SPREAD,
    MEASUREMENTS,
    REMEMBERED_SECONDS,
    EnginePace,
    Forecast,
    OwnEstimate,
    PoolEstimate,
    Recent,
)
from gateway.recognizers.pool.own_queue import OwnQueue
from gateway.recognizers.pool.workers import Hands
from transcription.priority import Priority
from transcription.recognizing import Recognized
from transcription.transcriber import Transcript

ONE = Hands(workers=1, capacity=1)


def recognized(
    seconds: float, queue: float = 0.0, *, ahead: bool = False, retried: bool = False
) -> Recognized:
    transcript = Transcript("so", "en", 1.0, 0.0, (), "e", "m", seconds, retried=retried)
    return Recognized(transcript, queue, seconds, ahead)


def expect(
    estimate: PoolEstimate,
    hands: Hands = ONE,
    *,
    audio: float = 4.0,
    under_way: int = 0,
    silence: float = 0.0,
) -> float:
    return estimate.expect(audio, hands, under_way=under_way, silence=silence, now=0.0)


# -- what was measured


def test_the_middle_is_not_moved_by_one_that_is_far_off() -> None:
    recent = Recent()
    for value in (0.3, 0.31, 0.29, 60.0):
        recent.add(value, 0.0)
    assert recent.middle(0.0) == pytest.approx(0.305)


def test_what_was_measured_long_ago_counts_no_more() -> None:
    recent = Recent()
    recent.add(9.0, 0.0)
    assert recent.middle(REMEMBERED_SECONDS) == 9.0
    assert recent.middle(REMEMBERED_SECONDS + 1) is None
    assert recent.high(REMEMBERED_SECONDS + 1) is None


def test_only_so_many_measurements_are_kept() -> None:
    recent = Recent()
    for value in range(1000):
        recent.add(value, 0.0)
    assert recent.middle(0.0) == pytest.approx(1000 - MEASUREMENTS / 2 - 0.5)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_the_high_one_is_one_of_them_and_hardly_any_is_above(values: list[float]) -> None:
    recent = Recent()
    for value in values:
        recent.add(value, 0.0)
    kept = values[-MEASUREMENTS:]
    high = recent.high(0.0)
    assert high in kept
    assert sum(value > high for value in kept) <= max(0.1 * len(kept), 0)


def test_longer_audio_is_more_work_and_a_word_is_not_nothing() -> None:
    pace = EnginePace()
    assert pace.expect(4.0, 0.0) is None
    pace.measure(4.0, 0.6, 0.0)
    short, same, long = (pace.expect(seconds, 0.0) or 0.0 for seconds in (0.5, 4.0, 28.0))
    assert same == pytest.approx(0.6)
    assert 0.2 < short < same < long == pytest.approx(3.0)


def test_nobody_is_late_at_once_and_who_was_late_often_is_given_more_time() -> None:
    forecast = Forecast()
    assert forecast.spread(1.0, 0.0) == 1.0, "as long again, as long as nobody knows"
    for _ in range(10):
        forecast.came(1.0, 1.0, 0.0)
    assert forecast.spread(1.0, 0.0) == LEAST_SPREAD
    for _ in range(10):
        forecast.came(1.0, 2.0, 0.0)
    assert forecast.spread(1.0, 0.0) == pytest.approx(1.5)


# -- the pool


def test_a_free_pool_takes_the_work_and_the_way() -> None:
    estimate = PoolEstimate()
    estimate.pace.measure(4.0, 0.6, 0.0)
    estimate.measure_way(0.02, 0.0)
    assert expect(estimate) == pytest.approx(0.62)


def test_before_anything_was_measured_the_workers_word_counts_and_then_what_it_would_be_here() -> None:
    estimate = PoolEstimate()
    told = Hands(workers=1, capacity=1, seconds_per_job=0.5)
    assert estimate.work(4.0, told, 0.0, prior=2.0) == 0.5
    assert estimate.work(4.0, ONE, 0.0, prior=2.0) == 2.0
    assert estimate.work(4.0, ONE, 0.0) > 0


@pytest.mark.parametrize(
    ("hands", "under_way", "waits"),
    [
        (Hands(workers=2, capacity=2, busy=1), 1, 0.0),
        (Hands(workers=2, capacity=2, busy=2), 2, 0.5),
        (Hands(workers=2, capacity=2, busy=0), 4, 1.5),
        (Hands(workers=2, capacity=2, busy=2, oldest_seconds=7.0), 2, 7.0),
        (Hands(workers=2, capacity=2, busy=0, oldest_seconds=7.0), 0, 0.0),
    ],
)
def test_who_comes_to_a_busy_pool_waits(hands: Hands, under_way: int, waits: float) -> None:
    estimate = PoolEstimate()
    estimate.pace.measure(4.0, 1.0, 0.0)
    estimate.measure_way(0.0, 0.0)
    assert expect(estimate, hands, under_way=under_way) == pytest.approx(1.0 + waits)


def test_a_pool_that_is_silent_looks_later_and_later() -> None:
    estimate = PoolEstimate()
    assert expect(estimate, silence=3.0) - expect(estimate) == pytest.approx(3.0)


# -- the own engine


def test_what_waits_before_it_is_added_as_far_as_batches_do_not_make_it_faster() -> None:
    estimate = OwnEstimate()
    estimate.pace.measure(4.0, 0.6, 0.0)
    assert estimate.expect(4.0, before=2.0, now=0.0) == pytest.approx(2.6)
    estimate.measure_queue(expected=2.0, took=1.0, now=0.0)
    assert estimate.expect(4.0, before=2.0, now=0.0) == pytest.approx(1.6)


def test_a_queue_that_took_longer_than_it_should_is_no_batch() -> None:
    estimate = OwnEstimate()
    estimate.pace.measure(4.0, 0.6, 0.0)
    estimate.measure_queue(expected=1.0, took=50.0, now=0.0)
    assert estimate.expect(4.0, before=1.0, now=0.0) == pytest.approx(1.6)


def test_who_is_asked_after_others_waits_for_them_but_not_for_what_they_have_had() -> None:
    queue = OwnQueue()
    queue.estimate.pace.measure(4.0, 1.0, 0.0)
    first = queue.begin(4.0, Priority.NORMAL, 0.0)
    assert queue.expect(4.0, Priority.NORMAL, 0.0) == pytest.approx(2.0)
    assert queue.expect(4.0, Priority.NORMAL, 0.75) == pytest.approx(1.25)
    assert queue.expect(4.0, Priority.NORMAL, 9.0) == pytest.approx(1.0)
    queue.end(first, recognized(1.0), 1.0)
    assert queue.expect(4.0, Priority.NORMAL, 1.0) == pytest.approx(1.0)


def test_who_is_urgent_waits_for_nobody_who_is_not() -> None:
    queue = OwnQueue()
    queue.estimate.pace.measure(4.0, 1.0, 0.0)
    queue.begin(4.0, Priority.BACKGROUND, 0.0)
    assert queue.expect(4.0, Priority.URGENT, 0.0) == pytest.approx(1.0)
    assert queue.expect(4.0, Priority.BACKGROUND, 0.0) == pytest.approx(2.0)


def test_a_recording_is_behind_all_and_nobody_waits_for_it() -> None:
    queue = OwnQueue()
    queue.estimate.pace.measure(4.0, 1.0, 0.0)
    queue.begin(4.0, Priority.NORMAL, 0.0, behind=True)
    assert queue.expect(4.0, Priority.NORMAL, 0.0) == pytest.approx(1.0)
    assert queue.expect(4.0, Priority.NORMAL, 0.0, behind=True) == pytest.approx(2.0)


@pytest.mark.parametrize("unlike", [recognized(9.0, ahead=True), recognized(9.0, retried=True), None])
def test_what_says_nothing_of_the_engines_pace_is_not_measured(unlike: Recognized | None) -> None:
    queue = OwnQueue()
    queue.estimate.pace.measure(4.0, 1.0, 0.0)
    queue.end(queue.begin(4.0, Priority.NORMAL, 0.0), unlike, 9.0)
    assert queue.estimate.work(4.0, 9.0) == pytest.approx(1.0)
