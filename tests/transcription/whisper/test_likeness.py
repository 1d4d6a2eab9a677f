"""Names that are near: which are found, where, and in whatever script; against the plain way to count letters."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transcription.whisper.likeness import MOST_NEAR, UNLIKE, Near, holds, near_names
from transcription.whisper.likeness import unlike as told_unlike

HEARD = [
    ("turn on the cooker please", "Quooker", "cooker"),
    ("is the fight a mix still running", "Vitamix", "fight a mix"),
    ("ask Shiban when it will be done", "Siobhan", "Shiban"),
    ("tell the kitchen aid to stop", "Kitchenaid", "kitchen aid"),
    ("switch off eco bee in ten minutes", "Ecobee", "eco bee"),
    ("Schalte den Füssmann ein", "Viessmann", "Füssmann"),
    ("Включи тадо", "Tado", "тадо"),
    ("ενα σονος παρακαλω", "Sonos", "σονος"),
    ("打开那个大爱", "打开大爱", "打开那个大爱"),
]
NAMES = tuple(name for _, name, _ in HEARD)


@pytest.mark.parametrize(("text", "name", "stretch"), HEARD)
def test_the_nearest_is_the_name_and_stands_where_it_was_heard(text: str, name: str, stretch: str) -> None:
    nearest = near_names(text, NAMES)[0]
    assert (nearest.name, text[nearest.start : nearest.end]) == (name, stretch)
    assert nearest.put_into(text) == text.replace(stretch, name)


@pytest.mark.parametrize("text", ["yes", "stop", "good night", "", "  ", "?!", "12"])
def test_what_sounds_like_none_has_none_near(text: str) -> None:
    assert near_names(text, ("Quooker", "Vitamix", "Viessmann")) == []


@pytest.mark.parametrize("text", ["turn on the Quooker", "turn on the QUOOKER.", "turn on the quookers"])
def test_a_name_that_stands_there_already_is_not_near(text: str) -> None:
    assert near_names(text, ("Quooker",)) == []


def test_no_name_takes_the_place_of_another_that_was_heard() -> None:
    assert [one.name for one in near_names("the light in the bedroom", ("bedroom", "bathroom"))] == []
    assert [one.name for one in near_names("the light in the bedroom", ("bathroom",))] == ["bathroom"]


def test_only_the_nearest_are_listened_for() -> None:
    names = ("Quooker", "Kooker", "Cocker", "Coocer", "Kuker", "Kooka", "Coker", "Cookar")
    near = near_names("turn on the cooker", names)
    assert len(near) == MOST_NEAR
    assert [one.unlike for one in near] == sorted(one.unlike for one in near)


@pytest.mark.parametrize("names", [(), ("",), (" ", "?", "..."), ("🎤",)])
def test_names_without_letters_are_never_near(names: tuple[str, ...]) -> None:
    assert near_names("turn on the light", names) == []


@example("a" * 400, ("a" * 64,))
@example("the e\u0301cobi", ("Ecobee", "Ecobee"))
@given(st.text(max_size=60), st.lists(st.text(max_size=64), max_size=80).map(tuple))
@settings(max_examples=100, deadline=None)
def test_whatever_is_heard_and_whatever_names_are(text: str, names: tuple[str, ...]) -> None:
    near = near_names(text, names)
    assert len(near) <= MOST_NEAR
    for one in near:
        assert 0 <= one.unlike <= UNLIKE
        assert one.name in names
        assert 0 <= one.start < one.end <= len(text)


EVEN = 1e-4
LETTERS = st.text("abdeilmnoprstu", min_size=1, max_size=8)


@given(st.lists(LETTERS, min_size=1, max_size=5), LETTERS)
@settings(max_examples=200, deadline=None)
def test_the_stretch_is_the_likest_there_is(words: list[str], name: str) -> None:
    """Each stretch alone, counted in the plain way."""
    text = " ".join(words)
    stretches = [words[first:last] for first in range(len(words)) for last in range(first + 1, first + 4)]
    if any(word.startswith(name) for word in words):
        return
    likest = min(unlike("".join(stretch), name) for stretch in stretches)
    if abs(likest - UNLIKE) < EVEN:
        return
    near = near_names(text, (name,))
    assert [one.unlike for one in near] == ([pytest.approx(likest, abs=EVEN)] if likest < UNLIKE else [])


def unlike(heard: str, name: str) -> float:
    """Weighted edits by the weight of the heavier of the two."""
    row = [0.0]
    for letter in heard:
        row.append(row[-1] + weight(letter))
    whole = row[-1]
    for letter in name:
        last, row = row, [row[0] + weight(letter)]
        for place, other in enumerate(heard):
            changed = 0.0 if other == letter else 0.4 if akin(other, letter) else 1.0
            row.append(
                min(last[place] + changed, last[place + 1] + weight(letter), row[place] + weight(other))
            )
    return row[-1] / max(whole, sum(map(weight, name)))


def weight(letter: str) -> float:
    return 0.6 if letter in "aeiou" else 1.0


def akin(one: str, other: str) -> bool:
    return any(one in kind and other in kind for kind in ("aeiou", "bp", "dt", "mn"))


def test_two_that_want_the_same_words_are_not_both_put_in() -> None:
    one, other = Near(0.1, 0, 5, "Nuki"), Near(0.1, 4, 9, "Yale")
    assert one.overlaps(other)
    assert not one.overlaps(Near(0.1, 5, 9, "Yale"))


@given(LETTERS, LETTERS)
@settings(max_examples=100, deadline=None)
def test_how_unlike_two_stretches_are(one: str, other: str) -> None:
    expected = 1.0 if len(one) > 2 * len(other) else min(1.0, unlike(one, other))
    assert told_unlike(one, other) == pytest.approx(expected, abs=1e-4)
    assert told_unlike(f"{one[:1]} {one[1:]}", other) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("one", "other"), [("", "Nuki"), ("Nuki", ""), ("?", "!"), ("", "")])
def test_what_has_no_letters_is_like_nothing(one: str, other: str) -> None:
    assert told_unlike(one, other) == 1


def test_a_name_is_held_as_it_is_written() -> None:
    assert holds(["the", "le", "creuset", "pot"], "Le Creuset")
    assert not holds(["le", "pot", "creuset"], "Le Creuset")
    assert not holds(["nukis"], "Nuki")
    assert not holds(["nuki"], "")
    assert not holds([], "Nuki")
