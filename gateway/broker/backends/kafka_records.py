"""How our topics, groups, keys and headers stand in Kafka, as ``docs/messages.md`` says. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from gateway.broker.base import Message
from gateway.broker.buffer import Readership
from gateway.broker.envelope import JSON, spell_key
from gateway.broker.wire import RawMessage, Token

MESSAGE_ID = "earshot-message-id"
CORRELATION_ID = "earshot-correlation-id"
REPLY_TO = "earshot-reply-to"
CONTENT_TYPE = "content-type"
_OURS = {MESSAGE_ID, CORRELATION_ID, REPLY_TO, CONTENT_TYPE}


class Record(Struct, frozen=True):
    """A message as Kafka has it."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp: int
    """Milliseconds."""

    @property
    def size(self) -> int:
        """About its bytes."""
        told = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.key) + len(self.value) + told + 16


def topic_name(namespace: str, topic: str) -> str:
    """Ours have a beginning of their own: a Kafka is shared."""
    return f"{namespace}.{topic}"


def group_id(namespace: str, readership: Readership) -> str:
    """A group of Kafka's has one topic, so that a reader of one does not disturb those of another; and one pattern."""
    parts = (namespace, readership.topic, readership.group, str(readership.pattern))
    return ".".join(part for part in parts if part)


def record(message: Message) -> Record:
    """With only the headers that say something."""
    told = {MESSAGE_ID: message.message_id}
    if message.content_type != JSON:
        told[CONTENT_TYPE] = message.content_type
    if message.correlation_id:
        told[CORRELATION_ID] = message.correlation_id
    if message.reply_to:
        told[REPLY_TO] = message.reply_to
    headers = [(name, value.encode()) for name, value in told.items()]
    headers += [(name, value.encode()) for name, value in message.headers.items() if name not in _OURS]
    return Record(
        spell_key(message.routing_key).encode(), message.payload, headers, int(message.timestamp * 1000)
    )


def received(come: Any, token: Token, attempt: int = 1, after: str = "") -> RawMessage:
    """A record as it came; who wrote it may have left out whatever but the key."""
    told = {name: _text(value) for name, value in come.headers}
    return RawMessage(
        key=_text(come.key),
        payload=come.value or b"",
        token=token,
        attempt=attempt,
        place=f"{come.partition}-{come.offset}-{come.timestamp}",
        after=after,
        message_id=told.pop(MESSAGE_ID, ""),
        correlation_id=told.pop(CORRELATION_ID, ""),
        reply_to=told.pop(REPLY_TO, ""),
        content_type=told.pop(CONTENT_TYPE, ""),
        timestamp=come.timestamp / 1000,
        headers=told,
    )


def spell_positions(positions: Mapping[int, int]) -> str:
    """What is to be read next, for each partition."""
    return ",".join(f"{partition}={offset}" for partition, offset in positions.items())


def read_positions(text: str) -> dict[int, int]:
    """What ``spell_positions`` has spelled."""
    pairs: Iterable[list[str]] = (pair.split("=") for pair in text.split(",") if pair)
    return {int(partition): int(offset) for partition, offset in pairs}


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""
