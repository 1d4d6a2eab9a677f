"""Which sentence was heard is plain, also when a word of it was heard wrong."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.chaos.corpus import HEARD, SENTENCES, likeness, sentence


def test_there_is_enough_to_say_and_no_two_are_alike() -> None:
    assert len(SENTENCES) >= 20
    assert all(likeness(one, other) < HEARD for one, other in combinations(SENTENCES, 2))


@pytest.mark.parametrize("text", SENTENCES)
def test_one_word_heard_wrong_is_still_that_sentence(text: str) -> None:
    words = text.split()
    for place in range(len(words)):
        wrong = " ".join([*words[:place], words[place][::-1], *words[place + 1 :]])
        assert sentence(wrong) in {text, wrong}, "never another"
    assert sentence(text) == text


@pytest.mark.parametrize("noise", ["", "you", "the quick brown fox", "set a"])
def test_what_is_no_sentence_stays_as_it_is(noise: str) -> None:
    assert sentence(noise) == noise
