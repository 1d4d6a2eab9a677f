"""Health: the worst component speaks for all, and each change is announced once."""

from __future__ import annotations

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.events import HealthEvent
from gateway.observing.health import ComponentHealth, Health, HealthState

HEALTHY, DEGRADED, UNHEALTHY = HealthState


@pytest.fixture
def announced() -> list[HealthEvent]:
    return []


@pytest.fixture
def health(announced: list[HealthEvent]) -> Health:
    return Health(announced.append)


def test_nobody_has_reported_yet(health: Health) -> None:
    assert health.report().state is UNHEALTHY
    assert not health.report().ready


@pytest.mark.parametrize(
    ("states", "overall", "ready"),
    [
        ((HEALTHY, HEALTHY), HEALTHY, True),
        ((HEALTHY, DEGRADED), DEGRADED, True),
        ((UNHEALTHY, DEGRADED), UNHEALTHY, False),
    ],
)
def test_overall_is_the_worst(
    health: Health, states: tuple[HealthState, ...], overall: HealthState, *, ready: bool
) -> None:
    for number, state in enumerate(states):
        health.set(f"part {number}", state)
    assert health.report().state is overall
    assert health.report().ready is ready


def test_a_change_is_announced_once(health: Health, announced: list[HealthEvent]) -> None:
    assert health.set("recognizer", DEGRADED, "no model", "earshot models fetch base")
    assert not health.set("recognizer", DEGRADED, "no model", "earshot models fetch base")
    assert health.set("recognizer", HEALTHY)
    assert [(event.component, event.state, event.reason, event.remedy) for event in announced] == [
        ("recognizer", "degraded", "no model", "earshot models fetch base"),
        ("recognizer", "healthy", "", ""),
    ]


def test_a_new_reason_is_news(health: Health, announced: list[HealthEvent]) -> None:
    health.set("broker", UNHEALTHY, "refused")
    assert health.set("broker", UNHEALTHY, "timed out")
    assert [event.reason for event in announced] == ["refused", "timed out"]


def test_what_does_not_work_is_told_from_what_works_less_well(
    health: Health, announced: list[HealthEvent]
) -> None:
    health.set("microphones", DEGRADED, "one of three is away")
    health.set("port", DEGRADED, "not plugged in", works=False)
    health.set("journal", UNHEALTHY, "the disk is full")
    health.set("broker", HEALTHY, detail="Redis 7.0")
    assert [(event.works, event.detail) for event in announced] == [
        (True, ""), (False, ""), (True, ""), (True, "Redis 7.0"),
    ]  # fmt: skip
    assert health.report().components["port"] == ComponentHealth(DEGRADED, "not plugged in", works=False)


def test_a_report_is_a_copy(health: Health) -> None:
    health.set("broker", HEALTHY)
    report = health.report()
    health.set("broker", UNHEALTHY, "gone")
    assert report.components == {"broker": ComponentHealth(HEALTHY)}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(HealthState))))
def test_announcements_tell_the_whole_story(changes: list[tuple[str, HealthState]]) -> None:
    told: dict[str, str] = {}
    health = Health(lambda event: told.update({event.component: event.state}))
    for component, state in changes:
        health.set(component, state)
    assert told == {name: part.state for name, part in health.report().components.items()}


def test_the_log_says_it_in_few_words(health: Health) -> None:
    with structlog.testing.capture_logs() as logged:
        health.set("recognizer", UNHEALTHY, "the model is being loaded")
        health.set("recognizer", HEALTHY)
        health.set("mqtt", DEGRADED, "refused", "start it")
        health.set("recognizer", UNHEALTHY, "lost")
    assert logged == [
        {"log_level": "info", "event": "recognizer is unhealthy", "reason": "the model is being loaded"},
        {"log_level": "info", "event": "recognizer is healthy"},
        {"log_level": "warning", "event": "mqtt is degraded", "reason": "refused", "remedy": "start it"},
        {"log_level": "warning", "event": "recognizer is unhealthy", "reason": "lost"},
    ]


def test_what_is_no_news_for_the_log_is_logged_all_the_same_when_it_works_again(health: Health) -> None:
    with structlog.testing.capture_logs() as logged:
        for devices in ("0 devices", "1 device"):
            health.set("home_assistant", HEALTHY, detail=devices, quiet=True)
        health.set("home_assistant", DEGRADED, "refused", "start it")
        for devices in ("1 device", "2 devices"):
            health.set("home_assistant", HEALTHY, detail=devices, quiet=True)
    assert [(line["event"], line.get("detail")) for line in logged] == [
        ("home_assistant is healthy", "0 devices"),
        ("home_assistant is degraded", None),
        ("home_assistant is healthy", "1 device"),
    ]
