"""Number words into figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orchestrators.spoken_numbers import VALUES, figures, is_number

UNITS = [word for word, value in VALUES.items() if value < 20 and word != "oh"]
TENS = [word for word, value in VALUES.items() if value >= 20]


def spell(number: int) -> str:
    """The words of -999 to 999."""
    if number < 0:
        return "minus " + spell(-number)
    if number >= 100:
        rest = f" and {spell(number % 100)}" if number % 100 else ""
        return f"{UNITS[number // 100]} hundred{rest}"
    if number < 20:
        return UNITS[number]
    return TENS[number // 10 - 2] + (f" {UNITS[number % 10]}" if number % 10 else "")


@given(st.integers(-999, 999))
def test_every_number_is_read_as_it_is_spoken(number: int) -> None:
    assert figures(spell(number)) == str(number)
    assert figures(spell(number).replace(" and ", " ")) == str(number)
    assert figures(f"about {spell(number)} degrees") == f"about {number} degrees"


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("", ""),
        ("oh two six", "0 2 6"),
        ("four four oh five six", "4 4 0 5 6"),
        ("twenty zero", "20 0"),
        ("twenty eleven", "20 11"),
        ("twenty one two", "21 2"),
        ("one hundred", "100"),
        ("hundred", "hundred"),
        ("zero hundred", "0 hundred"),
        ("eleven hundred", "11 hundred"),
        ("one hundred and", "100 and"),
        ("one and two", "1 and 2"),
        ("minus", "minus"),
        ("minus minus one", "1"),
        ("minus milk", "minus milk"),
        ("set 10 to five", "set 10 to 5"),
    ],
)
def test_what_is_no_plain_number(spoken: str, written: str) -> None:
    assert figures(spoken) == written


@given(st.lists(st.sampled_from([*VALUES, "hundred", "and", "minus", "milk"]), max_size=30))
def test_other_words_stay_in_their_order(words: list[str]) -> None:
    written = figures(" ".join(words)).split()
    assert [word for word in written if word == "milk"] == [word for word in words if word == "milk"]
    assert not set(written) & set(VALUES)


@pytest.mark.parametrize(
    ("text", "yes"), [("1", True), ("1 22 0", True), ("", False), ("1 a", False), ("-1", False)]
)
def test_is_number(text: str, *, yes: bool) -> None:
    assert is_number(text) is yes
