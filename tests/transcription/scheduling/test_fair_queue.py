"""Whose turn it is."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.errors import QueueFull
from transcription.scheduling.fair_queue import FairQueue

PUTS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "get", "discard"])), max_size=60)


def test_owners_take_turns_and_each_is_served_in_order() -> None:
    queue: FairQueue[str] = FairQueue(20)
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        queue.put(item[0], item)
    assert [queue.get() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_within_a_round_whoever_waits_longest_is_next() -> None:
    queue: FairQueue[str] = FairQueue(20)
    for item in ("a1", "b1", "c1", "b2"):
        queue.put(item[0], item)
    assert queue.get() == "a1"
    queue.put("a", "a2")
    assert [queue.get() for _ in range(4)] == ["b1", "c1", "b2", "a2"]


def test_who_comes_back_in_the_same_round_waits_for_the_next() -> None:
    queue: FairQueue[str] = FairQueue(20)
    for item in ("a1", "b1", "c1"):
        queue.put(item[0], item)
    assert queue.get() == "a1"
    queue.put("a", "a2")
    queue.put("d", "d1")
    assert [queue.get() for _ in range(4)] == ["b1", "c1", "d1", "a2"]


def test_what_is_always_taken_is_served_fairly_all_the_same() -> None:
    queue: FairQueue[str] = FairQueue(2)
    for item in ("a1", "a2", "a3", "b1"):
        queue.put(item[0], item, always=True)
    assert len(queue) == 4
    with pytest.raises(QueueFull, match="4 utterances wait already"):
        queue.put("c", "c1")
    assert [queue.get() for _ in range(4)] == ["a1", "b1", "a2", "a3"]


OWNED = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60)


@settings(deadline=None)
@given(OWNED)
def test_nobody_is_passed_over_twice_by_the_same_owner(steps: list[tuple[str, bool]]) -> None:
    """While somebody waits, no other is served more than twice: at this round's end and in the next."""
    queue: FairQueue[str] = FairQueue(100)
    passed: dict[str, dict[str, int]] = {}
    for owner, putting in steps:
        if putting:
            queue.put(owner, owner)
            passed.setdefault(owner, defaultdict(int))
        elif queue:
            served = queue.get()
            if served in set(queue):
                passed[served] = defaultdict(int)
            else:
                passed.pop(served)
            for waiting, times in passed.items():
                if waiting != served:
                    times[served] += 1
                    assert times[served] <= 2


def test_a_newcomer_waits_for_one_turn_of_each_however_many_wait() -> None:
    queue: FairQueue[str] = FairQueue(200)
    for number in range(100):
        queue.put("noisy", f"n{number}")
    queue.put("quiet", "q0")
    assert [queue.get(), queue.get()] == ["n0", "q0"]


def test_one_owner_fills_half_and_no_more() -> None:
    queue: FairQueue[int] = FairQueue(4)
    queue.put("a", 1)
    queue.put("a", 2)
    with pytest.raises(QueueFull, match="2 utterances of a wait already"):
        queue.put("a", 3)
    queue.put("b", 4)
    queue.put("c", 5)
    with pytest.raises(QueueFull, match="4 utterances wait already"):
        queue.put("d", 6)
    assert [queue.get() for _ in range(4)] == [1, 4, 5, 2]


def test_a_queue_of_one_serves() -> None:
    queue: FairQueue[int] = FairQueue(1)
    queue.put("a", 1)
    with pytest.raises(QueueFull):
        queue.put("b", 2)
    assert queue.get() == 1


def test_what_is_put_back_is_its_owners_next_and_its_owner_goes_last() -> None:
    queue: FairQueue[str] = FairQueue(4)
    for item in ("a1", "a2", "b1", "c1"):
        queue.put(item[0], item)
    taken = queue.get()
    queue.put("d", "d1")
    queue.put_back("a", taken)  # though it is full
    assert len(queue) == 5
    assert [queue.get() for _ in range(5)] == ["b1", "c1", "d1", "a1", "a2"]
    queue.put_back("a", "a3")
    assert queue.get() == "a3"


def test_an_empty_queue_has_nothing() -> None:
    queue: FairQueue[int] = FairQueue(1)
    assert not queue
    assert not queue.discard("a", 1)
    with pytest.raises(KeyError):
        queue.get()


@settings(deadline=None)
@given(steps=PUTS, capacity=st.integers(1, 12))
def test_nothing_is_lost_doubled_or_out_of_order(steps: list[tuple[str, str]], capacity: int) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue(capacity)
    expected: dict[str, list[tuple[str, int]]] = defaultdict(list)
    served: list[str] = []
    for number, (owner, step) in enumerate(steps):
        if step == "put":
            try:
                queue.put(owner, (owner, number))
            except QueueFull:
                assert len(queue) == capacity or len(expected[owner]) == max(1, capacity // 2)
            else:
                expected[owner].append((owner, number))
        elif step == "discard" and expected[owner]:
            assert queue.discard(owner, expected[owner].pop())
        elif step == "get" and queue:
            got, number_got = queue.get()
            assert (got, number_got) == expected[got].pop(0)
            served.append(got)
        assert len(queue) == sum(map(len, expected.values())) <= capacity
