"""Erlang's formula, held against its known values and against a queue that is simulated."""

from __future__ import annotations

import heapq
import math
import random

import pytest

from gateway.planning.waiting import servers_for, share_that_waits, wait_seconds


@pytest.mark.parametrize(
    ("load", "servers", "share"),
    [(0.5, 1, 0.5), (1.0, 2, 1 / 3), (2.0, 3, 4 / 9), (8.0, 10, 0.4092), (100.0, 110, 0.2370), (5.0, 5, 1.0)],
)
def test_the_share_that_waits_is_that_of_the_tables(load: float, servers: int, share: float) -> None:
    assert share_that_waits(load, servers) == pytest.approx(share, abs=0.0005)


def test_nobody_waits_where_nobody_comes() -> None:
    assert share_that_waits(0.0, 1) == 0.0
    assert wait_seconds(0.01, 4, 0.3, 0.95) == 0.0


def test_too_few_are_too_few_for_ever() -> None:
    assert wait_seconds(4.0, 4, 0.3, 0.95) == math.inf


def test_a_simulated_queue_waits_as_long() -> None:
    chance, servers, service, rate = random.Random(1), 4, 0.3, 10.0
    free = [0.0] * servers
    waits, now = [], 0.0
    for _ in range(400_000):
        now += chance.expovariate(rate)
        begins = max(now, heapq.heappop(free))
        waits.append(begins - now)
        heapq.heappush(free, begins + chance.expovariate(1 / service))
    measured = sorted(waits)[int(0.95 * len(waits))]
    assert wait_seconds(rate * service, servers, service, 0.95) == pytest.approx(measured, rel=0.05)


def test_the_fewest_that_suffice() -> None:
    servers = servers_for(20.0, 0.3, 0.2, 0.95)
    assert wait_seconds(20.0, servers, 0.3, 0.95) <= 0.2 < wait_seconds(20.0, servers - 1, 0.3, 0.95)
