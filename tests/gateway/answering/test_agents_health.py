"""What health says of named agents: here, missed, failing; and little of it, where there are many."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec import UNSET

from gateway.answering.agents_health import ALL, BLAME_SECONDS, MOST_COMPONENTS, AgentsHealth
from gateway.contract.agents import ABSENT_SECONDS, AgentPresence
from gateway.contract.events import HealthEvent
from gateway.observing.health import ComponentHealth, Health, HealthState
from gateway.pipeline.agents.roster import AgentRoster
from gateway.settings.orchestrator import AgentSettings, BreakerSettings

SECRET = "the safe's number is 1234"


@dataclass
class Watched:
    """A roster and its health, with a clock of their own."""

    names: tuple[str, ...] = ("lights", "weather")
    inside: tuple[str, ...] = ()
    outside: dict[str, str] = field(default_factory=dict)
    now: float = 1_000.0
    connected: bool = True
    events: list[HealthEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = AgentSettings(breaker=BreakerSettings(failures=2, open_seconds=10.0))
        self.roster = AgentRoster(dict.fromkeys(self.names, settings), self.now)
        self.health = Health(self.events.append)
        self.watch = AgentsHealth(
            self.health,
            self.roster,
            self.inside,
            outside=self.outside,
            connected=lambda: self.connected,
            now=lambda: self.now,
        )

    def come(self, *names: str, instance: str = "i_1", version: str = "") -> None:
        for name in names:
            self.roster.seen(AgentPresence(agent=name, instance=instance, version=version), self.now)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.watch.look()

    def of(self, component: str) -> ComponentHealth:
        return self.health.report().components[component]

    @property
    def said(self) -> set[str]:
        """The components there are, but for the gateway's own."""
        return set(self.health.report().components) - {"gateway"}


def test_nobody_is_told_of_before_it_had_the_time_to_show_itself() -> None:
    watched = Watched()
    watched.come("weather")
    watched.later(0.5)
    assert watched.said == {"agent weather"}
    watched.later(ABSENT_SECONDS)
    assert watched.said == {"agent weather", "agent lights"}


def test_an_agent_that_is_missed_says_how_to_start_it_and_is_well_again_when_it_comes() -> None:
    watched = Watched()
    watched.later(ABSENT_SECONDS)
    missed = watched.of("agent lights")
    assert (missed.state, missed.works, missed.reason) == ("degraded", False, "lights is not there")
    assert "start it under this name" in missed.remedy
    watched.come("lights", version="1.4")
    watched.come("lights", instance="i_2", version="1.4")
    watched.later(0.0)
    assert watched.of("agent lights") == ComponentHealth(HealthState.HEALTHY, detail="1.4, 2 copies")


def test_where_what_is_said_goes_is_told() -> None:
    watched = Watched(inside=("lights",), outside={"lights": "api.example.com"})
    watched.come("lights", "weather")
    watched.later(0.0)
    assert watched.of("agent lights").detail == "inside the gateway, what is said goes to api.example.com"
    many = tuple(f"a{number}" for number in range(MOST_COMPONENTS + 1))
    watched = Watched(names=many, outside={"a1": "h", "a2": "h", "a3": "i"})
    watched.come(*many)
    watched.later(0.0)
    assert watched.of(ALL).detail == "9 of them; what is said goes to h, i"


def test_who_came_under_another_name_is_named() -> None:
    watched = Watched()
    watched.come("light", "toaster")
    watched.later(ABSENT_SECONDS)
    assert watched.of("agent lights").reason == "lights is not there; there is light, whom no setting names"
    assert watched.of("agent weather").reason == "weather is not there"


def test_who_says_what_cannot_be_read_is_told_so() -> None:
    watched = Watched()
    watched.roster.misread(
        "lights", "not an agent's presence: Object missing required field `agent`", watched.now
    )
    watched.later(ABSENT_SECONDS)
    assert "cannot be read: not an agent's presence: Object missing" in watched.of("agent lights").reason
    watched.come("lights")
    watched.later(0.0)
    assert watched.of("agent lights").state == "healthy"


def test_who_fails_too_often_is_told_of_without_a_word_of_its_own() -> None:
    watched = Watched()
    watched.come("lights", "weather")
    for _ in range(2):
        watched.roster.failed("lights", SECRET, timed_out=False, now=watched.now)
    watched.later(0.0)
    failing = watched.of("agent lights")
    assert (failing.state, failing.works) == ("degraded", False)
    assert failing.reason == "lights failed too often, and is left alone for a while"
    assert SECRET not in repr(watched.events)
    watched.later(1.0)
    watched.come("lights", "weather")
    assert watched.roster.why_not("lights", watched.now) is not None
    watched.roster.answered("lights", 0.1, watched.now)
    assert watched.of("agent lights") == failing
    watched.now += 9.0
    watched.come("lights")
    watched.roster.asked("lights", watched.now)
    watched.roster.answered("lights", 0.0, watched.now)
    watched.later(0.0)
    assert watched.of("agent lights").state == "healthy"


def test_an_agent_inside_that_kept_everybody_waiting_is_blamed_for_a_while() -> None:
    watched = Watched(inside=("lights",))
    watched.come("lights")
    watched.later(0.0)
    assert watched.of("agent lights") == ComponentHealth(HealthState.HEALTHY, detail="inside the gateway")
    watched.watch.blocked("lights", 2.5)
    blamed = watched.of("agent lights")
    assert (blamed.state, "2.5 s" in blamed.reason) == ("degraded", True)
    watched.now += BLAME_SECONDS
    watched.come("lights")
    watched.later(0.0)
    assert watched.of("agent lights").state == "healthy"


def test_an_agent_inside_that_cannot_be_run_says_which_setting_is_wrong() -> None:
    watched = Watched(inside=("lights",))
    watched.watch.unusable("lights", "nothing answers")
    broken = watched.of("agent lights")
    assert (broken.reason, broken.remedy) == ("nothing answers", "correct orchestrator.agents.lights.app")
    watched.later(100.0)
    assert watched.of("agent lights") == broken


def test_while_the_broker_is_away_nobody_is_said_to_be_missed() -> None:
    watched = Watched()
    watched.come("lights", "weather")
    watched.later(0.0)
    watched.connected = False
    watched.later(60.0)
    assert watched.of("agent lights").state == "healthy"
    watched.connected = True
    watched.later(1.0)
    assert watched.of("agent lights").state == "healthy"
    watched.come("lights")
    watched.later(ABSENT_SECONDS)
    assert watched.of("agent weather").state == "degraded"


def test_many_agents_are_one_component() -> None:
    names = tuple(f"a{number}" for number in range(100))
    watched = Watched(names)
    watched.come(*names)
    watched.later(0.0)
    assert watched.said == {ALL}
    assert watched.of(ALL) == ComponentHealth(HealthState.HEALTHY, detail="100 of them")
    watched.now += ABSENT_SECONDS
    watched.come(*names[10:])
    watched.later(0.0)
    missed = watched.of(ALL)
    assert missed.reason.startswith("10 of 100: a0 is not there; a1 is not there;")
    assert missed.reason.endswith("a4 is not there; and 5 more")
    assert (missed.state, missed.works) == ("degraded", UNSET), "for most of them work"
    assert len(watched.events) == 2
    watched.later(60.0)
    assert watched.of(ALL).works is False


@pytest.mark.parametrize(
    ("count", "components"), [(MOST_COMPONENTS, MOST_COMPONENTS), (MOST_COMPONENTS + 1, 1)]
)
def test_a_few_have_a_component_each(count: int, components: int) -> None:
    watched = Watched(tuple(f"a{number}" for number in range(count)))
    watched.later(ABSENT_SECONDS)
    assert len(watched.said) == components


def test_nothing_is_told_twice() -> None:
    watched = Watched()
    for _ in range(100):
        watched.come("lights", "weather")
        watched.later(1.0)
    assert len(watched.events) == 2


def test_agents_stand_where_an_orchestrator_does() -> None:
    watched = Watched()
    watched.later(ABSENT_SECONDS)
    assert {event.rank for event in watched.events if event.component.startswith("agent ")} == {3}
