"""The best place for a cut: the longest dip, else the least likely, else the quietest place."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.utterance.joints import HeardWindow, best_cut

SIZE = 512


def heard(*probabilities: float) -> list[HeardWindow]:
    return [
        HeardWindow(SIZE * number, SIZE * (number + 1), probability, probability >= 0.5)
        for number, probability in enumerate(probabilities)
    ]


def flat(_: HeardWindow) -> float:
    return 1.0


def never(_: HeardWindow) -> float:
    raise AssertionError("not needed")


def cut(*probabilities: float) -> int:
    return best_cut(heard(*probabilities), never) // SIZE


def test_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        best_cut([], flat)


def test_the_middle_of_the_longest_dip_is_best() -> None:
    assert cut(1, 0, 1, 0, 0, 0, 1, 0, 0, 1) == 5


def test_the_later_one_of_two_dips_of_a_length() -> None:
    assert cut(1, 0, 1, 1, 0, 1) == 5


def test_a_dip_at_either_edge_counts_too() -> None:
    assert cut(0, 0, 1, 1) == 1
    assert cut(1, 1, 0, 0) == 3


def test_without_a_dip_the_least_likely_place() -> None:
    assert cut(1, 0.9, 0.6, 0.7, 0.9, 1) == 3


def test_speech_that_is_certain_everywhere_is_cut_where_it_is_quietest() -> None:
    levels = iter([9.0, 8.0, 1.0, 2.0, 7.0])
    assert best_cut(heard(0.9, 0.9, 0.8, 0.9, 0.95), lambda _: next(levels)) == 3 * SIZE


def test_of_equal_places_the_later_one() -> None:
    assert best_cut(heard(1, 1, 1, 1), flat) == 3 * SIZE


def test_one_window_has_one_place() -> None:
    assert cut(1) == 1
    assert cut(0) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 10**12))
def test_no_word_is_cut_where_there_is_any_dip(probabilities: list[float], start: int) -> None:
    windows = [
        HeardWindow(start + each.start, start + each.end, each.probability, each.speaking)
        for each in heard(*probabilities)
    ]
    place = best_cut(windows, flat)
    [before] = [each for each in windows if each.end == place]
    runs = [len(list(run)) for speaking, run in groupby(windows, lambda each: each.speaking) if not speaking]
    if runs:
        assert not before.speaking
        length = next(
            len(members)
            for _, run in groupby(windows, lambda each: each.speaking)
            if before in (members := list(run))
        )
        assert length == max(runs)
