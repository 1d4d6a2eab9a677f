"""How many of each part it takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.planning.costs import measured
from gateway.planning.sizing import Box, HousePart, Sizing, Workload, sizing

COSTS = measured()
BASE = COSTS.models["base"]
CLINIC = Workload(devices=40, duty=0.02)
CAMPUS = Workload(devices=100_000, duty=0.02, listeners=5_000)


def plan(workload: Workload, box: Box | None = None) -> Sizing:
    return sizing(workload, COSTS, BASE, Box() if box is None else box, "nats")


def part(of: Sizing, name: str) -> HousePart:
    return next(part for part in of.parts if part.name.startswith(name))


def test_a_clinic_is_one_of_each() -> None:
    assert {one.name: one.count for one in plan(CLINIC).parts} == {
        "gateways": 1,
        "recognizers": 1,
        "brokers (nats)": 1,
    }
    assert plan(CLINIC).boxes == 1, "all of it on one"


def test_one_box_does_all_of_it_only_where_its_memory_holds_it() -> None:
    thousand = Workload(devices=1_000, duty=0.02)
    assert plan(thousand).boxes == 1
    tight = plan(thousand, Box(memory_gb=0.25))
    assert sum(one.memory_gb for one in tight.parts) > 0.25
    assert tight.boxes >= part(tight, "gateways").boxes > 1


def test_a_campus_needs_what_its_arithmetic_says() -> None:
    campus = plan(CAMPUS)
    assert CAMPUS.utterances == 500.0
    assert part(campus, "gateways").count >= 100_000 / 1_000
    assert part(campus, "recognizers").cores == pytest.approx(500 * COSTS.recognitions * BASE.seconds(4.0))
    assert part(campus, "brokers").count >= 3, "one may die"
    assert part(campus, "hubs").count >= 5
    assert campus.wait_seconds <= CAMPUS.wait_seconds
    assert campus.price == campus.boxes * 40
    assert campus.first[0].endswith("% full")


def test_slower_cores_are_more_of_them() -> None:
    fast, slow = plan(CAMPUS), plan(CAMPUS, Box(speed=0.5))
    assert part(slow, "recognizers").cores == pytest.approx(2 * part(fast, "recognizers").cores)
    assert slow.boxes > fast.boxes


def test_who_may_not_wait_needs_more() -> None:
    busy = structs.replace(CAMPUS, devices=2_000)
    patient, hurried = structs.replace(busy, wait_seconds=5.0), structs.replace(busy, wait_seconds=0.01)
    assert part(plan(hurried), "recognizers").count >= part(plan(patient), "recognizers").count


@given(devices=st.integers(1, 5_000_000), duty=st.floats(0.0001, 1.0), listeners=st.integers(0, 100_000))
def test_nothing_is_ever_more_than_full(devices: int, duty: float, listeners: int) -> None:
    workload = Workload(devices=devices, duty=duty, listeners=listeners)
    found = plan(workload)
    assert all(0 <= one.busy <= 1.0 and one.count >= 1 for one in found.parts)
    assert math.isfinite(found.price)


def test_what_speaks_more_needs_more_of_everything_that_hears() -> None:
    quiet, busy = plan(CAMPUS), plan(structs.replace(CAMPUS, duty=0.1))
    for name in ("gateways", "recognizers", "brokers"):
        assert part(busy, name).cores > part(quiet, name).cores, name
        assert part(busy, name).count >= part(quiet, name).count, name


def test_a_model_that_fits_into_no_box_takes_several() -> None:
    small = Box(cores=4, memory_gb=0.25)
    huge = structs.replace(BASE, memory_mb=1_000)
    crowded = sizing(CAMPUS, COSTS, huge, small, "nats")
    assert part(crowded, "recognizers").boxes >= 4 * part(crowded, "recognizers").count


def test_a_network_that_is_too_narrow_is_told() -> None:
    """Many gateways in a box with very many cores."""
    loud = Workload(devices=100_000, duty=0.5)
    told = sizing(loud, COSTS, BASE, Box(cores=256, memory_gb=4_096), "nats").first
    assert any("the network of a gateway's box" in line for line in told)


def test_who_follows_everybody_costs_the_hub_more() -> None:
    few, many = plan(CAMPUS), plan(structs.replace(CAMPUS, follows=10_000))
    assert part(many, "hubs").cores > 10 * part(few, "hubs").cores
