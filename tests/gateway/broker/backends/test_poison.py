"""Messages that a server would not take as a dead letter, and which must become one all the same.

A letter that cannot be published is poison: its message stays with its group, comes again and is rejected again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from types import SimpleNamespace
from typing import Any

import aio_pika
import msgspec
import nats as nats_client
import pika
import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from firmware_bridge.carriers.mqtt_publication import Packed, Publication
from gateway.broker.backends import mqtt, rabbitmq
from gateway.broker.backends.nats_subjects import delivery, headers
from gateway.broker.backends.redis_entries import entry, received
from gateway.broker.base import BrokerError, BrokerUnavailable, Message
from gateway.broker.envelope import dead_letter, read_message, seconds
from gateway.broker.opening import open_broker
from gateway.contract.messages import DEAD_TOPIC
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.contract import KITCHEN, take
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ

TOPIC = "pigeon.post"
ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=80)
"""Lone surrogates and control characters too: a reason may quote a file's name, or what a terminal is told."""
WHY = {f"earshot-dead-{what}" for what in ("reason", "topic", "group", "attempt")}
CLEAN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


def message(**fields: Any) -> Message:
    return Message(topic=TOPIC, routing_key=KITCHEN, payload=b"bad", **fields)


# -- the reason


@given(ANYTHING)
def test_any_reason_is_one_line_that_every_broker_takes(reason: str) -> None:
    said = dead_letter(message(), reason, 1, "workers").headers["earshot-dead-reason"]
    assert said.isprintable()
    assert said.encode().decode() == said
    assert said == said.strip()
    assert len(said) <= 500


@given(CLEAN.filter(str.isprintable))
def test_a_reason_in_plain_words_is_not_changed(reason: str) -> None:
    said = dead_letter(message(), f"because {reason}.", 1, "").headers["earshot-dead-reason"]
    assert said == " ".join(f"because {reason}.".split())


@given(ANYTHING, st.dictionaries(CLEAN, CLEAN, max_size=4))
def test_a_letter_keeps_what_its_message_had(reason: str, told: dict[str, str]) -> None:
    original = message(headers=told, correlation_id="c_1", reply_to="there", content_type="text/plain")
    letter = dead_letter(original, reason, 3, "workers")
    assert letter.topic == DEAD_TOPIC
    assert told.items() - letter.headers.items() <= {(name, told.get(name)) for name in WHY}
    assert letter.headers["earshot-dead-attempt"] == "3"
    assert msgspec.structs.replace(letter, topic=TOPIC, headers=told) == original


# -- what each server reads in headers itself


@given(st.sampled_from(["Nats-Expected-Stream", "nats-rollup", "NATS-TTL", "Nats-Expected-Last-Msg-Id"]))
def test_an_order_to_nats_is_not_repeated(name: str) -> None:
    told = headers(message(message_id="m_1", headers={name: "all", "x-nats-like": "kept"}))
    assert told == {"Nats-Msg-Id": "m_1", "x-nats-like": "kept"}


@given(st.dictionaries(ANYTHING, CLEAN, max_size=5), st.text(min_size=1, max_size=20))
def test_what_nats_gets_as_headers_cannot_be_more_than_headers(told: dict[str, str], message_id: str) -> None:
    for name in headers(message(headers=told, message_id=message_id)):
        assert name.isascii()
        assert name.replace("-", "a").replace("_", "a").isalnum()


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_rabbitmq_is_not_told_to_route_a_letter_further(name: str) -> None:
    told = rabbitmq._properties(message(headers={name: "['a.b.c']", "cc": "kept"})).headers
    assert told is not None
    assert name not in told
    assert told["cc"] == "kept"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"message_id": "ö" * 128}, "message id"),
        ({"correlation_id": "x" * 256}, "correlation id"),
        ({"reply_to": "x" * 256}, "reply-to"),
        ({"content_type": "x" * 256}, "content type"),
        ({"headers": {"x" * 256: ""}}, "header's name"),
    ],
)
def test_what_is_too_long_for_rabbitmq_is_said(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(BrokerError, match=what) as caught:
        rabbitmq._properties(message(**fields))
    assert not isinstance(caught.value, BrokerUnavailable), "trying again would not help"
    assert len(str(caught.value)) < 200


# -- what comes from anybody


class Frame(Struct):
    """As much of a delivery of aiormq as is read."""

    body: bytes = b""
    routing_key: str | None = "ann.kitchen.s_1"
    delivery_tag: int = 7
    redelivered: bool = False
    header: Any = None


def delivered(*, redelivered: bool = False, **properties: Any) -> Any:
    wire = aio_pika.Message(b"", **properties).properties
    frame: DeliveredMessage = Frame(redelivered=redelivered, header=SimpleNamespace(properties=wire))  # type: ignore[assignment]
    return rabbitmq._received(frame)


@pytest.mark.parametrize(
    ("count", "attempt"),
    [(0, 1), (4, 5), ("4", 5), (-1, 1), ("x", 1), ("", 1), ("9" * 5000, 1_000_000_000), (True, 1), ([3], 1)],
)
def test_a_count_of_deliveries_that_somebody_made_up(count: Any, attempt: int) -> None:
    assert delivered(headers={"x-delivery-count": count}).attempt == attempt


def test_without_a_count_a_second_delivery_is_at_least_known_as_one() -> None:
    assert (delivered().attempt, delivered(redelivered=True).attempt) == (1, 2)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("1700000000.25", 1_700_000_000.25),
        ("soon", 1.6e9),
        ("nan", 1.6e9),
        ("inf", 1.6e9),
        ("-1", 1.6e9),
        (7, 7.0),
    ],
)
def test_a_timestamp_is_ours_or_amqps_or_none(stamp: Any, expected: float) -> None:
    when = dt.datetime.fromtimestamp(1.6e9, dt.UTC)
    assert delivered(headers={rabbitmq.TIMESTAMP_HEADER: stamp}, timestamp=when).timestamp == expected


def test_headers_of_any_type_are_read_as_text() -> None:
    told = delivered(
        headers={"n": 7, "list": [1, "b"], "table": {"a": None}, "none": None, "bytes": b"\xff"}
    ).headers
    assert set(told) == {"n", "list", "table", "none", "bytes"}
    assert all(isinstance(value, str) for value in told.values())


@given(st.text(max_size=30))
def test_seconds_are_a_time_of_our_age_or_zero(text: str) -> None:
    assert 0 <= seconds(text) < 1e11


@given(st.lists(st.one_of(st.text(max_size=5), st.integers().map(str), st.just("9" * 400)), max_size=13))
def test_any_subject_to_answer_on_is_a_delivery(tokens: list[str]) -> None:
    attempt, sequence, timestamp = delivery(".".join(tokens))
    assert attempt >= 1
    assert sequence >= 0
    assert 0 <= timestamp < 1e12


@given(
    st.dictionaries(st.binary(max_size=12), st.binary(max_size=12), max_size=6),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
)
def test_any_entry_of_a_redis_stream_is_read(fields: dict[bytes, bytes], time: int, number: int) -> None:
    came = received(b"%d-%d" % (time, number), {b"key": b"a.b.c", **fields}, b"token")
    assert came.place == f"{time}-{number}"
    if came.key == "a.b.c":
        assert read_message(TOPIC, came).payload == fields.get(b"body", b"")
        assert 0 < read_message(TOPIC, came).timestamp < 1e11


@given(
    st.dictionaries(CLEAN, CLEAN, max_size=4), CLEAN, st.sampled_from(["", "answers"]), st.binary(max_size=60)
)
def test_an_entry_is_read_as_it_was_written(
    told: dict[str, str], correlation_id: str, reply_to: str, body: bytes
) -> None:
    written = Message(
        topic=TOPIC,
        routing_key=KITCHEN,
        payload=body,
        message_id="m_1",
        correlation_id=correlation_id or "c_1",
        reply_to=reply_to,
        headers=told,
    )
    flat = [part if isinstance(part, bytes) else str(part).encode() for part in entry(written, 100)[6:]]
    read = read_message(
        TOPIC, received(b"1700000000000-0", dict(zip(flat[::2], flat[1::2], strict=True)), None)
    )
    assert msgspec.structs.replace(read, timestamp=written.timestamp) == written
    assert read.timestamp == 1_700_000_000.0


@given(
    st.dictionaries(CLEAN.filter(bool), CLEAN, max_size=4),
    CLEAN.filter(bool),
    st.sampled_from(["", "answers", "a.b.c", "somewhere/else", "$SYS"]),
)
def test_what_mqtt_carries_is_read_as_it_was_written(
    told: dict[str, str], correlation_id: str, reply_to: str
) -> None:
    written = message(message_id="m_1", correlation_id=correlation_id, reply_to=reply_to, headers=told)
    publication = mqtt._publication(written)
    Packed(publication).pack()
    key = publication.topic.removeprefix("earshot/pigeon/post/")
    read = read_message(TOPIC, mqtt._received(publication, key))
    ours = {mqtt.MESSAGE_ID, mqtt.TIMESTAMP} & told.keys()
    if not ours:
        assert read == written


@given(st.lists(st.tuples(ANYTHING, ANYTHING), max_size=4), ANYTHING, st.binary(max_size=40), ANYTHING)
def test_any_publication_of_a_stranger_is_read(
    pairs: list[tuple[str, str]], response_topic: str, correlation: bytes, key: str
) -> None:
    came = mqtt._received(
        Publication(
            topic="t",
            payload=b"",
            response_topic=response_topic,
            correlation_data=correlation,
            user_properties=tuple(pairs),
        ),
        key,
    )
    assert 0 <= came.timestamp < 1e11
    assert "/" not in came.key


# -- the servers themselves


@pytest.mark.slow
async def test_mosquitto_takes_the_letter_whatever_the_reason_quotes(mosquitto: Mosquitto) -> None:
    broker = open_broker(mosquitto.url, BrokerSettings())
    async with broker.subscribe(DEAD_TOPIC) as letters, broker.subscribe(TOPIC, group="workers") as mine:
        await broker.publish(TOPIC, KITCHEN, b"bad")
        await (await take(mine)).reject("\x1b[31mred\x00 \udcff \ufffe \x85 \u2028 ü")
        assert (await take(letters)).message.headers["earshot-dead-reason"] == "[31mred ü"
    await broker.close()


@pytest.mark.slow
@pytest.mark.xdist_group("rabbitmq")
async def test_rabbitmq_takes_the_letter_of_a_message_with_further_keys(rabbitmq: RabbitMQ) -> None:
    broker = open_broker(rabbitmq.url, BrokerSettings())
    connection = await aio_pika.connect(rabbitmq.url)
    async with broker.subscribe(DEAD_TOPIC) as letters, broker.subscribe(TOPIC, group="workers") as mine:
        exchange = await (await connection.channel()).get_exchange(f"earshot.{TOPIC}")
        stranger = aio_pika.Message(b"bad", headers={"CC": ["a.b.c"], "x": "y"})
        await exchange.publish(stranger, "ann.kitchen.s_1")
        await (await take(mine)).reject("no")
        assert (await take(letters)).message.headers["x"] == "y"
    await connection.close()
    await broker.close()


def _published_by_a_stranger(url: str, key: bytes, properties: dict[str, Any]) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        named = pika.BasicProperties(**properties)
        connection.channel().basic_publish(f"earshot.{TOPIC}", key, b"bad", named)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.xdist_group("rabbitmq")
@pytest.mark.parametrize(
    ("key", "properties"),
    [
        (b"ann.kitchen.s_1", {"timestamp": 2**60}),
        (b"ann.kitchen.s_1", {"message_id": b"\xff"}),
        (b"ann.kitchen.s_1", {"headers": {b"\xff": "x"}}),
        (b"ann.kitchen.\xff", {}),
        (b"\xff" * 255, {}),
    ],
)
async def test_what_no_library_reads_does_not_cut_the_connection_to_rabbitmq(
    rabbitmq: RabbitMQ, key: bytes, properties: dict[str, Any]
) -> None:
    broker = open_broker(rabbitmq.url, BrokerSettings())
    async with broker.subscribe(DEAD_TOPIC) as letters, broker.subscribe(TOPIC, group="workers") as mine:
        await broker.publish(TOPIC, KITCHEN, b"first")
        await (await take(mine)).ack()
        await asyncio.to_thread(_published_by_a_stranger, rabbitmq.url, key, properties)
        bad = await take(letters if b"\xff" in key else mine)
        assert (bad.message.payload, bad.attempt) == (b"bad", 1)
        assert 0 < bad.message.timestamp < 1e11
        await bad.ack()
    await broker.close()


@pytest.mark.slow
async def test_two_first_messages_without_ids_are_two_dead_letters_in_nats(nats: Nats) -> None:
    broker = open_broker(nats.url, BrokerSettings())
    stranger = await nats_client.connect(nats.url)
    async with broker.subscribe(DEAD_TOPIC) as letters:
        for topic in ("first.of.these", "first.of.those"):
            async with broker.subscribe(topic, group="workers") as mine:
                await stranger.jetstream().publish(f"{topic}.ann.kitchen.s_1", topic.encode())
                await (await take(mine)).reject("no")
        assert {(await take(letters)).message.payload for _ in range(2)} == {
            b"first.of.these",
            b"first.of.those",
        }
    await stranger.close()
    await broker.close()


@pytest.mark.slow
async def test_nats_takes_the_letter_of_a_message_with_expectations(nats: Nats) -> None:
    broker = open_broker(nats.url, BrokerSettings())
    stranger = await nats_client.connect(nats.url)
    async with broker.subscribe(DEAD_TOPIC) as letters, broker.subscribe(TOPIC, group="workers") as mine:
        stream = "earshot=pigeon=post"
        await stranger.jetstream().publish(f"{TOPIC}.ann.kitchen.s_1", b"bad", stream=stream)
        await (await take(mine)).reject("no")
        assert (await take(letters)).message.payload == b"bad"
    await stranger.close()
    await broker.close()
