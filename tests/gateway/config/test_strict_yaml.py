"""Hostile and unusual YAML: plain data or a YamlProblem with its line, and nothing else."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.strict_yaml import MAX_DEPTH, YamlProblem, parse

plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(-1e9, 1e9, allow_nan=False, width=32)
    | st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc_", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=8), plain_data, max_size=5))
def test_plain_data_written_as_json_comes_back(data: dict[str, object]) -> None:
    import json

    assert parse(json.dumps(data, ensure_ascii=False)).data == data


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=8), st.text("abc: #'\"-[]{}\\\n\t", max_size=30))
)
def test_text_written_by_another_yaml_writer_comes_back(data: dict[str, str]) -> None:
    assert parse(yaml.safe_dump(data)).data == data


@given(st.text(st.sampled_from("ab: \n\t-[]{},#&*!|>'\"%@`?~0.1e<=\\") | st.characters(), max_size=80))
def test_any_text_is_data_or_a_problem_with_a_line(text: str) -> None:
    line, data = 1, None
    try:
        data = parse(text).data
    except YamlProblem as problem:
        line = problem.line
    assert 1 <= line <= len(text.splitlines()) + 1
    assert isinstance(data, dict | list | str | int | float | None)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("off", "off"), ("on", "on"), ("no", "no"), ("yes", "yes"), ("True", "True"), ("12:30:45", "12:30:45"),
        ("0x10", "0x10"), ("0o17", "0o17"), ("010", 10), ("1_000", "1_000"), ("2026-01-01", "2026-01-01"),
        ("=", "="), ("<<", "<<"), (".inf", ".inf"), ("-.NaN", "-.NaN"), ("true", True), ("false", False),
        ("null", None), ("~", None), ("", None), ("Null", "Null"), ("-5", -5), ("+5", 5), ("1.5", 1.5), (".5", 0.5),
        ("1e3", 1000.0), ("1e999", "1e999"), ("'8080'", "8080"), ('"true"', "true"), ("9" * 5000, "9" * 5000),
        ("1." + "0" * 400, "1." + "0" * 400), ("9" * 30, float("9" * 30)), ("-", [None]), (".", "."), ("+", "+"),
    ],
)  # fmt: skip
def test_what_a_plain_word_means(written: str, value: object) -> None:
    read = parse(f"key: {written}" if written != "-" else "key:\n  -").data["key"]
    assert read == value
    assert type(read) is type(value)
    assert not isinstance(read, float) or math.isfinite(read)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands here twice (first on line 1)"),
        ("a:\n  b: 1\n  'b': 2\n", 3, "twice"),
        ("a: &x 1\n", 1, "anchors"),
        ("a: 1\nb: *x\n", 2, "aliases"),
        ("<<: *x\n", 1, "aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tags"),
        ("a: !!int 5\n", 1, "tags"),
        ("a: ! x\n", 1, "tags"),
        ("web:\n\tport: 1\n", 2, "a tab"),
        ("a: 1\n---\nb: 2\n", 2, "not YAML"),
        ("a: b: c\n", 1, "a second ':'"),
        ("a: [1, 2\nb: 3\n", 2, "not YAML: the '[' of line 1 is not closed"),
        ("a: 1\nb: {c: 1\n", 3, "not YAML: the '{' of line 2 is not closed"),
        ("a:\n  b: 1\n c: 2\n", 3, "not YAML: the indent fits none"),
        ("a: 1\nb\n", 3, "there is no ':' behind the word of line 2"),
        ("a: 1\n  b: 2\n", 2, "wrong indent"),
        ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
        ("a: 'x\n", 2, "not YAML: the quote of line 1 is not closed"),
        ("a: 1\nb: \x07\n", 2, r"'\x07'"),
        ("%YAML 9.9\n---\na: 1\n", 1, "not YAML"),
        ("a: @x\n", 1, "not YAML: found character '@' that cannot start any token; put the text in quotes"),
        ("[" * 100_000, 1, f"deeper than {MAX_DEPTH}"),
        ("a: " + "{a: " * 100_000, 1, f"deeper than {MAX_DEPTH}"),
        ("- " * 1000, 1, f"deeper than {MAX_DEPTH}"),
    ],
    ids=lambda text: str(text)[:40],
)
def test_what_is_refused_and_where(text: str, line: int, words: str) -> None:
    with pytest.raises(YamlProblem) as caught:
        parse(text)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    with pytest.raises(YamlProblem, match="anchors"):
        parse(bomb)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse("1: a\ntrue: b\n~: c\n'': d\n").data == {"1": "a", "true": "b", "~": "c", "": "d"}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~\n"])
def test_an_empty_document_is_nothing(text: str) -> None:
    assert parse(text).data is None


def test_every_value_has_the_line_of_its_key() -> None:
    document = parse("web:\n  # a comment\n  port: 1\n\nlist:\n  - a\n  - b: 2\n")
    assert document.lines["web",] == 1
    assert document.lines["web", "port"] == 3
    assert document.lines["list", 0] == 6
    assert document.lines["list", 1, "b"] == 7
