"""A message as a record of Kafka's and back; what strangers write there is read as far as it goes."""

from __future__ import annotations

import re

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.backends.kafka_records import (
    Record,
    group_id,
    read_positions,
    received,
    record,
    spell_positions,
    topic_name,
)
from gateway.broker.base import Message, RoutingKey
from gateway.broker.buffer import Readership
from gateway.broker.envelope import read_message
from gateway.broker.patterns import parse_pattern
from tests.gateway.broker.contract import KITCHEN

LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for a topic's name."""

tokens = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
devices = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=4).map(
    ".".join
)
words = st.text(max_size=40)
messages = st.builds(
    Message,
    topic=st.just("transcription.results"),
    routing_key=st.builds(RoutingKey, user=tokens, device=devices, session=tokens),
    payload=st.binary(max_size=200),
    timestamp=st.floats(0, 4e9),
    message_id=st.text(min_size=1, max_size=40),
    correlation_id=words,
    reply_to=words,
    content_type=st.text(min_size=1, max_size=40),
    headers=st.dictionaries(st.text(min_size=1, max_size=20), words, max_size=4),
)


def come(one: Record, partition: int = 3, offset: int = 7) -> ConsumerRecord:
    """As a reader of aiokafka's has it."""
    return ConsumerRecord(
        topic="earshot.transcription.results",
        partition=partition,
        offset=offset,
        timestamp=one.timestamp,
        timestamp_type=0,
        key=one.key,
        value=one.value,
        checksum=None,
        serialized_key_size=len(one.key),
        serialized_value_size=len(one.value),
        headers=one.headers,
    )


@given(messages)
def test_what_was_published_is_what_comes(message: Message) -> None:
    raw = received(come(record(message)), (3, 7))
    assert raw.payload == message.payload
    assert raw.message_id == message.message_id
    assert raw.correlation_id == message.correlation_id
    assert raw.reply_to == message.reply_to
    assert (raw.content_type or "application/json") == message.content_type
    assert abs(raw.timestamp - message.timestamp) <= 0.001
    assert (raw.token, raw.attempt) == ((3, 7), 1)
    ours = {"earshot-message-id", "earshot-correlation-id", "earshot-reply-to", "content-type"}
    assert raw.headers == {name: value for name, value in message.headers.items() if name not in ours}
    assert read_message(message.topic, raw).routing_key == message.routing_key


@given(messages)
def test_its_size_is_about_that_of_what_it_holds(message: Message) -> None:
    one = record(message)
    held = len(one.key) + len(one.value) + sum(len(name) + len(value) for name, value in one.headers)
    assert held < one.size <= held + 64


def test_only_headers_that_say_something_are_sent() -> None:
    plain = record(Message(topic="t", routing_key=KITCHEN, payload=b"{}", message_id="m_1"))
    assert plain.headers == [("earshot-message-id", b"m_1")]
    assert plain.key == b"ann.kitchen.s_1"


def test_a_header_of_a_strangers_does_not_stand_for_ours() -> None:
    """Whose message is published on, as a dead letter is, has had it once."""
    forged = {"earshot-message-id": "m_forged", "earshot-reply-to": "elsewhere", "kept": "yes"}
    one = record(Message(topic="t", routing_key=KITCHEN, payload=b"", message_id="m_1", headers=forged))
    assert one.headers == [("earshot-message-id", b"m_1"), ("kept", b"yes")]


@pytest.mark.parametrize(
    ("key", "headers", "value"),
    [
        (None, [], None),
        (b"", [("earshot-message-id", b"")], b""),
        (b"\xff\xfe", [("odd", b"\xff"), ("none", None)], b"\x00"),
        (b"x" * 70_000, [("n" * 300, b"v" * 70_000)], b"y"),
        (b"ann.kitchen.s_1", [("twice", b"1"), ("twice", b"2")], b"z"),
    ],
)
def test_whatever_a_stranger_writes_is_read(
    key: bytes | None, headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    raw = received(
        come(Record(key, value, headers, 0)) if key and value else _bare(key, headers, value), None
    )
    assert raw.payload == (value or b"")
    assert isinstance(raw.key, str)
    assert all(isinstance(text, str) for text in raw.headers.values())


def _bare(key: bytes | None, headers: list[tuple[str, bytes | None]], value: bytes | None) -> ConsumerRecord:
    return ConsumerRecord("t", 0, 0, 0, 0, key, value, None, 0, 0, headers)


def test_a_place_is_the_same_at_every_delivery_and_no_others() -> None:
    one = record(Message(topic="t", routing_key=KITCHEN, payload=b"", timestamp=5.0))
    places = {received(come(one, partition, offset), None).place for partition in (0, 1) for offset in (0, 1)}
    assert len(places) == 4
    assert received(come(one), None, attempt=2).place == received(come(one), None).place
    anew = record(Message(topic="t", routing_key=KITCHEN, payload=b"", timestamp=6.0))
    assert received(come(anew), None).place != received(come(one), None).place, (
        "a topic made anew counts from 0"
    )


# -- names


@given(tokens, tokens, st.sampled_from(["", "user.ann", "device.esp32.001", "session.s_1"]))
def test_each_pattern_of_a_group_is_a_group(group: str, other: str, spelled: str) -> None:
    pattern = parse_pattern(spelled)
    name = group_id("earshot", Readership("device.announcements", pattern, group))
    assert name.startswith(f"earshot.device.announcements.{group}")
    assert (name == group_id("earshot", Readership("device.announcements", pattern, other))) == (
        group == other
    )


def test_names_are_those_that_kafka_takes_and_each_house_has_its_own() -> None:
    for topic in ("transcription.results", "orchestrator.replies", "dead.letters"):
        assert LEGAL.fullmatch(topic_name("earshot", topic))
        assert topic_name("earshot", topic) != topic_name("annex", topic)


# -- positions


@given(st.dictionaries(st.integers(0, 1_000), st.integers(0, 2**62)))
def test_positions_are_read_as_they_were_spelled(positions: dict[int, int]) -> None:
    assert read_positions(spell_positions(positions)) == positions
