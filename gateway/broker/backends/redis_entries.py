"""What stands in the entries of a Redis stream, as ``docs/messages.md`` says. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.broker.base import Message
from gateway.broker.buffer import Readership
from gateway.broker.envelope import JSON, spell_key
from gateway.broker.wire import RawMessage, Token
from gateway.settings.broker import NAMESPACE

HEADER = "header:"
"""What the names of further headers begin with, as fields of an entry."""


def stream_key(namespace: str, topic: str) -> str:
    """Where a topic's stream lies."""
    return f"{namespace}:{topic}"


def entry(message: Message, trim: int, namespace: str = NAMESPACE) -> list[Any]:
    """XADD, with only the fields that say something."""
    command: list[Any] = ["XADD", stream_key(namespace, message.topic), "MAXLEN", "~", trim, "*"]
    command += ["key", spell_key(message.routing_key), "body", message.payload]
    command += ["message_id", message.message_id]
    for name, value in (("correlation_id", message.correlation_id), ("reply_to", message.reply_to)):
        if value:
            command += [name, value]
    if message.content_type != JSON:
        command += ["content_type", message.content_type]
    for name, value in message.headers.items():
        command += [HEADER + name, value]
    return command


def packed(command: Iterable[Any]) -> bytes:
    """A command as it travels."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"".join([b"*%d\r\n" % len(words), *[b"$%d\r\n%b\r\n" % (len(word), word) for word in words]])


def received(entry_id: Any, fields: dict[bytes, bytes], token: Token, attempt: int = 1) -> RawMessage:
    """An entry as it came; who wrote it may have left out whatever but the key."""
    texts = {text(name): text(value) for name, value in fields.items() if name != b"body"}
    return RawMessage(
        key=texts.get("key", ""),
        payload=fields.get(b"body", b""),
        token=token,
        attempt=attempt,
        place=text(entry_id),
        message_id=texts.get("message_id", ""),
        correlation_id=texts.get("correlation_id", ""),
        reply_to=texts.get("reply_to", ""),
        content_type=texts.get("content_type", ""),
        timestamp=order(entry_id)[0] / 1000,
        headers={
            name.removeprefix(HEADER): value for name, value in texts.items() if name.startswith(HEADER)
        },
    )


def group(readership: Readership) -> str:
    """The consumer group's name."""
    pattern = str(readership.pattern)
    return f"{readership.group}:{pattern}" if pattern else readership.group


def entries(answer: Any) -> list[tuple[Any, Any]]:
    """The entries of the one stream that was read; none when nothing came."""
    return list(answer[0][1]) if answer else []


def order(entry_id: Any) -> tuple[int, int]:
    """By which entries' ids are ordered."""
    time, _, number = text(entry_id).partition("-")
    return int(time), int(number)


def text(value: Any) -> str:
    """Bytes of the server as text, whatever they are."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
