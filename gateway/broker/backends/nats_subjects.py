"""How our topics, keys and headers stand in NATS JetStream, as ``docs/messages.md`` says. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.broker.base import Message
from gateway.broker.buffer import Readership
from gateway.broker.envelope import JSON, one_token, spell_key
from gateway.broker.patterns import Pattern, PatternKind
from gateway.broker.wire import RawMessage, Token
from gateway.settings.broker import NAMESPACE

CORRELATION_ID = "Earshot-Correlation-Id"
REPLY_TO = "Earshot-Reply-To"
CONTENT_TYPE = "Content-Type"
MESSAGE_ID = "Nats-Msg-Id"
"""The server's own: it drops what it has had under the same id within its window."""

_OURS = {CORRELATION_ID, REPLY_TO, CONTENT_TYPE, MESSAGE_ID}
_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_HEADER_NAME = re.compile(r"(?!nats-)[A-Za-z0-9_-]+\Z", re.IGNORECASE)
"""Those that NATS can carry, without those that tell the server what to do with a message."""


def placed(namespace: str, topic: str) -> str:
    """A topic as the house of ``namespace`` has it at the server; that of ``earshot`` has it as it is."""
    return topic if namespace == NAMESPACE else f"{namespace}.{topic}"


def unplaced(namespace: str, topic: str) -> str:
    """What ``placed`` has placed."""
    return topic if namespace == NAMESPACE else topic.removeprefix(f"{namespace}.")


def stream_name(topic: str) -> str:
    """Dots may not stand in a stream's name, and nothing that stands in a topic may replace them."""
    return "earshot=" + topic.replace(".", "=")


def stream_subjects(topic: str) -> str:
    """What the stream of a topic collects: exactly the three tokens of a key, so that no two overlap."""
    return f"{topic}.*.*.*"


def subject(message: Message, topic: str = "") -> str:
    """Where a message is published; ``topic``: its own, placed."""
    return f"{topic or message.topic}.{spell_key(message.routing_key)}"


def filter_subject(topic: str, pattern: Pattern) -> str:
    """What a pattern wants."""
    tokens = {
        PatternKind.EVERYTHING: "*.*.*",
        PatternKind.USER: f"{pattern.token}.*.*",
        PatternKind.DEVICE: f"*.{one_token(pattern.token)}.*",
        PatternKind.SESSION: f"*.*.{pattern.token}",
    }
    return f"{topic}.{tokens[pattern.kind]}"


def durable_name(readership: Readership) -> str:
    """The consumer of a group and pattern."""
    pattern = str(readership.pattern).replace(".", "=")
    return f"{readership.group}={pattern}" if pattern else readership.group


def headers(message: Message) -> dict[str, str]:
    """A message's headers.

    Left out are those whose name NATS cannot carry, and those that are orders to the server: what a message was
    published under once (``Nats-Expected-Stream``) would have it refused as a dead letter.
    """
    told = {name: value for name, value in message.headers.items() if _HEADER_NAME.match(name)}
    told[MESSAGE_ID] = message.message_id
    if message.content_type != JSON:
        told[CONTENT_TYPE] = message.content_type
    if message.correlation_id:
        told[CORRELATION_ID] = message.correlation_id
    if message.reply_to:
        told[REPLY_TO] = message.reply_to
    return told


def received(
    topic: str, subject: str, payload: bytes, told: Mapping[str, str] | None, reply: str, *, settled: bool
) -> RawMessage:
    """A message as it came. ``reply`` is where its settlement goes, and says which delivery it is."""
    told = told or {}
    attempt, sequence, timestamp = delivery(reply)
    token: Token = None if settled else reply
    return RawMessage(
        key=subject[len(topic) + 1 :],
        payload=payload,
        token=token,
        attempt=attempt,
        # The number alone is another's, too: in another stream, or in this one when it was made anew.
        place=f"{sequence}-{round(timestamp * 1e6)}",
        message_id=told.get(MESSAGE_ID, ""),
        correlation_id=told.get(CORRELATION_ID, ""),
        reply_to=told.get(REPLY_TO, ""),
        content_type=told.get(CONTENT_TYPE, ""),
        timestamp=timestamp,
        headers={name: value for name, value in told.items() if name not in _OURS},
    )


def delivery(reply: str) -> tuple[int, int, float]:
    """The number of the delivery, the message's in its stream, and when it was published (Unix seconds).

    (1, 0, 0.0) when ``reply`` does not say so. ``$JS.ACK.<stream>.<consumer>.<delivery>.<stream sequence>.<consumer
    sequence>.<nanoseconds>.<pending>``, in newer servers with a domain and an account before the stream.
    """
    tokens = reply.split(".")
    at = 4 if len(tokens) == 9 else 6
    numbers = tokens[at : at + 4]
    if len(numbers) < 4 or not all(map(_NUMBER.match, numbers)):
        return 1, 0, 0.0
    return max(1, int(numbers[0])), int(numbers[1]), int(numbers[3]) / 1e9
