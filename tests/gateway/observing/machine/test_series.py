"""Figures over time: means of steps, no more of them than there is room for, whatever the clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observing.machine.series import Steps


def test_a_step_is_the_mean_of_what_was_in_it() -> None:
    steps = Steps(10.0, 5)
    for at, value in ((100, 1.0), (105, 2.0), (110, 6.0), (115, 10.0), (120, 20.0)):
        steps.note(at, {"load": value})
    course = steps.course()
    assert course.ends == [110, 120]
    assert course.figures == {"load": [3.0, 15.0]}
    assert course.step_seconds == 10.0


def test_the_oldest_give_way() -> None:
    steps = Steps(1.0, 3)
    for at in range(10):
        steps.note(at, {"load": at})
    assert steps.course().ends == [7, 8, 9]
    assert steps.course().figures["load"] == [7, 8, 9]


def test_what_was_not_there_is_none() -> None:
    steps = Steps(1.0, 10)
    for at, figures in enumerate(({"a": 1.0}, {"a": 1.0}, {"b": 2.0}, {}, {"a": 4.0, "b": 3.0})):
        steps.note(at, figures)
    assert steps.course().figures == {"a": [1.0, None, None, 4.0], "b": [None, 2.0, None, 3.0]}


def test_a_clock_that_is_set_back_begins_a_step_anew() -> None:
    steps = Steps(10.0, 10)
    for at in (1000, 1009, 50, 55, 60):
        steps.note(at, {"a": at})
    assert steps.course().ends == [60]
    assert steps.course().figures == {"a": [55.0]}


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e10), st.dictionaries(st.sampled_from("abc"), st.floats(-1e9, 1e9), max_size=3)
        ),
        max_size=40,
    )
)
def test_it_stays_within_its_bounds(noted: list[tuple[float, dict[str, float]]]) -> None:
    steps = Steps(5.0, 7)
    for at, figures in noted:
        steps.note(at, figures)
    course = steps.course()
    assert len(course.ends) <= 7
    assert all(len(values) == len(course.ends) for values in course.figures.values())
    assert set(course.figures) <= {"a", "b", "c"}
    for values in course.figures.values():
        assert all(value is None or -1.1e9 <= value <= 1.1e9 for value in values)


def test_figures_are_told_to_five_places() -> None:
    steps = Steps(1.0, 2)
    for at in (0, 1):
        steps.note(at, {"a": 1234567.0})
    assert steps.course().figures["a"] == [pytest.approx(1234567, rel=1e-4)]
    assert steps.course().figures["a"] == [1234600.0]
