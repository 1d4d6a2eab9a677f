"""Whom something that was said is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.contract.audience import EVERYBODY, MATCHED_CHARACTERS, Audience


@dataclass(frozen=True)
class Sentence:
    text: str = "Turn on the LIGHT"
    user_id: str = "ann"
    device_id: str = "kitchen"
    room: str = "Kitchen"
    language: str = "en"


def test_everything_is_for_everybody() -> None:
    assert EVERYBODY.includes(Sentence())
    assert EVERYBODY.includes(Sentence(text="", room="", language=""))


@pytest.mark.parametrize(
    ("part", "passes", "refuses"),
    [
        ("users", ["bob", "ann"], ["bob"]),
        ("devices", ("kitchen",), ("office",)),
        ("rooms", {"Kitchen"}, {"kitchen"}),
        ("languages", ["en"], ["de"]),
        ("pattern", r"\blight\b", r"^light"),
    ],
)
def test_each_part_has_to_be_passed(part: str, passes: Any, refuses: Any) -> None:
    assert Audience(**{part: passes}).includes(Sentence())
    assert not Audience(**{part: refuses}).includes(Sentence())
    assert not Audience(**{"users": ["ann"], "rooms": ["Kitchen"], part: refuses}).includes(Sentence())


def test_only_the_beginning_of_a_long_text_is_searched() -> None:
    audience = Audience(pattern="light")
    assert audience.includes(Sentence(text=" " * (MATCHED_CHARACTERS - 5) + "light"))
    assert not audience.includes(Sentence(text=" " * MATCHED_CHARACTERS + "light"))


def test_a_pattern_that_is_none_is_said() -> None:
    with pytest.raises(re.error):
        Audience(pattern="(").includes(Sentence())
