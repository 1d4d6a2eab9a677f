"""A breaker leaves alone who fails, and tries again with one question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.agents.breaker import TRANSITIONS, Breaker, BreakerEvent, BreakerState
from gateway.settings.orchestrator import BreakerSettings

SETTINGS = BreakerSettings(failures=3, window_seconds=60.0, open_seconds=10.0)


def tripped(at: float = 0.0, settings: BreakerSettings = SETTINGS) -> Breaker:
    breaker = Breaker(settings)
    for _ in range(settings.failures):
        breaker.failed(at)
    return breaker


def test_it_is_closed_until_there_are_too_many_failures() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(1.0)
    breaker.failed(2.0)
    assert (breaker.state(2.0), breaker.allows(2.0)) == (BreakerState.CLOSED, True)
    breaker.failed(3.0)
    assert (breaker.state(3.0), breaker.allows(3.0)) == (BreakerState.OPEN, False)


def test_failures_that_are_older_than_the_window_do_not_count() -> None:
    breaker = Breaker(SETTINGS)
    for at in (0.0, 30.0, 60.0, 91.0):
        breaker.failed(at)
    assert breaker.state(91.0) is BreakerState.CLOSED
    breaker.failed(92.0)
    assert breaker.state(92.0) is BreakerState.OPEN


def test_who_fails_rarely_is_asked_however_often_that_is() -> None:
    breaker = Breaker(SETTINGS)
    for number in range(10_000):
        at = number / 1_000
        if number % 100 == 0:
            breaker.failed(at)
        else:
            breaker.succeeded(at)
        assert breaker.allows(at)


def test_who_dies_after_many_answers_is_left_alone_as_fast_as_another() -> None:
    breaker = Breaker(SETTINGS)
    for number in range(1_000):
        breaker.succeeded(number / 1_000)
    for _ in range(3):
        assert breaker.allows(1.0)
        breaker.failed(1.0)
    assert not breaker.allows(1.0)


def test_no_failures_means_never() -> None:
    breaker = Breaker(BreakerSettings(failures=0))
    for _ in range(100):
        breaker.failed(0.0)
    assert breaker.allows(0.0)


def test_one_probe_goes_through_and_its_success_closes_it() -> None:
    breaker = tripped()
    assert not breaker.allows(9.9)
    assert breaker.allows(10.0)
    assert breaker.state(10.0) is BreakerState.HALF_OPEN
    breaker.asked(10.0)
    assert not breaker.allows(10.1)
    breaker.succeeded(10.2, asked_at=10.0)
    assert (breaker.state(10.2), breaker.allows(10.2)) == (BreakerState.CLOSED, True)


def test_what_failed_before_it_closed_again_is_forgiven() -> None:
    breaker = tripped()
    breaker.asked(10.0)
    breaker.succeeded(10.2)
    breaker.failed(10.3)
    breaker.failed(10.4)
    assert breaker.allows(10.4)


def test_a_probe_that_fails_opens_it_for_as_long_again() -> None:
    breaker = tripped()
    breaker.asked(10.0)
    breaker.failed(12.0, asked_at=10.0)
    assert not breaker.allows(21.9)
    assert breaker.allows(22.0)


def test_a_probe_that_was_stopped_makes_room_for_the_next() -> None:
    breaker = tripped()
    breaker.asked(10.0)
    breaker.abandoned()
    assert breaker.allows(10.1)


def test_a_probe_that_nobody_gives_a_verdict_on_does_not_shut_it_for_ever() -> None:
    breaker = Breaker(SETTINGS, probe_seconds=30.0)
    for _ in range(3):
        breaker.failed(0.0)
    breaker.asked(10.0)
    assert not breaker.allows(39.9)
    assert breaker.allows(40.0)


def test_what_was_asked_before_it_tripped_says_nothing_about_the_probe() -> None:
    breaker = tripped(at=5.0)
    breaker.asked(15.0)
    breaker.failed(16.0, asked_at=4.0)
    assert breaker.state(16.0) is BreakerState.HALF_OPEN
    breaker.succeeded(16.5, asked_at=4.5)
    assert breaker.state(16.5) is BreakerState.HALF_OPEN
    breaker.succeeded(17.0, asked_at=15.0)
    assert breaker.state(17.0) is BreakerState.CLOSED


def test_whoever_comes_anew_may_be_asked_at_once() -> None:
    breaker = tripped()
    breaker.renewed(1.0)
    assert breaker.state(1.0) is BreakerState.HALF_OPEN
    closed = Breaker(SETTINGS)
    closed.renewed(1.0)
    assert closed.state(1.0) is BreakerState.CLOSED


def test_each_state_is_left_and_reached() -> None:
    assert {state for state, _ in TRANSITIONS} == set(BreakerState)
    assert set(TRANSITIONS.values()) == set(BreakerState)
    assert {event for _, event in TRANSITIONS} == set(BreakerEvent)


@pytest.mark.parametrize("failures", [1, 5])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("asked", "succeeded", "failed", "abandoned", "renewed")),
            st.floats(min_value=0.0, max_value=20.0),
        ),
        max_size=60,
    )
)
def test_it_lets_somebody_through_in_the_end_whatever_happens(
    failures: int, steps: list[tuple[str, float]]
) -> None:
    breaker, now = Breaker(BreakerSettings(failures=failures), probe_seconds=60.0), 0.0
    for what, later in steps:
        now += later
        if what == "asked":
            if breaker.allows(now):
                breaker.asked(now)
                assert breaker.allows(now) == (breaker.state(now) is BreakerState.CLOSED)
        elif what == "abandoned":
            breaker.abandoned()
        else:
            {"succeeded": breaker.succeeded, "failed": breaker.failed, "renewed": breaker.renewed}[what](now)
    assert breaker.allows(now + 70.0)
