"""Patterns, topics and keys: the documented spellings, and nothing that a broker could read otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.base import BadRoutingKey, BrokerError, RoutingKey
from gateway.broker.envelope import one_token, parse_key
from gateway.broker.patterns import EVERYTHING, Pattern, PatternKind, check_topic, parse_pattern

TOKENS = st.text("abcXYZ019_-", min_size=1, max_size=64)
DEVICES = st.lists(TOKENS, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) <= 64)
KEYS = st.builds(RoutingKey, TOKENS, DEVICES, TOKENS)
HOSTILE = [
    "", "/", "a/b", "+", "a+", "#", "*", ">", "$SYS", "a b", " a", "a ", "a\n", "\na", "a\tb", "a.b", "..",
    "a\x00", "\u043a\u0443", "\uff41\uff42", "a\u200b", "ö", "²", "x" * 65, "a'b", "a;b", "%s", "a\r\nb", "\u2028",
]  # fmt: skip


@pytest.mark.parametrize("token", HOSTILE)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_key_takes_no_hostile_token(token: str, place: int) -> None:
    if (place, token) == (1, "a.b"):
        return  # a device's id may have dots between
    tokens = ["ann", "kitchen", "s_1"]
    tokens[place] = token
    with pytest.raises(BadRoutingKey) as caught:
        RoutingKey(*tokens)
    assert ("user", "device", "session")[place] in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_bad_key_is_a_value_error_and_a_broker_error() -> None:
    assert issubclass(BadRoutingKey, ValueError)
    assert issubclass(BadRoutingKey, BrokerError)


@pytest.mark.parametrize("token", HOSTILE)
@pytest.mark.parametrize("field", ["session", "device", "user"])
def test_a_pattern_takes_no_hostile_token(field: str, token: str) -> None:
    if token == "*" or (field, token) == ("device", "a.b"):
        return  # documented spellings
    with pytest.raises(BadRoutingKey, match="is none of"):
        parse_pattern(f"{field}.{token}")


@pytest.mark.parametrize(
    "text",
    ["*", "#", ">", "+", ".", " ", "session", "session.", "device.", "device.**", "user.*.", "user.a.b", "device.a.*",
     "device..a", "device.a.", "Session.a", "sessions.a", "topic.a",
     ".a", "session.a.b", "session.*.b", "session.a*", "session. *", "everything"],
)  # fmt: skip
def test_only_the_documented_spellings_are_patterns(text: str) -> None:
    with pytest.raises(BadRoutingKey, match=r"device\.<id>"):
        parse_pattern(text)


def test_everything_has_four_spellings() -> None:
    assert {parse_pattern(one) for one in ("", "session.*", "device.*", "user.*")} == {EVERYTHING}


@given(KEYS)
def test_everything_matches_every_key(key: RoutingKey) -> None:
    assert EVERYTHING.matches(key)


@given(KEYS)
def test_a_key_is_read_as_it_was_written(key: RoutingKey) -> None:
    assert parse_key(f"{key.user}.{one_token(key.device)}.{key.session}") == key


@given(DEVICES, DEVICES)
def test_no_two_devices_are_one_token(first: str, second: str) -> None:
    assert (one_token(first) == one_token(second)) is (first == second)
    assert "." not in one_token(first)


@given(KEYS, TOKENS)
def test_a_pattern_matches_its_own_token_only(key: RoutingKey, token: str) -> None:
    for field in ("session", "device", "user"):
        assert parse_pattern(f"{field}.{token}").matches(key) == (getattr(key, field) == token)
        assert parse_pattern(f"{field}.{getattr(key, field)}").matches(key)


@given(TOKENS, st.sampled_from(["session", "device", "user"]))
def test_a_pattern_is_written_as_it_is_read(token: str, field: str) -> None:
    pattern = parse_pattern(f"{field}.{token}")
    assert pattern == Pattern(PatternKind(field), token)
    assert parse_pattern(str(pattern)) == pattern
    assert parse_pattern(str(EVERYTHING)) is EVERYTHING


@given(st.text())
def test_any_text_is_a_pattern_or_refused_in_few_words(text: str) -> None:
    refusal = ""
    try:
        assert str(parse_pattern(text)) == ("" if text in {"session.*", "device.*", "user.*"} else text)
    except BadRoutingKey as error:
        refusal = str(error)
    assert len(refusal) < 400


@pytest.mark.parametrize("topic", ["a", "transcription.results", "a.b.c.d.e.f.g.h", "A-1_b." + "x" * 64])
def test_a_topic_is_tokens_joined_by_dots(topic: str) -> None:
    assert check_topic(topic) == topic


@pytest.mark.parametrize(
    "topic",
    [token for token in HOSTILE if token != "a.b"] + ["a.", ".a", "a..b", "a.b.c.d.e.f.g.h.i", "a." * 10_000],
)
def test_anything_else_is_no_topic(topic: str) -> None:
    with pytest.raises(BadRoutingKey, match="joined by dots"):
        check_topic(topic)
