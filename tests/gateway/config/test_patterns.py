"""Patterns in the settings: what takes for ever is refused by its form, and what people write is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.patterns import mistake

FINE = [
    "",
    "light",
    r"\b(light|lamp)s?\b",
    "turn.*(on|off)",
    "turn.*light.*in.*kitchen",
    r"(?:please )*turn (on|off)",
    r"(?i:what) is (the )?time",
    r"\d{1,2}:\d{2}( (am|pm))?",
    r"(\d{2}:){2}\d{2}",
    r"^[^()*+]+$",
    r"[]*+]",
    r"[^]*+]",
    r"\(\*\+\)\|",
    r"(?P<room>kitchen|hall) light",
    r"(?=.*on)(?=.*light)",
    r"(?<!not )now",
    r"(\w+) \1",
    r"a{,3}b{2,5}",
    r"x{y",
    r"(?# a remark (with *+ in it)light",
]
FOR_EVER = [
    "(a+)+$",
    "(a*)*b",
    "([a-z]+)*!",
    r"(\w+\s?)*$",
    "(a|a)+$",
    "(a|b|ab)*c",
    "((a+)b?)+$",
    "(?:a+){2,}$",
    "(a?){30}b",
    "(a{1,30}){1,30}b",
    r"(?P<word>\w+)+$",
    "(.*)+x",
    "((ab)*c)*d",
]


@pytest.mark.parametrize("pattern", FINE)
def test_what_people_write_is_taken(pattern: str) -> None:
    assert mistake(pattern) == ""


@pytest.mark.parametrize("pattern", ["[[a]", "[a||b]", "[a--b]"])
def test_what_python_will_read_otherwise_one_day_is_refused(pattern: str) -> None:
    assert "expected a regular expression" in mistake(pattern)


@pytest.mark.parametrize("pattern", FOR_EVER)
def test_what_can_take_for_ever_is_refused(pattern: str) -> None:
    assert "can take for ever" in mistake(pattern)


def test_too_many_repeats_are_refused() -> None:
    assert mistake("a.*b.*c.*d") == ""
    assert "more than 3 repeats" in mistake(".*a.*b.*c.*d")
    assert "more than 3 repeats" in mistake("a+b+c+d{2,}")


@pytest.mark.parametrize("pattern", ["(", "*", "[", "(?P<a>x)(?P<a>y)", "a{99999999999}", "\\"])
def test_what_is_none_is_refused(pattern: str) -> None:
    assert mistake(pattern).startswith("expected a regular expression")


@given(st.text(alphabet="ab.*+?{1,}()[]|\\^$:=!<P>#", max_size=30))
def test_every_text_is_judged(pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, FutureWarning):
        assert mistake(pattern)
    else:
        assert "expected a regular expression" not in mistake(pattern)
