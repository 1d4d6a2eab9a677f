"""What settings classes say about themselves, and what is said about data that does not fit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from gateway.config.outline import Section, Setting, check, did_you_mean, dotted, expected, outline, shown


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    """The inner part,
    on two lines.

    And more.
    """

    speed: Annotated[float, Meta(gt=0, le=9, description="How fast.")] = 1.0
    names: Annotated[tuple[Annotated[str, Meta(pattern="^[a-z]+$")], ...], Meta(description="Who.")] = (
        "ann",
    )


class Room(Struct, frozen=True, forbid_unknown_fields=True):
    """A room."""

    colour: Annotated[str, Meta(pattern="^[a-z]+$")] | None = None
    lamps: int = 1


class Outer(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole."""

    inner: Inner = Inner()
    mode: Annotated[Literal["slow", "fast"], Meta(description="Which way.")] = "slow"
    owners: Annotated[dict[str, str], Meta(description="Whose.")] = {}
    port: Annotated[int, Meta(ge=0, le=99, description="Where.")] = 1
    on: Annotated[bool, Meta(description="Whether.")] = True
    note: Annotated[str, Meta(description="What.", max_length=5)] = ""
    rooms: Annotated[dict[str, Room], Meta(description="Each.")] = {}


def messages(data: Any) -> list[str]:
    return [f"{dotted(mistake.path)}: {mistake.message}" for mistake in check(Outer, data)[1]]


def test_the_outline_has_settings_before_sections() -> None:
    assert [item.path for item in outline(Outer)] == [
        ("mode",), ("owners",), ("port",), ("on",), ("note",), ("rooms",),
        ("inner",), ("inner", "speed"), ("inner", "names"),
    ]  # fmt: skip


def test_a_section_is_described_by_its_docstring_and_a_setting_by_its_meta() -> None:
    by_path = {item.path: item for item in outline(Outer)}
    assert by_path["inner",] == Section(("inner",), "The inner part, on two lines.")
    assert by_path["inner", "speed"].description == "How fast."
    owners = by_path["owners",]
    assert isinstance(owners, Setting)
    assert owners.default == {}


def test_what_fits_is_kept_and_nothing_is_said() -> None:
    data = {"port": 5, "inner": {"speed": 2, "names": ["bob"]}, "owners": {"a": "b"}}
    fitting, mistakes = check(Outer, data)
    assert mistakes == []
    assert msgspec.convert(fitting, Outer) == Outer(port=5, inner=Inner(2.0, ("bob",)), owners={"a": "b"})


def test_every_mistake_is_said_and_what_is_right_is_kept() -> None:
    data = {
        "prot": 5, "port": 100, "mode": "fats", "on": "yes", "note": 7, "owners": {"a": 1, "b": "c", "d": None},
        "inner": {"sped": 1, "speed": 0, "names": ["ann", "B0B", 3]},
    }  # fmt: skip
    assert messages(data) == [
        "prot: unknown key; did you mean port?",
        "port: expected a whole number from 0 to 99, got 100",
        "mode: expected one of slow, fast, got 'fats'; did you mean fast?",
        "on: expected true or false, got 'yes'",
        "note: expected text, at most 5 characters, got 7; put it in quotes",
        "owners.a: expected text, got 1; put it in quotes",
        'owners.d: expected text, got nothing; write "" for empty text',
        "inner.sped: unknown key; did you mean inner.speed?",
        "inner.speed: expected a number more than 0 and at most 9, got 0",
        "inner.names[1]: expected text, of the form ^[a-z]+$, got 'B0B'",
        "inner.names[2]: expected text, of the form ^[a-z]+$, got 3; put it in quotes",
    ]
    assert check(Outer, data)[0] == {"inner": {}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"inner": 5}, "inner: expected settings (speed, names), got 5"),
        ({"inner": []}, "inner: expected settings (speed, names), got []"),
        (
            {"inner": {"names": "ann"}},
            "inner.names: expected a list, each item text, of the form ^[a-z]+$, got 'ann'",
        ),
        ({"owners": []}, "owners: expected a mapping, each key text, each value text, got []"),
        ({"rooms": {"attic": {"lamps": "x"}}}, "rooms.attic.lamps: expected a whole number, got 'x'"),
        ({"rooms": {"attic": {"lamp": 2}}}, "rooms.attic.lamp: unknown key; did you mean rooms.attic.lamps?"),
        ({"rooms": {"attic": {"speed": 2}}}, "rooms.attic.speed: unknown key; did you mean inner.speed?"),
        ({"rooms": {"attic": 5}}, "rooms.attic: expected settings (colour, lamps), got 5"),
        (
            {"rooms": {"attic": {"colour": "RED"}}},
            "rooms.attic.colour: expected text, of the form ^[a-z]+$ or nothing, got 'RED'",
        ),
        (
            {"rooms": 5},
            "rooms: expected a mapping, each key text, each value settings (colour, lamps), got 5",
        ),
        ({"port": True}, "port: expected a whole number from 0 to 99, got true"),
        ({"port": 1.5}, "port: expected a whole number from 0 to 99, got 1.5"),
        ({"port": "1"}, "port: expected a whole number from 0 to 99, got '1'"),
        ({"port": None}, "port: expected a whole number from 0 to 99, got nothing"),
        ({"mode": None}, "mode: expected one of slow, fast, got nothing"),
        ({"zzz": 1}, "zzz: unknown key"),
        ({"names": 1}, "names: unknown key; did you mean inner.names?"),
        ({"a\nb": 1}, "a\\nb: unknown key"),
    ],
)
def test_one_mistake(data: dict[str, Any], message: str) -> None:
    assert messages(data) == [message]


def test_settings_in_a_mapping_are_settings() -> None:
    data = {"rooms": {"attic": {"colour": None, "lamps": 3}, "hall": {}}}
    assert check(Outer, data) == (data, [])
    assert msgspec.convert(data, Outer).rooms == {"attic": Room(lamps=3), "hall": Room()}


def test_a_section_with_nothing_in_it_is_no_mistake() -> None:
    assert check(Outer, {"inner": None}) == ({"inner": {}}, [])


keys = st.sampled_from(["inner", "speed", "names", "mode", "owners", "port", "on", "note", "x"]) | st.text(
    max_size=3
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(keys, anything, max_size=6))
def test_whatever_the_data_what_is_kept_converts_and_the_rest_is_said(data: dict[str, Any]) -> None:
    fitting, mistakes = check(Outer, data)
    whole = msgspec.convert(fitting, Outer)
    if not mistakes:
        assert whole == msgspec.convert({k: v or {} if k == "inner" else v for k, v in data.items()}, Outer)
    for mistake in mistakes:
        assert mistake.message.isprintable()
        assert dotted(mistake.path).isprintable()


def test_near_misses_look_beside_then_elsewhere() -> None:
    assert did_you_mean(Outer, ("inner", "spede")) == "inner.speed"
    assert did_you_mean(Outer, ("speed",)) == "inner.speed"
    assert did_you_mean(Outer, ("Port",)) == "port"
    assert did_you_mean(Outer, ("inn-er",)) == "inner"
    assert did_you_mean(Outer, ("qqqqq",)) is None


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Meta(ge=8)], "a whole number at least 8"),
        (Annotated[float, Meta(gt=0, lt=1)], "a number more than 0 and less than 1"),
        (Annotated[float, Meta(gt=1, le=30)], "a number more than 1 and at most 30"),
        (bool, "true or false"),
        (Annotated[str, Meta(min_length=1)], "text, not empty"),
        (dict[str, int], "a mapping, each key text, each value a whole number"),
        (Literal["all"] | Annotated[int, Meta(ge=1)], "one of all or a whole number at least 1"),
    ],
)
def test_expectations_in_words(annotation: Any, words: str) -> None:
    assert expected(annotation) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("mqtt://ann:secret@host:1883", "'mqtt://ann:***@host:1883'"),
        (["mqtt://ann:secret@host"], "['mqtt://ann:***@host']"),
        ("x" * 100, repr("x" * 60 + "...")),
        ("a\x1b[31m\n", r"'a\x1b[31m\n'"),
        (None, "nothing"),
        (True, "true"),
        (1.5, "1.5"),
    ],
)
def test_values_are_shown_short_printable_and_without_passwords(value: object, text: str) -> None:
    assert shown(value) == text
