"""Partials: what is stable stays, what two looks agree on becomes so."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.scheduling.partial_text import PartialText, TextSoFar, contradicted, words_of


def shown(*looks: str) -> list[tuple[str, str]]:
    """(stable, text) after each look that said something new."""
    live = PartialText()
    partials = [partial for text in looks if (partial := live.hear(text))]
    assert [partial.number for partial in partials] == list(range(1, len(partials) + 1))
    assert live.shown == len(partials)
    return [(partial.stable, partial.text) for partial in partials]


def test_a_first_look_is_all_tentative() -> None:
    assert PartialText().hear("turn on") == TextSoFar(1, "", "turn on")


def test_what_two_looks_agree_on_is_stable() -> None:
    assert shown("turn on", "turn on the lie", "turn on the light") == [
        ("", "turn on"),
        ("turn on", "turn on the lie"),
        ("turn on the", "turn on the light"),
    ]


def test_looks_that_say_the_same_are_told_twice_and_no_more() -> None:
    assert shown("stop", "stop", "stop", "stop") == [("", "stop"), ("stop", "stop")]


@pytest.mark.parametrize("nothing", ["", "  ", "\n"])
def test_nothing_is_nothing_new(nothing: str) -> None:
    assert PartialText().hear(nothing) is None


def test_tentative_words_may_go_again() -> None:
    assert shown("stop", "") == [("", "stop"), ("", "")]


def test_case_and_punctuation_do_not_matter_and_the_newer_ones_are_shown() -> None:
    assert shown("stop", "Stop, the", "Stop. The motor") == [
        ("", "stop"),
        ("Stop,", "Stop, the"),
        ("Stop, The", "Stop, The motor"),
    ]


def test_punctuation_alone_is_a_word_like_any_other() -> None:
    assert shown("- stop", "- stop") == [("", "- stop"), ("- stop", "- stop")]
    assert shown("- stop", "+ stop")[-1] == ("", "+ stop")


CHANGES_OF_MIND = {
    "a word became another": ("their car is", "there car is red", "their car is red"),
    "a word fell away": ("the the car is", "the car is red", "the the car is red"),
    "a word came in": ("a car is", "there a car is red", "a car is red"),
    "two became one": ("some where cold", "somewhere cold and wet", "some where cold and wet"),
    "everything became less": ("turn on the", "turn", "turn on the"),
    "it says nothing any more": ("turn on the", "", "turn on the"),
}


@pytest.mark.parametrize(("stable", "look", "text"), CHANGES_OF_MIND.values(), ids=CHANGES_OF_MIND)
def test_what_is_stable_stays_and_what_follows_finds_its_place(stable: str, look: str, text: str) -> None:
    looks = shown(stable, stable + " x", look)
    assert looks[1][0] == stable
    assert looks[2] == (stable, text)


def test_a_contradiction_does_not_end_the_growing() -> None:
    looks = ["their car is red", "their car is red", "there car is red and", "there car is red and fast"]
    assert shown(*looks)[-1] == ("their car is red and", "their car is red and fast")


def test_scripts_without_spaces_grow_by_characters() -> None:
    assert shown("打开", "打开灯", "打开灯光吧") == [
        ("", "打开"),
        ("打开", "打开灯"),
        ("打开灯", "打开灯光吧"),
    ]


def test_words_keep_the_space_before_them() -> None:
    assert words_of("  Turn on  the 灯光,  please ") == ["Turn", " on", "  the", " 灯", "光", ",", "  please"]


@pytest.mark.parametrize(
    ("stable", "final", "count"),
    [
        ("", "anything", 0),
        ("turn on", "Turn on, please.", 0),
        ("turn on", "turn off", 1),
        ("turn on the", "turn", 2),
        ("turn on the", "burn on the", 3),
    ],
)
def test_contradicted_words_are_counted_from_the_first(stable: str, final: str, count: int) -> None:
    assert contradicted(stable, final) == count


SENTENCES = st.lists(
    st.sampled_from(["turn", "Turn", "on", "the", "light,", "灯", "-", "ไฟ"]), max_size=8
).map(" ".join)
LOOKS = st.lists(SENTENCES | st.text(max_size=12), max_size=12)


@given(LOOKS)
def test_what_is_always_true_of_partials(looks: list[str]) -> None:
    live = PartialText()
    partials: list[TextSoFar] = []
    for look in looks:
        before = live.stable
        partial = live.hear(look)
        assert live.stable.startswith(before)
        if partial is None:
            assert live.stable == before
            continue
        assert partial.stable == live.stable
        assert partial.text.startswith(partial.stable)
        partials.append(partial)
    assert [partial.number for partial in partials] == list(range(1, len(partials) + 1))
    for earlier, later in pairwise(partials):
        assert later.stable.startswith(earlier.stable)
        assert (later.stable, later.text) != (earlier.stable, earlier.text)


@given(LOOKS, SENTENCES)
def test_a_look_said_twice_is_stable_but_for_what_was_stable_before(looks: list[str], last: str) -> None:
    live = PartialText()
    for look in (*looks, last, last):
        live.hear(look)
    assert live.hear(last) is None
    if not looks:
        assert live.stable == last.strip()


@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(words_of(text)) == text.strip()
    assert contradicted(text, text) == 0
