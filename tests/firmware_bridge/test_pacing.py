from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.pacing import Allowance, Backoff, Cooldown


def test_delays_double_up_to_the_most_and_start_again_after_reset() -> None:
    backoff = Backoff(1.0, 5.0, chance=random.Random(1))
    nominal = [1.0, 2.0, 4.0, 5.0, 5.0]
    for limit in nominal:
        assert limit / 2 <= backoff.next() <= limit
    backoff.reset()
    assert backoff.next() <= 1.0


def test_two_backoffs_do_not_keep_step() -> None:
    assert Backoff(1.0, 5.0).next() != Backoff(1.0, 5.0).next()


def test_a_key_passes_once_per_period() -> None:
    cooldown = Cooldown(1.0, most=10)
    assert cooldown.allows("a", 0.0)
    assert not cooldown.allows("a", 0.9)
    assert cooldown.allows("b", 0.9)
    assert cooldown.allows("a", 1.0)


def test_a_cooldown_forgets_the_key_that_passed_longest_ago() -> None:
    cooldown = Cooldown(100.0, most=2)
    assert [cooldown.allows(key, 0.0) for key in "abc"] == [True, True, True]
    assert not cooldown.allows("b", 1.0)
    assert not cooldown.allows("c", 1.0)
    assert cooldown.allows("a", 1.0)


@given(st.lists(st.floats(min_value=0, max_value=10), max_size=200))
def test_an_allowance_never_exceeds_its_burst_and_rate(steps: list[float]) -> None:
    allowance = Allowance(5, 2.0, now=0.0)
    now, passed = 0.0, 0
    for step in steps:
        now += step
        passed += allowance.take(now)
    assert passed <= 5 + 2.0 * now + 1e-6


@pytest.mark.parametrize("wait", [0.5, 100.0])
def test_an_allowance_comes_back_with_time_up_to_its_burst(wait: float) -> None:
    allowance = Allowance(3, 2.0, now=0.0)
    assert [allowance.take(0.0) for _ in range(4)] == [True, True, True, False]
    back = min(3, int(wait * 2))
    assert [allowance.take(wait) for _ in range(4)] == [True] * back + [False] * (4 - back)
