"""Whatever the course of things: nobody is told twice of the same, and everything that is raised is over some time."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.alerting.alerts import Alert, Alerts, AlertState, Amiss
from gateway.alerting.intruders import Intruders
from gateway.alerting.relief import Relief, relief
from tests.gateway.alerting.test_rules import sample

NAMES = ("disk", "memory", "door")
LOOKS = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES)), st.floats(0.1, 200.0), st.booleans()), min_size=1, max_size=40
)
"""What is amiss at each look, how long after the one before, and whether the gateway begins anew before it."""


def found(names: set[str]) -> list[Amiss]:
    return [Amiss(name=name, text="it", remedy="do", at_once=name == "door") for name in sorted(names)]


@settings(max_examples=200, deadline=None)
@given(looks=LOOKS, after=st.floats(0.0, 120.0))
def test_raised_and_over_take_turns_also_over_restarts(
    looks: list[tuple[set[str], float, bool]], after: float
) -> None:
    now = [0.0]
    alerts = Alerts(after, lambda: now[0], lambda: now[0])
    told: dict[str, list[AlertState]] = {name: [] for name in NAMES}

    def tell(news: list[Alert]) -> None:
        for alert in news:
            told[alert.name].append(alert.state)

    for names, passed, begins_anew in looks:
        now[0] += passed
        if begins_anew:
            kept = msgspec.json.decode(msgspec.json.encode(alerts.current), type=list[Alert])
            alerts = Alerts(after, lambda: now[0], lambda: now[0])
            alerts.restore(kept)
        tell(alerts.look(found(names)))
        assert {alert.name for alert in alerts.current} == {
            name for name, states in told.items() if states[-1:] == [AlertState.RAISED]
        }
    for _ in range(3):
        now[0] += after + 1.0
        tell(alerts.look([]))
    assert alerts.current == []
    for states in told.values():
        assert states == [AlertState.RAISED, AlertState.OVER] * (len(states) // 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_000), st.floats(0.0, 1.0), st.floats(0.0, 20.0)), max_size=60))
def test_what_gives_way_follows_what_is_free(course: list[tuple[int, float, float]]) -> None:
    level = Relief.NONE
    for free, lag, load in course:
        before, level = level, relief(level, sample(lag=lag, memory_available=free, load=load))
        if free < 40:
            assert level is Relief.HISTORY
        if free >= 130:
            assert level <= Relief.DRAFTS, "there is room again, whatever it was before"
        if level > before and level > Relief.DRAFTS:
            assert free < 70, "only memory takes more than drafts"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("refused", "used", "booted")),
            st.integers(0, 5),
            st.integers(0, 3),
            st.floats(0.0, 30.0),
        ),
        max_size=200,
    )
)
def test_no_course_of_facts_breaks_it_or_makes_it_grow(facts: list[tuple[str, int, int, float]]) -> None:
    one, now = Intruders(), 0.0
    for kind, who, what, passed in facts:
        now += passed
        if kind == "refused":
            one.refused(f"10.0.0.{who}", now)
        elif kind == "used":
            one.used(f"token-{who}", f"10.0.0.{what}", now)
        else:
            one.booted(f"board-{who}", what, now)
        names = [amiss.name for amiss in one.amiss(now)]
        assert len(names) == len(set(names)) <= 3
    assert list(one.amiss(now + 601.0)) == []
