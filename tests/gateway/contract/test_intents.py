"""Intents in the data of replies: what is one, what is none, and how many there may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.intents import MOST_INTENTS, WantedIntent, intents_of
from gateway.contract.messages import BadMessage

TURN_ON = {
    "name": "HassTurnOn",
    "slots": {"name": "lamp", "brightness": 40, "domain": ["light"]},
    "text": "On.",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_of_one_agent_and_of_several() -> None:
    wanted = WantedIntent(
        name="HassTurnOn", slots={"name": "lamp", "brightness": 40, "domain": ("light",)}, text="On."
    )
    assert intents_of({"intents": [TURN_ON]}) == (wanted,)
    both = {"lights": {"intents": [TURN_ON]}, "clock": {"offset": 9}, "intents_of": 1}
    assert intents_of(both, ("clock", "lights", "away")) == (wanted,)
    assert intents_of(both, ("clock",)) == ()
    assert intents_of(None) == intents_of({}) == intents_of({"offset": 9}) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        "HassTurnOn",
        [{}],
        [{"name": ""}],
        [{"name": "Hass Turn On"}],
        [{"name": "x" * 65}],
        [{"name": "A", "slots": {"a b": 1}}],
        [{"name": "A", "slots": {"a": {"deep": 1}}}],
        [{"name": "A", "slots": {str(n): 1 for n in range(33)}}],
        [{"name": "A", "slots": {"a": "x" * 1001}}],
        [{"name": "A", "text": "x" * 1001}],
        [{"name": "A", "entities": []}],
        [{"name": "A"}] * (MOST_INTENTS + 1),
    ],
)
def test_what_is_none(wrong: Any) -> None:
    with pytest.raises(BadMessage, match="not intents"):
        intents_of({"intents": wrong})


def test_several_agents_have_no_more_than_one() -> None:
    data = {name: {"intents": [{"name": "A"}] * MOST_INTENTS} for name in "ab"}
    assert len(intents_of(data, "a")) == MOST_INTENTS
    with pytest.raises(BadMessage, match="more than 16"):
        intents_of(data, "ab")


@settings(max_examples=40)
@given(JSON)
def test_anything_is_intents_or_refused(anything: Any) -> None:
    try:
        found = intents_of({"intents": json.loads(json.dumps(anything))})
    except BadMessage:
        return
    assert len(found) <= MOST_INTENTS
