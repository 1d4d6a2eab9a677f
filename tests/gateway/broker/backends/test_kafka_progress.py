"""What is settled out of order does not come again; what is unsettled does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.backends.kafka_progress import MOST_TEXT, PartitionProgress


def read_on(progress: PartitionProgress, to: int) -> dict[int, int]:
    """What is shown of what comes, and which delivery each is."""
    shown = {offset: progress.take(offset) for offset in range(progress.next, to)}
    return {offset: attempt for offset, attempt in shown.items() if attempt}


def test_the_number_is_that_of_the_first_unsettled() -> None:
    progress = PartitionProgress(10)
    assert progress.floor == 10
    assert read_on(progress, 16) == dict.fromkeys(range(10, 16), 1)
    progress.settle(12)
    progress.settle(13)
    progress.settle(15)
    assert (progress.floor, progress.text()) == (10, "1:2,2,1,1")
    progress.settle(10)
    progress.settle(11)
    assert (progress.floor, progress.text()) == (14, "1:1,1")
    progress.settle(14)
    assert (progress.floor, progress.text()) == (16, "")


def test_the_next_reader_gets_what_is_unsettled_and_is_told_that_it_comes_again() -> None:
    first = PartitionProgress(10)
    read_on(first, 16)
    for offset in (11, 12, 14):
        first.settle(offset)
    second = PartitionProgress(first.floor, first.text())
    assert read_on(second, 18) == {10: 2, 13: 2, 15: 2, 16: 1, 17: 1}


@pytest.mark.parametrize(
    "text", ["", "2:1,1", "1:", "1:-1,2", "1:x", "1:1,,1", "somebody's", "1:9999999999999999999999"]
)
def test_a_text_that_is_none_of_ours_says_nothing(text: str) -> None:
    assert read_on(PartitionProgress(5, text), 8) == {5: 1, 6: 1, 7: 1}


def test_a_text_that_would_be_too_long_leaves_out_the_end() -> None:
    progress = PartitionProgress(0)
    read_on(progress, 20_000)
    for offset in range(1, 20_000, 2):
        progress.settle(offset)
    text = progress.text()
    assert len(text) <= MOST_TEXT + 20
    again = read_on(PartitionProgress(progress.floor, text), 20_000)
    assert again.keys() >= set(range(0, 20_000, 2)), "nothing unsettled is taken for settled"
    assert 1 not in again


readers = st.lists(
    st.tuples(st.integers(0, 12), st.lists(st.integers(0, 40), max_size=12)), min_size=1, max_size=6
)


@given(readers)
def test_whoever_dies_whenever_each_comes_until_it_is_settled(lives: list[tuple[int, list[int]]]) -> None:
    """Each reader takes so many, settles some, tells how far it is, and dies."""
    place, settled, delivered = (0, ""), set[int](), set[int]()
    for more, answered in lives:
        progress = PartitionProgress(*place)
        to = progress.next + more
        shown = read_on(progress, to)
        assert not shown.keys() & settled
        assert shown.keys() | settled >= set(range(to))
        for offset, attempt in shown.items():
            assert attempt == (2 if offset in delivered else 1)
        delivered |= shown.keys()
        settled |= shown.keys() & set(answered)
        for offset in answered:
            progress.settle(offset)
        place = (progress.floor, progress.text())
