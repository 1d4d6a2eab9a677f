"""Words and their times, from alignments as CTranslate2 gives them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.transcriber import Word
from transcription.whisper.words import fitted, timed_words

THREE = [(" turn", 1), (" it", 2), (" on", 1)]
PATH = [(0, 0), (0, 1), (1, 5), (2, 5), (2, 6), (3, 20), (4, 30), (4, 31)]


def times(words: tuple[Word, ...]) -> list[tuple[float, float]]:
    """To the microsecond."""
    return [(round(word.start, 6), round(word.end, 6)) for word in words]


def test_a_word_lasts_from_its_first_token_to_the_next_words() -> None:
    assert timed_words(THREE, PATH, [0.5, 1.0, 0.5, 0.25], 5.0) == (
        Word("turn", 0.0, 0.1, 0.5),
        Word("it", 0.1, 0.4, 0.75),
        Word("on", 0.4, 0.6, 0.25),
    )


def test_nothing_lies_beyond_what_was_heard() -> None:
    words = timed_words(THREE, PATH, [1.0] * 4, 0.3)
    assert times(words) == [(0.0, 0.1), (0.1, 0.28), (0.28, 0.3)]


def test_tokens_that_were_not_aligned_stand_at_the_end() -> None:
    words = timed_words(THREE, PATH[:4], [1.0] * 4, 2.0)
    assert times(words) == [(0.0, 0.1), (0.1, 1.98), (1.98, 2.0)]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([" Yes", ",", " please", "."], ["Yes,", "please."]),
        ([" (", "softly", ")", " go"], ["(softly)", "go"]),
        ([' "', "Stop", '"'], ['"Stop"']),
        ([" one", " -", " two"], ["one-", "two"]),
        (["."], []),
        ([], []),
    ],
)
def test_punctuation_goes_to_its_word(pieces: list[str], words: list[str]) -> None:
    timed = timed_words([(piece, 1) for piece in pieces], [], [0.5] * len(pieces), 1.0)
    assert [word.word for word in timed] == words


@given(
    pieces=st.lists(st.tuples(st.text(max_size=4), st.integers(1, 3)), max_size=8),
    path=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1500)), max_size=30),
    probabilities=st.lists(st.floats(-1, 2), max_size=20),
    seconds=st.floats(0.001, 30),
)
def test_times_never_run_backwards_and_stay_in_bounds(
    pieces: list[tuple[str, int]],
    path: list[tuple[int, int]],
    probabilities: list[float],
    seconds: float,
) -> None:
    words = timed_words(pieces, path, probabilities, seconds)
    for word in words:
        assert 0 <= word.start < word.end <= seconds
        assert 0 <= word.probability <= 1
        assert word.word
    for one, other in pairwise(words):
        assert one.end <= other.start


def test_more_words_than_there_is_room_for_share_it() -> None:
    words = fitted([Word("go", 0.3, 0.5, 1.0)] * 4, 0.04)
    assert times(words) == [(0.0, 0.01), (0.01, 0.02), (0.02, 0.03), (0.03, 0.04)]


def test_times_that_are_right_stay() -> None:
    words = (Word("turn", 0.25, 0.5, 1.0), Word("it", 0.5, 0.52, 1.0), Word("on", 0.75, 1.0, 1.0))
    assert fitted(words, 1.0) == words
