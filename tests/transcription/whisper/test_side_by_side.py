"""Who is worked out beside whom, and that they are."""

from __future__ import annotations

import threading
from functools import partial
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.whisper.side_by_side import SideBySide, deal


@given(lengths=st.lists(st.floats(0, 30), max_size=16), shares=st.integers(1, 5))
def test_each_is_in_one_share_and_no_share_has_much_more_than_another(
    lengths: list[float], shares: int
) -> None:
    dealt = deal(lengths, shares)
    assert len(dealt) == min(shares, len(lengths))
    assert sorted(place for share in dealt for place in share) == list(range(len(lengths)))
    work = [sum(lengths[place] for place in share) for share in dealt]
    assert max(work, default=0) - min(work, default=0) <= max(lengths, default=0) + 1e-6
    assert all(0 <= len(dealt[0]) - len(share) <= 1 for share in dealt)


def test_they_are_done_at_the_same_time_and_told_in_order() -> None:
    side_by_side = SideBySide(3)
    met = threading.Barrier(3, timeout=60)

    def step(number: int) -> int:
        met.wait()
        return number

    assert side_by_side([partial(step, number) for number in range(3)]) == [0, 1, 2]
    side_by_side.close()


def test_one_alone_needs_no_other_thread() -> None:
    side_by_side = SideBySide(2)
    assert side_by_side([threading.current_thread]) == [threading.current_thread()]
    assert side_by_side([]) == []
    side_by_side.close()
    assert side_by_side([threading.current_thread]) == [threading.current_thread()]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_is_told_when_all_are_over(failing: int) -> None:
    side_by_side = SideBySide(2)
    done = []

    def fails() -> NoReturn:
        raise LookupError("nobody")

    steps = [lambda: done.append(1), lambda: done.append(2)]
    steps[failing] = fails
    with pytest.raises(LookupError, match="nobody"):
        side_by_side(steps)
    assert done == [2 - failing]
    side_by_side.close()


def test_after_its_end_nothing_is_begun_beside_another() -> None:
    side_by_side = SideBySide(2)
    side_by_side.close()
    side_by_side.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        side_by_side([lambda: None, lambda: None])
