"""What figures, health and dates come to."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.alerting.relief import BACK, FREE, Relief, relief
from gateway.alerting.rules import FEWEST, Expiry, Window, amiss, ending, quantile, unwell
from gateway.contract.events import HealthEvent
from gateway.observing.health import Health, HealthState
from gateway.observing.machine.host import HostUse
from gateway.observing.machine.loop_lag import LagFigures
from gateway.observing.machine.sampler import MachineSample
from gateway.observing.metrics.waits import Waits
from gateway.settings.observing.alerts import AlertSettings

SETTINGS = AlertSettings()
DAY = 86_400.0
HOST = HostUse(
    load=0.1, cores=4.0, memory_total=1000, memory_available=900, disk_total=1000, disk_free=900, temperature=None,
    throttled=False,
)  # fmt: skip


def sample(lag: float = 0.001, **host: Any) -> MachineSample:
    figures = LagFigures(**dict.fromkeys(LagFigures.__struct_fields__, lag))
    return MachineSample(at=0.0, host=replace(HOST, **host), processes={}, cpu={}, tasks=1, lag=figures)


def window(*looks: Waits | dict[str, Any]) -> Window:
    """At each look (100 s apart) so much more: outcomes of texts and replies, seconds waited for texts."""
    one, waits = Window(), Waits()
    one.note(waits, 0.0, 600.0)
    for number, look in enumerate(looks, 1):
        assert isinstance(look, dict)
        waits.texts.update(look.get("texts", {}))
        waits.replies.update(look.get("replies", {}))
        for seconds in look.get("waited", ()):
            waits.speech_to_text.note(seconds)
        for seconds in look.get("answered", ()):
            waits.reply.note(seconds)
        one.note(waits, 100.0 * number, 600.0)
    return one


def found(one: Window, settings: AlertSettings = SETTINGS, machine: MachineSample | None = None) -> list[str]:
    return [each.name for each in amiss(settings, one, Waits().speech_to_text.bounds, machine)]


def test_where_all_is_well_nothing_is_said() -> None:
    well = {
        "texts": {"heard": 100},
        "replies": {"answered": 100},
        "waited": [0.3] * 100,
        "answered": [0.8] * 100,
    }
    assert found(window(well), machine=sample()) == []
    assert found(window(), machine=None) == []


def test_one_in_twenty_waits_too_long() -> None:
    assert found(window({"waited": [0.3] * 94 + [4.0] * 6})) == ["slow texts"]
    assert found(window({"waited": [0.3] * 96 + [4.0] * 4})) == []
    assert found(window({"answered": [0.3] * 90 + [100.0] * 10})) == ["slow answers"]


def test_few_say_nothing() -> None:
    few = {
        "texts": {"failed": FEWEST - 1},
        "replies": {"unanswered": FEWEST - 1},
        "waited": [9.0] * (FEWEST - 1),
    }
    assert found(window(few)) == []


def test_what_fails_and_what_nobody_answers() -> None:
    assert found(window({"texts": {"heard": 90, "nothing": 4, "failed": 6}})) == ["texts fail"]
    assert found(window({"replies": {"answered": 70, "unanswered": 20, "failed": 10}})) == ["no answers"]


def test_only_what_was_lately_counts() -> None:
    bad, good = {"texts": {"failed": 100}}, {"texts": {"heard": 100}}
    assert found(window(bad)) == ["texts fail"]
    assert found(window(bad, *[good] * 8)) == [], "ten minutes later"


def test_a_threshold_of_nothing_is_off() -> None:
    off = AlertSettings(
        failed_share=0.0, unanswered_share=0.0, speech_to_text_seconds=0.0, speech_to_reply_seconds=0.0,
        memory_free_share=0.0, disk_free_share=0.0, event_loop_lag_seconds=0.0, ends_days=0.0,
    )  # fmt: skip
    bad = {
        "texts": {"failed": 99},
        "replies": {"unanswered": 99},
        "waited": [30.0] * 99,
        "answered": [30.0] * 99,
    }
    assert found(window(bad), off, sample(9.0, memory_available=0, disk_free=0)) == []
    assert list(ending(off, [Expiry("it", -9e9, 0.0, "")], 1.0)) == []


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("memory", sample(memory_available=79)),
        ("disk", sample(disk_free=49)),
        ("event loop", sample(lag=0.11)),
    ],
)
def test_what_the_machine_lacks(name: str, machine: MachineSample) -> None:
    assert found(window(), machine=machine) == [name]


def test_a_machine_that_does_not_tell_lacks_nothing() -> None:
    nothing = sample(memory_total=0, memory_available=0, disk_total=0, disk_free=0)
    assert found(window(), machine=nothing) == []


def test_the_bucket_of_a_share() -> None:
    bounds = (1.0, 2.0)
    assert quantile(bounds, [0, 0, 0], 0.95) is None
    assert quantile(bounds, [95, 5, 0], 0.95) == 1.0
    assert quantile(bounds, [94, 6, 0], 0.95) == 2.0
    assert quantile(bounds, [0, 0, 100], 0.95) == float("inf")


@pytest.mark.parametrize(
    ("left", "when"), [(10 * DAY, "ends in 10 days"), (0.5 * DAY, "ends within a day"), (-5.0, "has ended")]
)
def test_what_ends_soon_is_one_alert_with_the_first(left: float, when: str) -> None:
    things = [
        Expiry("later", -9e9, 13 * DAY, "b"),
        Expiry("the token ann", -9e9, left, "rotate it"),
        Expiry("far", -9e9, 90 * DAY, "c"),
    ]
    (one,) = ending(SETTINGS, things, 0.0)
    assert one.text == f"the token ann {when}, and 1 more soon"
    assert (one.remedy, one.at_once) == ("rotate it", True)
    assert "ann" not in one.shown
    assert list(ending(SETTINGS, things[2:], 0.0)) == []


@pytest.mark.parametrize(
    ("now", "is_soon"), [(0.0, False), (0.85 * DAY, False), (0.95 * DAY, True), (2 * DAY, True)]
)
def test_what_does_not_last_long_ends_soon_only_when_little_is_left(now: float, *, is_soon: bool) -> None:
    assert Expiry("a visitor's token", 0.0, DAY, "").is_soon(now, 14.0) is is_soon


def test_what_is_not_well_is_told_and_many_devices_are_one() -> None:
    events: list[HealthEvent] = []
    health = Health(events.append)
    health.set("broker", HealthState.UNHEALTHY, "away", "start it")
    health.set("page", HealthState.HEALTHY)
    health.set("alert: disk", HealthState.DEGRADED, "full", "")
    for number in range(300):
        health.set(f"device {number}", HealthState.DEGRADED, "gone", "look", about=f"kitchen-{number}")
    found = {one.name: one for one in unwell(health.report())}
    assert found.keys() == {"broker", "devices gone"}
    assert (found["broker"].urgent, found["broker"].remedy) == (True, "start it")
    assert found["devices gone"].text.endswith("and 299 more")


# -- what gives way


@pytest.mark.parametrize(("free", "level"), [(900, 0), (99, 1), (69, 2), (39, 3), (0, 3)])
def test_the_less_is_free_the_more_gives_way(free: int, level: int) -> None:
    assert relief(Relief.NONE, sample(memory_available=free)) == Relief(level)


def test_it_comes_back_only_when_there_is_more_than_just_enough() -> None:
    level = relief(Relief.NONE, sample(memory_available=35))
    assert level is Relief.HISTORY
    seen = []
    for free in range(35, 200):
        level = relief(level, sample(memory_available=free))
        seen.append(level)
    assert seen == sorted(seen, reverse=True), "never back and forth"
    assert seen.index(Relief.NONE) + 35 == pytest.approx(1000 * (FREE[0] + BACK), abs=1)


def test_a_machine_that_is_too_busy_gives_drafts_up_and_no_more() -> None:
    assert relief(Relief.NONE, sample(lag=0.3, load=13.0)) is Relief.DRAFTS
    assert relief(Relief.NONE, sample(lag=0.3)) is Relief.NONE, "late once, and nobody else is busy"
    assert relief(Relief.NONE, sample(load=13.0)) is Relief.NONE, "others are busy, and we are in time"
    assert relief(Relief.DRAFTS, sample()) is Relief.NONE


def test_where_nobody_says_how_much_memory_there_is_nothing_gives_way() -> None:
    assert relief(Relief.HISTORY, sample(memory_total=0, memory_available=0)) is Relief.NONE
