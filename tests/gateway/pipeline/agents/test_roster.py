"""The roster of agents: who is there, who is left alone, and that no record that lies harms anybody."""

from __future__ import annotations

import pytest

from gateway.contract.agents import ABSENT_SECONDS, AgentPresence
from gateway.pipeline.agents.breaker import BreakerState
from gateway.pipeline.agents.copies import MOST_COPIES
from gateway.pipeline.agents.roster import MOST_STRANGERS, STRANGER_SECONDS, Absence, AgentRoster
from gateway.pipeline.agents.track_record import ERROR_CHARACTERS, LATENCIES
from gateway.settings.orchestrator import AgentSettings, BreakerSettings

LATER = 100.0
"""When whoever is there has had the time to show itself."""
UNIX = 1_800_000_000.0


def roster(**settings: AgentSettings) -> AgentRoster:
    return AgentRoster(settings or {"lights": AgentSettings(), "weather": AgentSettings()}, 0.0)


def here(
    agent: str = "lights", instance: str = "a", *, state: str = "here", at: float = UNIX
) -> AgentPresence:
    return AgentPresence(agent=agent, instance=instance, state=state, timestamp=at)


def test_an_agent_may_be_there_until_it_had_the_time_to_say_so() -> None:
    agents = roster()
    assert agents.is_present("lights", ABSENT_SECONDS - 0.1)
    assert not agents.is_present("lights", ABSENT_SECONDS)
    assert agents.why_not("lights", ABSENT_SECONDS) is Absence.ABSENT


def test_it_is_there_until_it_was_silent_for_too_long() -> None:
    agents = roster()
    agents.seen(here(), LATER)
    assert agents.is_present("lights", LATER + ABSENT_SECONDS - 0.1)
    assert agents.why_not("lights", LATER + 1) is None
    assert not agents.is_present("lights", LATER + ABSENT_SECONDS)
    assert not agents.is_present("weather", LATER)


def test_one_copy_leaves_and_the_other_is_there() -> None:
    agents = roster()
    agents.seen(here(instance="a"), LATER)
    agents.seen(here(instance="b"), LATER)
    agents.seen(here(instance="a", state="leaving"), LATER + 0.1)
    assert agents.is_present("lights", LATER + 0.1)
    agents.seen(here(instance="b", state="leaving"), LATER + 0.2)
    assert not agents.is_present("lights", LATER + 0.2)


def test_who_leaves_is_gone_at_once_though_it_has_just_answered() -> None:
    agents = roster()
    agents.seen(here(), 1.0)
    agents.answered("lights", 0.1, 1.1)
    agents.seen(here(state="leaving"), 1.2)
    assert not agents.is_present("lights", 1.2)
    agents.seen(here(instance="b"), 1.3)
    assert agents.is_present("lights", 1.3)


def test_who_answers_is_there_without_saying_so() -> None:
    agents = roster()
    agents.answered("lights", 0.1, LATER)
    assert agents.is_present("lights", LATER + ABSENT_SECONDS - 0.1)
    assert not agents.is_present("lights", LATER + ABSENT_SECONDS)


def test_when_nobody_could_be_heard_they_have_their_time_again() -> None:
    agents = roster()
    agents.seen(here(), 1.0)
    agents.seen(here("weather", state="leaving"), 1.0)
    agents.be_patient(LATER)
    assert agents.is_present("lights", LATER + ABSENT_SECONDS - 0.1)
    assert not agents.is_present("weather", LATER)
    assert not agents.is_present("lights", LATER + ABSENT_SECONDS)


def test_who_fails_too_often_is_left_alone_and_then_asked_once() -> None:
    agents = roster(lights=AgentSettings(breaker=BreakerSettings(failures=2, open_seconds=10.0)))
    agents.seen(here(), LATER)
    for _ in range(2):
        agents.asked("lights", LATER)
        agents.failed("lights", "boom", timed_out=False, now=LATER)
    assert agents.why_not("lights", LATER) is Absence.BREAKER_OPEN
    agents.seen(here(), LATER + 8)
    agents.seen(here(), LATER + 10)
    assert agents.why_not("lights", LATER + 10) is None
    agents.asked("lights", LATER + 10)
    assert agents.why_not("lights", LATER + 10) is Absence.BREAKER_OPEN
    agents.answered("lights", 0.5, LATER + 10.5)
    assert agents.why_not("lights", LATER + 10.5) is None


def test_a_probe_that_is_given_up_is_no_verdict() -> None:
    agents = roster(lights=AgentSettings(breaker=BreakerSettings(failures=1, open_seconds=2.0)))
    agents.seen(here(), LATER)
    agents.failed("lights", "boom", timed_out=True, now=LATER)
    agents.asked("lights", LATER + 2)
    agents.given_up("lights")
    assert agents.why_not("lights", LATER + 2.1) is None


def test_who_comes_back_is_asked_at_once_though_it_failed_before() -> None:
    agents = roster(lights=AgentSettings(breaker=BreakerSettings(failures=1, open_seconds=3_600.0)))
    agents.seen(here(), LATER)
    agents.failed("lights", "boom", timed_out=True, now=LATER)
    assert agents.why_not("lights", LATER) is Absence.BREAKER_OPEN
    agents.seen(here(instance="b"), LATER + 1)  # another copy while the first is there: nothing is new
    assert agents.why_not("lights", LATER + 1) is Absence.BREAKER_OPEN
    agents.seen(here(instance="c"), LATER + 20)
    assert agents.why_not("lights", LATER + 20) is None


def test_figures_say_how_often_how_fast_and_what_went_wrong() -> None:
    agents = roster()
    for number in range(100):
        agents.asked("lights", LATER)
        agents.answered("lights", (number + 1) / 100, LATER)
    agents.asked("lights", LATER)
    agents.failed("lights", "x" * 10_000, timed_out=False, now=LATER)
    agents.failed("lights", "no answer in time", timed_out=True, now=LATER + 1)
    standing = agents.standing("lights", LATER + 1)
    assert standing is not None
    figures = standing.figures
    assert (figures.asked, figures.answered, figures.failed, figures.timed_out) == (101, 100, 2, 1)
    assert (figures.p50_seconds, figures.p95_seconds) == (0.5, 0.95)
    assert (figures.last_error, standing.breaker, standing.seen_at) == (
        "no answer in time",
        BreakerState.CLOSED,
        LATER,
    )
    agents.failed("lights", "x" * 10_000, timed_out=False, now=LATER)
    standing = agents.standing("lights", LATER + 1)
    assert standing is not None
    assert standing.figures.last_error == "x" * ERROR_CHARACTERS


def test_only_the_last_answers_count_for_how_fast_it_is() -> None:
    agents = roster()
    for _ in range(1_000):
        agents.answered("lights", 9.0, LATER)
    for _ in range(LATENCIES):
        agents.answered("lights", 0.1, LATER)
    standing = agents.standing("lights", LATER)
    assert standing is not None
    assert (standing.figures.p50_seconds, standing.figures.p95_seconds) == (0.1, 0.1)


def test_all_stand_in_the_order_of_the_configuration() -> None:
    agents = roster()
    agents.seen(here("weather"), 1.0)
    assert [one.name for one in agents.standings(1.0)] == ["lights", "weather"]
    assert [one.is_known for one in agents.standings(1.0)] == [False, True]
    assert [one.is_known for one in agents.standings(LATER)] == [True, True]


# -- records that lie


def test_nobody_is_there_under_a_name_that_nobody_has() -> None:
    agents = roster()
    for number in range(10_000):
        agents.seen(here(f"nobody{number}"), LATER)
    assert not agents.is_present("nobody7", LATER)
    assert agents.why_not("nobody7", LATER) is Absence.ABSENT
    assert agents.standing("nobody7", LATER) is None
    assert len(agents.strangers(LATER)) == MOST_STRANGERS
    assert agents.strangers(LATER + STRANGER_SECONDS) == ()
    agents.asked("nobody7", LATER)
    agents.answered("nobody7", 1.0, LATER)
    agents.failed("nobody7", "", timed_out=False, now=LATER)
    agents.given_up("nobody7")
    assert agents.clock("nobody7", LATER) == 0.0


def test_ten_thousand_copies_are_no_more_than_a_few() -> None:
    agents = roster()
    agents.seen(here(instance="real"), LATER)
    for number in range(10_000):
        agents.seen(here(instance=f"i{number}"), LATER)
    standing = agents.standing("lights", LATER)
    assert standing is not None
    assert len(standing.copies) == MOST_COPIES
    agents.seen(here(instance="real"), LATER + 1)
    assert agents.is_present("lights", LATER + ABSENT_SECONDS + 0.9)
    assert not agents.is_present("weather", LATER)


@pytest.mark.parametrize("timestamp", [-1.0, 0.0, float("inf"), float("nan"), -1e308])
def test_a_clock_that_cannot_be_is_unknown(timestamp: float) -> None:
    agents = roster()
    agents.seen(here(at=timestamp), LATER)
    assert agents.is_present("lights", LATER)
    assert agents.clock("lights", LATER) == 0.0


@pytest.mark.parametrize("off", [-3600.0, 0.0, 3600.0])
def test_its_clock_is_its_own(off: float) -> None:
    agents = roster()
    agents.seen(here(at=UNIX + off), LATER)
    assert agents.clock("lights", LATER + 0.5) == UNIX + off + 0.5
    assert agents.clock("weather", LATER) == 0.0


def test_copies_whose_clocks_differ_have_none_in_common() -> None:
    agents = roster()
    agents.seen(here(instance="a", at=UNIX), LATER)
    agents.seen(here(instance="b", at=UNIX + 1.0), LATER)
    assert agents.clock("lights", LATER) == UNIX + 1.0
    agents.seen(here(instance="b", at=UNIX + 3600.0), LATER)
    assert agents.clock("lights", LATER) == 0.0


def test_a_hundred_thousand_records_a_second_are_taken() -> None:
    agents = roster()
    for number in range(100_000):
        agents.seen(here(instance=f"i{number % 100}"), LATER + number / 100_000)
    assert agents.is_present("lights", LATER + 1)


def test_a_copy_that_tells_a_long_story_of_itself_is_cut_short() -> None:
    agents = roster()
    story = AgentPresence(agent="lights", instance="a", version="v" * 1_000, description="d" * 1_000)
    agents.seen(story, LATER)
    standing = agents.standing("lights", LATER)
    assert standing is not None
    (copy,) = standing.copies
    assert (len(copy.presence.version), len(copy.presence.description)) == (40, 200)
