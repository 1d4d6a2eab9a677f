"""Which sessions try something, what they are asked, how both sides do, and when it is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import convert

from gateway.pipeline.agents.features import End, Features, Side
from gateway.pipeline.teams.outcome import Cause, TeamOutcome
from gateway.pipeline.teams.plans import Asking, Plans
from gateway.pipeline.teams.trying import choose, end_of
from gateway.settings.features import FeatureSettings
from gateway.settings.orchestrator import OrchestratorSettings

ASKING = Asking("ann", "kitchen", "Kitchen", "en", "what is the weather")
ORCHESTRATOR: dict[str, Any] = {
    "agents": {"big": {}, "small": {}, "judge": {}, "german": {"languages": ["de"]}},
    "teams": {
        "house": {"agents": ["big"], "combine": "by", "combined_by": "judge"},
        "other": {"agents": ["small"]},
        "nights": {"agents": ["small"], "pattern": "night"},
    },
}
SESSIONS = [f"s_{number}" for number in range(2_000)]


def plans() -> Plans:
    return Plans(convert(ORCHESTRATOR, OrchestratorSettings))


def features(**settings: dict[str, Any]) -> Features:
    return Features(convert(settings, dict[str, FeatureSettings]))


def asked(tried: Features, session_id: str = "s_1", asking: Asking = ASKING) -> list[str]:
    plan, _ = choose(tried, plans(), asking, session_id)
    assert plan is not None
    return [plan.name, *(one.name for one in plan.members), *([plan.combiner.name] if plan.combiner else [])]


def test_it_is_for_as_many_sessions_as_it_says_and_always_for_the_same() -> None:
    tried = features(a={"percent": 10, "team": "other"}, b={"percent": 10, "agents": {"judge": "small"}})

    def of(name: str) -> set[str]:
        sides = {session: choose(tried, plans(), ASKING, session)[1] for session in SESSIONS}
        return {session for session, found in sides.items() if Side(name, on=True) in found}

    a, b = of("a"), of("b")
    assert 150 < len(a) < 250
    assert a == of("a")
    assert len(a & b) < 60, "what the one tries says nothing about the other"


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({"team": "other"}, ["other", "small"]),
        ({"team": "other", "in_place_of": "house"}, ["other", "small"]),
        ({"team": "other", "in_place_of": "nights"}, ["house", "big", "judge"]),
        ({"team": "nights"}, ["house", "big", "judge"]),
        ({"team": "gone"}, ["house", "big", "judge"]),
        ({"agents": {"big": "small"}}, ["house", "small", "judge"]),
        ({"agents": {"judge": "small"}}, ["house", "big", "small"]),
        ({"agents": {"big": "german"}}, ["house", "big", "judge"]),
        ({"agents": {"big": "gone"}}, ["house", "big", "judge"]),
        ({"agents": {"small": "big"}}, ["house", "big", "judge"]),
    ],
)
def test_what_it_makes_of_a_team(feature: dict[str, Any], expected: list[str]) -> None:
    tried = features(one={"percent": 100, **feature})
    assert asked(tried) == expected
    _, sides = choose(tried, plans(), ASKING, "s_1")
    assert sides == ((Side("one", on=True),) if expected != ["house", "big", "judge"] else ())


def ends(tried: Features, on: int, off: int, seconds: float = 1.0, end: End = End.ANSWERED) -> None:
    for number in range(on + off):
        tried.ended((Side("one", on=number < on),), end, seconds)


def reason(tried: Features) -> str:
    (one,) = tried.standings()
    return one.taken_back


@pytest.mark.parametrize("end", [End.FAILED, End.PUZZLED])
def test_more_without_an_answer_is_worse(end: End) -> None:
    tried = features(one={"percent": 100, "team": "other"})
    ends(tried, 45, 400)
    ends(tried, 2, 10, end=end)
    ends(tried, 1, 0)
    assert reason(tried) == "", "there are too few of them"
    ends(tried, 2, 0, end=end)
    assert reason(tried) == "8.0 % of 50 without an answer, 2.4 % else"
    assert asked(tried) == ["house", "big", "judge"]
    assert choose(tried, plans(), ASKING, "s_1")[1] == ()
    (one,) = tried.standings()
    assert (one.on.requests, one.on.failed + one.on.puzzled) == (50, 4)


def test_what_takes_much_longer_is_worse() -> None:
    tried = features(one={"team": "other"})
    ends(tried, 0, 60, 1.0)
    ends(tried, 60, 0, 1.4)
    assert reason(tried) == ""
    ends(tried, 5, 0, 1.6)
    assert reason(tried) == "95 % of 64 within 1.60 s, 1.00 s else"


def test_what_nobody_would_notice_is_not() -> None:
    tried = features(one={"team": "other"})
    ends(tried, 0, 60, 0.01)
    ends(tried, 60, 0, 0.09)
    assert reason(tried) == ""
    free = features(one={"team": "other", "back": {"p95_percent": 0, "failures_percent": 100}})
    ends(free, 0, 60)
    ends(free, 60, 0, 99.0)
    ends(free, 60, 0, end=End.FAILED)
    assert reason(free) == ""


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (TeamOutcome("sun", "big"), End.ANSWERED),
        (TeamOutcome("sun", "big", cached=True), None),
        (TeamOutcome("", "big", error="what?", cause=Cause.PUZZLED), End.PUZZLED),
        (TeamOutcome("", "big", error="broken", cause=Cause.FAILED), End.FAILED),
        (TeamOutcome("", "big", error="late", cause=Cause.LATE), End.FAILED),
        (TeamOutcome("", "big", error="away", cause=Cause.NOBODY), End.FAILED),
    ],
)
def test_what_the_end_of_a_team_says(outcome: TeamOutcome, end: End | None) -> None:
    assert end_of(outcome) is end


def test_only_so_much_is_known() -> None:
    tried = features(one={"team": "other"})
    ends(tried, 1_500, 0)
    (one,) = tried.standings()
    assert (one.on.requests, one.on.counted) == (1_500, 1_000)


def test_what_the_larger_side_has_forgotten_is_not_held_against_the_smaller() -> None:
    tried = features(one={"team": "other", "percent": 10})
    for hour in range(40):  # both sides have a bad one, of which the smaller knows for ten times as long
        end = End.FAILED if hour < 4 else End.ANSWERED
        for _ in range(6):
            ends(tried, 1, 9, end=end)
        assert reason(tried) == ""
    (one,) = tried.standings()
    assert (one.on.failed, one.off.failed) == (24, 0)
    for _ in range(60):
        ends(tried, 1, 9)
        ends(tried, 1, 9)
        ends(tried, 1, 0, end=End.FAILED)
        ends(tried, 0, 9)
    assert reason(tried).endswith("without an answer, 0.0 % else")


def test_what_was_asked_before_it_was_tried_anew_counts_no_more() -> None:
    tried = features(one={"percent": 100, "team": "other"})
    _, before = choose(tried, plans(), ASKING, "s_1")
    assert tried.try_again("one")
    tried.ended(before, End.FAILED, 1.0)
    tried.reconfigure(convert({"one": {"percent": 99, "team": "other"}}, dict[str, FeatureSettings]))
    tried.ended(before, End.FAILED, 1.0)
    assert tried.standings()[0].on.requests == 0
    _, sides = choose(tried, plans(), ASKING, "s_1")
    tried.ended(sides, End.ANSWERED, 1.0)
    (one,) = tried.standings()
    assert one.on.requests + one.off.requests == 1


def test_it_stays_taken_back_until_somebody_says_otherwise() -> None:
    told: list[str] = []
    tried = features(one={"percent": 100, "team": "other"}, two={"percent": 0, "team": "nights"})
    tried.on_change = lambda: told.append(tried.standings()[0].taken_back)
    assert tried.take_back("one", "by hand")
    tried.reconfigure(convert({"one": {"percent": 100, "team": "other"}}, dict[str, FeatureSettings]))
    assert reason(tried) == "by hand"
    assert tried.try_again("one")
    assert asked(tried) == ["other", "small"]
    tried.take_back("one", "again")
    tried.reconfigure(convert({"one": {"percent": 99, "team": "other"}}, dict[str, FeatureSettings]))
    assert reason(tried) == "", "its settings are others"
    assert not tried.take_back("three", "it is not there")
    assert not tried.try_again("three")
    assert told == ["by hand", "by hand", "", "again", ""]
