"""Raised once, over once, whatever flickers in between."""

from __future__ import annotations

from gateway.alerting.alerts import MOST_ALERTS, Alerts, AlertState, Amiss

AFTER = 60.0


class Clock:
    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


def amiss(name: str = "disk", **facts: object) -> Amiss:
    return Amiss(**{"name": name, "text": "full", "remedy": "make room", **facts})  # type: ignore[arg-type]


def alerts() -> tuple[Alerts, Clock]:
    clock = Clock()
    return Alerts(AFTER, clock, clock), clock


def test_it_is_raised_when_it_lasts_and_over_when_that_lasts() -> None:
    one, clock = alerts()
    assert one.look([amiss()]) == []
    clock.at += AFTER - 1
    assert one.look([amiss()]) == []
    clock.at += 1
    (raised,) = one.look([amiss()])
    assert (raised.state, raised.name, raised.text, raised.remedy) == (
        AlertState.RAISED,
        "disk",
        "full",
        "make room",
    )
    assert raised.raised_at == clock.at
    assert one.current == [raised]
    for _ in range(3):
        clock.at += AFTER
        assert one.look([amiss(text="fuller")]) == [], "told once"
    assert one.look([]) == []
    clock.at += AFTER
    (over,) = one.look([])
    assert (over.state, over.raised_at, over.over_at) == (AlertState.OVER, raised.raised_at, clock.at)
    assert (one.current, one.look([]), one.raised) == ([], [], 1)


def test_what_flickers_is_raised_once_and_over_once() -> None:
    one, clock = alerts()
    news = []
    for step in range(200):
        clock.at += 5
        news += one.look([amiss()] if step % 3 else [])
    assert news == [], "it was never amiss for long"
    one, clock = alerts()
    one.look([amiss()])
    clock.at += AFTER
    news = one.look([amiss()])
    for step in range(200):
        clock.at += 5
        news += one.look([amiss()] if step % 3 else [])
    assert [alert.state for alert in news] == [AlertState.RAISED], "and never well for long"


def test_a_fact_is_told_at_once() -> None:
    one, _ = alerts()
    assert len(one.look([amiss("door", at_once=True)])) == 1


def test_urgent_ones_stand_first() -> None:
    one, clock = alerts()
    one.look([amiss("a", at_once=True)])
    clock.at += 1
    one.look([amiss("a"), amiss("b", at_once=True, urgent=True)])
    assert [alert.name for alert in one.current] == ["b", "a"]


def test_what_was_raised_by_the_gateway_before_is_not_raised_again() -> None:
    one, _ = alerts()
    one.look([amiss(at_once=True), amiss("gone", at_once=True)])
    other, clock = alerts()
    other.restore(one.current)
    assert other.look([amiss(at_once=True)]) == []
    clock.at += AFTER
    assert [alert.name for alert in other.look([amiss(at_once=True)])] == ["gone"], "and that is over"
    assert [alert.name for alert in other.current] == ["disk"]


def test_their_number_is_bounded() -> None:
    one, _ = alerts()
    many = [amiss(f"n{number}", at_once=True) for number in range(MOST_ALERTS + 50)]
    assert len(one.look(many)) == MOST_ALERTS


def test_another_patience_holds_at_once() -> None:
    one, clock = alerts()
    one.look([amiss()])
    one.reconfigure(1.0)
    clock.at += 1
    assert len(one.look([amiss()])) == 1


def test_what_everybody_may_see_is_less_where_it_has_to_be() -> None:
    one, _ = alerts()
    one.look(
        [amiss("door", at_once=True, text="10.0.0.9 tries", shown="somebody tries"), amiss(at_once=True)]
    )
    assert (one.shown("door"), one.shown("disk")) == ("somebody tries", "full")
