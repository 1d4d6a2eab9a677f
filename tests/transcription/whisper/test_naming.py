"""Names put into what was heard: which, where, and after how many questions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from transcription.whisper.likeness import near_names
from transcription.whisper.naming import HEAD_START, HearsNames, NamedText, said_anew, with_names

SURE, UNSURE = math.log(0.9), math.log(0.2)


@dataclass
class Words:
    """A listener whose tokens are words, each of which weighs what it is told to, and who notes what it is asked."""

    weights: dict[str, float]
    anew: str = ""
    known: list[str] = field(default_factory=list)
    weighed: int = 0
    said: int = 0

    def encode(self, text: str) -> list[int]:
        for word in text.split():
            if word not in self.known:
                self.known.append(word)
        return [self.known.index(word) for word in text.split()]

    def weigh(self, tokens: list[int]) -> list[float]:
        self.weighed += 1
        return [self.weights.get(self.known[token], SURE) for token in tokens]

    def say(self) -> str:
        self.said += 1
        return self.anew


def named(text: str, names: tuple[str, ...], model: Words) -> str | None:
    listener: HearsNames = model
    found: NamedText | None = with_names(text, near_names(text, names), listener)
    assert found is None or found.tokens == tuple(model.encode(found.text))
    return found and found.text


COOKER = "turn on the cooker please"


def test_what_the_model_is_sure_of_is_asked_once_and_stays() -> None:
    model = Words({"cooker": SURE})
    assert named(COOKER, ("Quooker",), model) is None
    assert (model.weighed, model.said) == (1, 0)


@pytest.mark.parametrize("less", [-2.0, 0.0, HEAD_START - 0.1, HEAD_START + 0.1, 10.0])
def test_a_name_may_be_a_little_less_likely_than_what_was_heard(less: float) -> None:
    model = Words({"cooker": UNSURE, "Quooker": UNSURE - less})
    expected = "turn on the Quooker please" if less < HEAD_START else None
    assert named(COOKER, ("Quooker",), model) == expected


def test_of_two_that_want_the_same_words_the_likelier_one_is_put_in() -> None:
    model = Words({"cooker": UNSURE, "Quooker": UNSURE - 1, "Kocher": UNSURE - 0.5})
    assert named(COOKER, ("Quooker", "Kocher"), model) == "turn on the Kocher please"


def test_two_names_are_both_put_in_their_own_places() -> None:
    model = Words(dict.fromkeys(("cooker", "fightamix"), UNSURE))
    text = "turn on the cooker and the fightamix"
    assert named(text, ("Vitamix", "Quooker"), model) == "turn on the Quooker and the Vitamix"


def test_a_name_that_it_says_when_it_is_told_needs_no_weighing() -> None:
    model = Words({"cooker": UNSURE, "Quooker": -20.0}, anew="Turn on a Quooker please.")
    assert named("turn on a cooker please", ("Quooker",), model) == "turn on a Quooker please"
    assert (model.weighed, model.said) == (2, 1)


def test_many_names_near_are_a_bounded_number_of_looks() -> None:
    names = tuple(f"Quooker{letter}" for letter in "abcdefghijklmnop")
    model = Words({"cooker": UNSURE})
    named(COOKER, names, model)
    assert model.said == 1
    assert model.weighed <= 2 + 6


@pytest.mark.parametrize(
    ("text", "anew", "expected"),
    [
        ("How much does the cob we use?", "How much does the Cowboy use?", "How much does the Cowboy use?"),
        ("is blue-white on.", "Is Bluey on", "is Bluey on."),
        ("turn of the cooker, please", "Good, turn off the Quooker and", "turn of the Quooker and"),
        ("turn on the fan", "Quooker, Cowboy, Bluey.", None),
        ("turn on the cooker", "turn on the cooker", None),
        ("turn on the cooker", "", None),
        ("", "Cowboy", None),
        ("turn on the washing machine", "turn on the Cowboy", None),
        ("the cooker and the cow boy", "the Quooker and the Cowboy", None),
        ("the Cowboy is on", "the Cowboy is off", None),
        ("start the coe boy now again", "start the Cowboy now again", "start the Cowboy now again"),
    ],
)  # fmt: skip
def test_of_what_is_said_anew_only_the_name_is_taken(text: str, anew: str, expected: str | None) -> None:
    assert said_anew(text, anew, ["Quooker", "Cowboy", "Bluey"]) == expected


class Deaf(Words):
    """One that has no room for so many tokens."""

    def weigh(self, tokens: list[int]) -> list[float]:
        return [-math.inf] * len(tokens)


def test_a_listener_that_finds_nothing_likely_changes_nothing() -> None:
    assert named(COOKER, ("Quooker",), Deaf({})) is None
