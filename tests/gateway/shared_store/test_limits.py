"""Limits of the whole house: what one gateway lets through counts at the others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.access.limits import LONGEST_DEBT, Buckets, Rate
from gateway.observing.health import HealthState
from gateway.shared_store.limits import IDLE_BEATS, MOST_KEYS, SharedLimits, Spent
from tests.gateway.shared_store.gateways import SLOW, place, until
from tests.gateway.shared_store.stores import KINDS, house

NAME = "requests"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


class One:
    """A gateway's limits, with a store of no length."""

    def __init__(self, rate: Rate = SLOW) -> None:
        self.buckets = Buckets(rate)
        self.shared = SharedLimits()
        self.body: bytes | None = None
        self.beat({})

    def beat(self, others: dict[str, bytes]) -> None:
        self.body = self.shared.tell({NAME: self.buckets}) or self.body
        self.shared.learn(others, {NAME: self.buckets}, 0.0)

    def take(self, times: int, key: str = "ann") -> int:
        """How many of so many were let through."""
        return sum(self.buckets.take(key, 0.0) == 0 for _ in range(times))


def told(one: One, other: One) -> None:
    one.beat({})
    assert one.body is not None
    other.beat({"one": one.body})


def test_what_one_lets_through_counts_once_at_the_other() -> None:
    one, other = One(), One()
    assert one.take(6) == 6
    told(one, other)
    other.beat({"one": one.body or b""})
    assert other.take(10) == 4
    assert other.take(1, "bob") == 1
    one.take(2)
    told(one, other)
    assert other.take(1) == 0


def test_a_run_that_began_anew_counts_from_its_beginning() -> None:
    one, other = One(), One()
    one.take(3)
    told(one, other)
    again = One()
    again.take(3)
    told(again, other)
    assert other.take(10) == 4


def test_what_was_let_through_before_there_was_a_store_concerns_nobody() -> None:
    one, other = One(), One()
    one.shared.forget()
    one.take(9)
    one.beat({})
    one.take(1)
    told(one, other)
    assert other.take(10) == 9


def test_who_comes_back_takes_what_stands_there_as_known() -> None:
    one, other = One(), One()
    one.take(9)
    told(one, other)
    late = One()
    late.shared.forget()
    late.beat({"one": one.body or b""})
    assert late.take(10) == 10


def test_what_others_took_at_once_keeps_nobody_out_for_long() -> None:
    one, other = One(Rate(per_second=10, burst=10)), One(Rate(per_second=10, burst=10))
    for _ in range(100):
        one.buckets.owe("ann", 0.0, 1e6)
    told(one, other)
    assert other.buckets.take("ann", LONGEST_DEBT + 1) == 0


def test_those_who_take_nothing_any_more_are_not_told_of_for_ever() -> None:
    one = One()
    one.take(1)
    for _ in range(IDLE_BEATS + 1):
        one.beat({})
    one.take(1, "bob")
    one.beat({})
    assert set(msgspec.msgpack.decode(one.body or b"", type=Spent).totals[NAME]) == {"bob"}


def test_many_addresses_are_told_of_up_to_a_bound() -> None:
    one = One()
    for number in range(MOST_KEYS + 50):
        one.take(1, f"10.0.0.{number}")
    one.take(3, "busy")
    one.beat({})
    totals = msgspec.msgpack.decode(one.body or b"", type=Spent).totals[NAME]
    assert len(totals) == MOST_KEYS
    assert totals["busy"] == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        msgspec.msgpack.encode(["run", {NAME: {"ann": float("nan")}}]),
        msgspec.msgpack.encode([1, 2]),
    ],
)
def test_what_cannot_be_read_counts_nothing(body: bytes) -> None:
    one = One()
    one.beat({"other": body})
    assert one.shared.garbage == 1
    assert one.take(10) == 10


def test_a_debt_below_nothing_gives_nobody_more() -> None:
    one = One()
    one.beat({"other": msgspec.msgpack.encode(Spent("run", {NAME: {"ann": -5.0}, "unknown": {"ann": 1.0}}))})
    assert one.take(11) == 10


async def test_a_limit_that_is_reached_at_one_is_reached_at_the_other(server: Any, tmp_path: Path) -> None:
    settings = house(server)
    async with place(tmp_path, "one", settings) as one, place(tmp_path, "other", settings) as other:
        await one.is_well()
        await other.is_well()
        now = time.monotonic()
        assert sum(one.limit.take("10.0.0.1", now) == 0 for _ in range(20)) == 10
        await until(lambda: other.limit.take("10.0.0.1", now) > 0)
        assert other.limit.take("10.0.0.2", now) == 0


async def test_limits_hold_here_while_the_store_is_away(redis: Any, tmp_path: Path) -> None:
    async with place(tmp_path, "one", house(redis)) as one:
        await one.is_well()
        redis.kill()
        await until(lambda: one.condition() is HealthState.DEGRADED)
        now = time.monotonic()
        assert sum(one.limit.take("10.0.0.1", now) == 0 for _ in range(20)) == 10
