"""What the brokers of the house hand over: a message or BadRoutingKey; what cannot be done goes on as a dead letter."""

from __future__ import annotations

from aiormq import spec
from aiormq.abc import ContentHeader, DeliveredMessage

from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.broker.backends import mqtt, nats_subjects, rabbitmq, redis_entries
from gateway.broker.base import BadRoutingKey, BrokerError, Message
from gateway.broker.envelope import dead_letter, read_message, read_unreadable, seconds
from gateway.broker.wire import RawMessage
from gateway.contract.messages import DEAD_TOPIC, RESULTS_TOPIC

_FIELDS = b"\0"
_NAMES = (
    b"key",
    b"message_id",
    b"correlation_id",
    b"reply_to",
    b"content_type",
    b"header:x",
    b"header:earshot-timestamp",
)
_HEADERS = (mqtt.MESSAGE_ID, mqtt.TIMESTAMP, rabbitmq.DELIVERIES_HEADER, rabbitmq.TIMESTAMP_HEADER, "x")


def fuzz(data: bytes) -> None:
    first, *fields = data.split(_FIELDS)
    texts = [field.decode("utf-8", "replace") for field in (*fields, *[b""] * 6)]
    for received in (
        _of_redis(first, fields),
        _of_nats(first, texts),
        _of_mqtt(first, texts),
        _of_rabbitmq(first, texts),
    ):
        assert received.attempt >= 1
        _goes_on(received)


def _goes_on(received: RawMessage) -> None:
    try:
        message = read_message(RESULTS_TOPIC, received)
    except BadRoutingKey as error:
        message = read_unreadable(RESULTS_TOPIC, received)
        reason = str(error)
    else:
        reason = message.correlation_id
    assert 0 < message.timestamp < 1e11
    letter = dead_letter(message, reason, received.attempt, "earshot")
    assert letter.topic == DEAD_TOPIC
    assert len(letter.message_id) <= 200
    _published(letter)


def _published(letter: Message) -> None:
    redis_entries.entry(letter, 1_000)
    for name in nats_subjects.headers(letter):
        assert "\n" not in name
    try:
        rabbitmq._properties(letter)
    except BrokerError:
        return  # too long for AMQP, which is told


def _of_redis(first: bytes, fields: list[bytes]) -> RawMessage:
    named = dict(zip(_NAMES, fields, strict=False))
    entry_id = b"%d-7" % int.from_bytes(first[:8])
    return redis_entries.received(entry_id, {b"body": first, **named, first[:20]: first}, "token")


def _of_nats(first: bytes, texts: list[str]) -> RawMessage:
    told = dict(
        zip(
            (nats_subjects.MESSAGE_ID, nats_subjects.CORRELATION_ID, nats_subjects.REPLY_TO, "x"),
            texts,
            strict=False,
        )
    )
    return nats_subjects.received(
        RESULTS_TOPIC, f"{RESULTS_TOPIC}.{texts[4]}", first, told, texts[5], settled=False
    )


def _of_mqtt(first: bytes, texts: list[str]) -> RawMessage:
    publication = Publication(
        topic=f"earshot/{texts[0]}",
        payload=first,
        response_topic=texts[1],
        correlation_data=first[:100],
        content_type=texts[2],
        user_properties=tuple(zip(_HEADERS, texts[3:], strict=False)),
    )
    return mqtt._received(publication, texts[0])


def _of_rabbitmq(first: bytes, texts: list[str]) -> RawMessage:
    properties = spec.Basic.Properties(
        message_id=texts[0],
        correlation_id=texts[1],
        reply_to=texts[2],
        content_type=texts[3],
        headers={**dict(zip(_HEADERS, texts, strict=False)), "number": len(first), "none": None},
    )
    assert seconds(texts[0]) >= 0
    return rabbitmq._received(
        DeliveredMessage(
            delivery=spec.Basic.Deliver("tag", 7, False, "exchange", texts[4]),
            header=ContentHeader(0, len(first), properties),
            body=first,
            channel=None,  # type: ignore[arg-type]
        )
    )
