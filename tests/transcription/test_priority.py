"""Urgent goes first, nobody starves, and within a class the order stays."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.priority import TURNS, Precedence, Priority, UrgentFirst, priority_of

U, N, B = Priority
WAITING = st.lists(st.sets(st.sampled_from(Priority), min_size=1), max_size=80)
STEPS = st.lists(st.none() | st.sampled_from(Priority), max_size=120)


def test_urgent_is_first_and_each_lower_class_has_its_turns() -> None:
    precedence = Precedence()
    turns = [precedence.take({U, N, B}) for _ in range(30)]
    assert turns[:8] == [U] * 8
    assert [turns.count(one) for one in (U, N, B)] == [24, 3, 3]


def test_an_urgent_one_that_comes_is_next() -> None:
    precedence = Precedence()
    assert [precedence.take({N, B}) for _ in range(4)] == [N] * 4
    assert precedence.take({U, N, B}) is U


@settings(deadline=None)
@given(WAITING)
def test_of_ten_turns_through_which_a_class_waits_one_is_its_own(waiting: list[set[Priority]]) -> None:
    precedence = Precedence()
    turns = [precedence.take(classes) for classes in waiting]
    for first in range(len(turns) - TURNS + 1):
        window = slice(first, first + TURNS)
        assert set.intersection(*waiting[window]) <= set(turns[window])


@settings(deadline=None)
@given(WAITING)
def test_looking_who_is_next_changes_nothing_and_tells_who_it_will_be(waiting: list[set[Priority]]) -> None:
    precedence = Precedence()
    for classes in waiting:
        expected = precedence.next(classes)
        assert precedence.next(classes) is precedence.take(classes) is expected
        assert expected in classes


@settings(deadline=None)
@given(STEPS)
def test_the_queue_keeps_the_order_of_a_class_and_loses_nothing(steps: list[Priority | None]) -> None:
    queue: UrgentFirst[tuple[Priority, int]] = UrgentFirst()
    put, got = defaultdict(list), defaultdict(list)
    for number, priority in enumerate(steps):
        if priority is not None:
            queue.put((priority, number), priority)
            put[priority].append(number)
        elif queue:
            taken, which = queue.get()
            got[taken].append(which)
    while queue:
        taken, which = queue.get()
        got[taken].append(which)
    assert got == put
    with pytest.raises(ValueError, match="empty"):
        queue.get()


def test_a_class_of_a_later_version_is_normal() -> None:
    assert [priority_of(name) for name in ("urgent", "background", "fatal", "")] == [U, B, N, N]


def test_the_most_urgent_stands_first() -> None:
    assert [one.urgency for one in (U, N, B)] == [2, 1, 0]
