"""Percentiles out of histograms, slopes, what stays flat, and the bars that are made of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.fleet import figures
from benchmarks.fleet.devices import Outcome, Spoken, outcome
from benchmarks.fleet.figures import Ran, Stretch
from benchmarks.fleet.scraping import Look
from firmware_bridge.simulator.user import SpokenUtterance

INFINITE = math.inf
HOUR = 3600


def look(at: float, **seen: float) -> Look:
    """At that second; names have spaces for underscores."""
    return Look(at=at, took_ms=2.0, busy=0.5, figures={name.replace("_", " "): v for name, v in seen.items()})


def spoken(at: float, what: Outcome = "answered", **other: Any) -> Spoken:
    """An utterance that ended then."""
    return Spoken(
        **{
            "at": at, "device": "mqtt-000", "carrier": "mqtt", "seconds": 2.0, "outcome": what, "text_ms": 100.0,
            "reply_ms": 150.0, "overrun_frames": 0, **other,
        }
    )  # fmt: skip


def ran(looks: list[Look], said: list[Spoken], *, end: float = 100.0, **listeners: int) -> Ran:
    """One stretch of all of it."""
    stretch = Stretch(name="capacity", duty=0.02, begin=0.0, end=end)
    return Ran(
        stretches=(stretch,),
        looks=tuple(looks),
        spoken=tuple(said),
        listeners=dict(listeners),
        scrape_failures=0,
    )


@pytest.mark.parametrize(
    ("percent", "value"),
    [(50, 0.005), (25, 0.0025), (75, 0.01 * 0.5 + 0.005), (100, 0.02)],
)
def test_a_percentile_lies_within_its_bucket(percent: float, value: float) -> None:
    buckets = {0.005: 50.0, 0.01: 50.0, 0.02: 100.0, INFINITE: 100.0}
    found = figures.from_buckets(buckets, percent)
    assert found == pytest.approx(value if percent != 75 else 0.015)


def test_what_is_above_the_last_bound_counts_as_that_and_nothing_is_no_figure() -> None:
    assert figures.from_buckets({0.1: 0.0, INFINITE: 5.0}, 99) == 0.1
    assert math.isnan(figures.from_buckets({0.1: 0.0, INFINITE: 0.0}, 99))
    assert math.isnan(figures.from_buckets({}, 99))


def test_only_what_came_between_two_looks_is_counted() -> None:
    first = Look(at=0, took_ms=1, busy=0, figures={"lag 0.01": 0.0, "lag 0.05": 900.0, "lag +Inf": 900.0})
    last = Look(at=1, took_ms=1, busy=0, figures={"lag 0.01": 100.0, "lag 0.05": 1000.0, "lag +Inf": 1000.0})
    assert figures.counted("lag", first, last) == {0.01: 100.0, 0.05: 100.0, INFINITE: 100.0}
    assert figures.between([first, last], "lag", 99) <= 0.01
    assert math.isnan(figures.between([first], "lag", 99))


def test_cores_are_counted_between_renewals() -> None:
    """The gateway looks at its processes each 5 s, and is looked at each second."""
    seconds = [(at, 1.0 + 0.5 * 5 * (at // 5)) for at in range(21)]
    assert figures.cores([look(at, cpu_gateway=used) for at, used in seconds], "gateway") == pytest.approx(
        0.5
    )
    assert math.isnan(figures.cores([look(0, cpu_gateway=1.0), look(1, cpu_gateway=1.0)], "gateway"))


def test_a_slope_is_that_of_simulated_hours() -> None:
    looks = [look(at, memory_gateway=(100 + at / HOUR) * 2**20) for at in range(0, HOUR, 60)]
    name = "memory gateway"
    assert figures.slope_per_hour(looks, name, scale=2**-20) == pytest.approx(1.0)
    assert figures.slope_per_hour(looks, name, scale=2**-20, compressed=10) == pytest.approx(0.1)
    assert math.isnan(figures.slope_per_hour(looks[:9], name))


def test_what_stays_flat_has_no_drift_whatever_it_did_at_its_start() -> None:
    rises = [50.0] * 10 + [90.0] * 30
    assert figures.drift([look(n, tasks=v) for n, v in enumerate(rises)], "tasks") == 0
    leaks = [float(n) for n in range(40)]
    assert figures.drift([look(n, tasks=v) for n, v in enumerate(leaks)], "tasks") == 20
    assert math.isnan(figures.drift([], "tasks"))


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (SpokenUtterance(1), "no text"),
        (SpokenUtterance(1, transcript="on"), "no answer"),
        (SpokenUtterance(1, transcript="on", reply="done", reply_at=1.0), "answered"),
        (SpokenUtterance(1, transcript="", reply="", reply_at=1.0), "no text"),
        (SpokenUtterance(1, transcript="on", reply="sorry", reply_at=1.0, fallback=True), "fallback"),
        (SpokenUtterance(1, transcript="on", reply="broken", reply_at=1.0, error=True), "failed"),
    ],
)
def test_what_became_of_an_utterance_is_what_its_speaker_was_told(
    said: SpokenUtterance, what: Outcome
) -> None:
    assert outcome(said) == what


def test_those_without_an_answer_are_counted_by_why() -> None:
    said = [spoken(1), spoken(2, "no text"), spoken(3, "no text"), spoken(4, "fallback")]
    assert figures.unanswered(said) == {"no text": 2, "fallback": 1}


def test_whoever_asks_the_slow_agent_waits_for_it_and_is_told_apart() -> None:
    said = [spoken(1), spoken(2, device="far", reply_ms=1650.0), spoken(3, text_ms=None, reply_ms=None)]
    waits = figures.waits(said, frozenset({"far"}))
    assert waits["speech to reply, p99_ms"] == 150.0
    assert waits["speech to the slow agent's reply, p50_ms"] == 1650.0
    assert figures.waits([]) == {}


def test_everything_that_is_lost_counts_and_so_does_a_listener_that_goes() -> None:
    first = look(0, lost_answers=1, mishaps=0, utterances_failed=0)
    last = look(9, lost_answers=3, mishaps=1, utterances_failed=1, events_dropped=2)
    assert figures.losses([first, last], ran([first, last], [])) == 6
    assert figures.losses([first, last], ran([first, last], [], closed=3)) == 9
    assert math.isnan(figures.losses([first], ran([first], [])))


def lags(at: float, quick: float, late: float) -> Look:
    """So many timers within 5 ms, so many within 100 ms."""
    all_ = quick + late
    return Look(
        at=at,
        took_ms=2,
        busy=0,
        figures={"lag 0.005": quick, "lag 0.05": quick, "lag 0.1": all_, "lag +Inf": all_},
    )


def test_the_last_phase_has_the_bar_of_capacity_and_those_before_it_that_of_half() -> None:
    half = Stretch(name="half", duty=0.01, begin=0.0, end=10.0)
    full = Stretch(name="capacity", duty=0.02, begin=10.0, end=20.0)
    looks = [lags(1, 0, 0), lags(9, 100, 0), lags(11, 100, 0), lags(19, 150, 50)]
    run = Ran(
        stretches=(half, full), looks=tuple(looks), spoken=(spoken(5), spoken(15), spoken(16, "no answer")),
        listeners={}, scrape_failures=0,
    )  # fmt: skip
    bars = {bar.what: bar for bar in figures.load_bars(run)}
    assert (bars["half: event loop lag, p99"].limit, bars["half: event loop lag, p99"].ok) == (10, True)
    assert bars["capacity: event loop lag, p99"].limit == 50
    assert bars["capacity: event loop lag, p99"].value == pytest.approx(99)
    assert not bars["capacity: event loop lag, p99"].ok
    assert bars["half: utterances without an answer"].value == 0
    assert bars["capacity: utterances without an answer"].value == 50


def test_a_run_that_saw_nothing_meets_no_bar() -> None:
    bars = figures.load_bars(ran([], [])) + figures.soak_bars(ran([], []))
    assert len(bars) == 10
    assert not any(bar.ok for bar in bars)


def test_a_soak_is_judged_by_memory_descriptors_tasks_and_errors() -> None:
    looks = [
        Look(
            at=at, took_ms=2, busy=0,
            figures={
                "memory gateway": (100 + at) * 2**20, "memory recognizer": 50.0 * 2**20, "tasks": 40.0,
                "descriptors gateway": 30.0 + at, "descriptors recognizer": 9.0,
            },
        )
        for at in range(40)
    ]  # fmt: skip
    bars = {bar.what: bar for bar in figures.soak_bars(ran(looks, [spoken(3)]))}
    assert bars["memory, gateway"].value == pytest.approx(HOUR)
    assert not bars["memory, gateway"].ok
    assert bars["memory, recognizer"].ok
    assert not bars["descriptors, gateway, last quarter above the second"].ok
    assert bars["tasks, last quarter above the second"].ok
    assert bars["lost"].ok
    assert bars["utterances without an answer"].ok


def test_the_figures_of_a_phase_are_its_own_and_none_is_no_number() -> None:
    looks = [look(n, queue_recognizer=n, cpu_gateway=n // 5) for n in range(50)]
    run = ran(looks, [spoken(5), spoken(6, "no text", text_ms=None, reply_ms=None), spoken(300)], end=50.0)
    found = figures.metrics_of(run, run.stretches[0], frozenset())
    assert found["utterances"] == 2
    assert found["utterances: no text"] == 1
    assert found["recognizer's queue, most"] == 49
    assert found["gateway, cores"] == pytest.approx(0.2)
    assert not any(isinstance(value, float) and math.isnan(value) for value in found.values())
