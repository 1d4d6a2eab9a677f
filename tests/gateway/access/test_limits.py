"""Token buckets, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.limits import Buckets, Rate, address_key


def test_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(Rate(2.0, 4.0))
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0.0] * 4
    assert buckets.take("a", 0.0) == pytest.approx(0.5)
    assert buckets.take("a", 0.5) == 0.0
    assert buckets.take("a", 0.5) > 0
    assert buckets.refused == 2


def test_others_have_buckets_of_their_own() -> None:
    buckets = Buckets(Rate(1.0, 1.0))
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0.0


def test_no_limit_keeps_nothing() -> None:
    buckets = Buckets(Rate(0.0, 0.0))
    assert {buckets.take("a", 0.0, 1e9) for _ in range(100)} == {0.0}
    assert buckets.owe("a", 0.0, 1e9) == 0.0
    assert len(buckets) == 0


def test_what_was_used_is_owed() -> None:
    buckets = Buckets(Rate(100.0, 1_000.0))
    assert buckets.owe("a", 0.0, 1_000) == 0.0
    assert buckets.owe("a", 0.0, 50) == pytest.approx(0.5)
    assert buckets.owe("a", 0.0, 50) == pytest.approx(1.0)
    assert buckets.owe("a", 1.0, 0) == 0.0


def test_the_table_is_bounded_and_who_comes_back_stays() -> None:
    buckets = Buckets(Rate(1.0, 1.0), max_keys=3)
    for key in ("often", "b", "c"):
        buckets.take(key, 0.0)
    for number in range(100):
        buckets.owe("often", 0.0, 0.5)
        buckets.take(f"n{number}", 0.0)
    assert len(buckets) == 3
    assert buckets.take("often", 0.0) > 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    buckets = Buckets(Rate(1.0, 1.0))
    assert buckets.take("a", 100.0) == 0.0
    assert buckets.take("a", 50.0) > 0


@given(st.floats(0.1, 100), st.floats(1, 100), st.lists(st.floats(0, 10), max_size=60))
def test_never_more_than_the_burst_and_the_rate(per_second: float, burst: float, pauses: list[float]) -> None:
    buckets = Buckets(Rate(per_second, burst))
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now) == 0.0
    assert taken <= burst + per_second * now + 1e-6


@given(st.floats(0.1, 100), st.floats(1, 100), st.integers(1, 200))
def test_who_waits_as_told_is_let_in(per_second: float, burst: float, calls: int) -> None:
    buckets = Buckets(Rate(per_second, burst))
    now = 0.0
    for _ in range(calls):
        if (wait := buckets.take("a", now)) > 0:
            now += wait + 1e-6
            assert buckets.take("a", now) == 0.0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.168.1.5", "192.168.1.5"),
        ("::ffff:192.168.1.5", "192.168.1.5"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::99", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("somebody", "somebody"),
    ],
)
def test_who_counts_as_one(address: str, key: str) -> None:
    assert address_key(address) == key
