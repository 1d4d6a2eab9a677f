"""What a broker on the network handed over, read as a message; and a rejected message as a dead letter.

Publishers that are no Earshot may leave out everything but the topic, the key and the body: the ids
are then looked for in the body, which carries them too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.broker.base import BadRoutingKey, Message, RoutingKey
from gateway.broker.wire import RawMessage
from gateway.contract.messages import DEAD_TOPIC, MESSAGE_BYTES, new_id

JSON = "application/json"
"""The content type of a message that does not name one."""

UNREADABLE = RoutingKey("unreadable", "unreadable", "unreadable")
"""The key of a dead letter whose own key was none."""

ID_CHARACTERS = 200
"""An id from outside is not longer; what is over is cut off."""


TYPE_CHARACTERS = 200
HEADERS_CHARACTERS = 8 * 1024
"""Of all names and values of a message's headers; what is over is left out."""
BEGINNING_BYTES = 4 * 1024
"""Of a message that is too large, its dead letter has so much."""


class _Ids(Struct):
    """The ids in a body, of whatever type they are."""

    message_id: object = ""
    correlation_id: object = ""


_ids = msgspec.json.Decoder(_Ids)


DOT = "="
"""In the place of a dot in a device's id, on servers where dots part a key's tokens. No id has it."""


def one_token(device_id: str) -> str:
    """A device's id as a server has it that takes a dot for the end of a token. No two ids are one so."""
    return device_id.replace(".", DOT)


def spell_key(key: RoutingKey) -> str:
    """``user.device.session``, as servers have it on which dots part tokens."""
    return f"{key.user}.{one_token(key.device)}.{key.session}"


def parse_key(text: str) -> RoutingKey:
    """What ``spell_key`` has spelled. Raises BadRoutingKey."""
    tokens = text.split(".", 3)
    if len(tokens) != 3:
        raise BadRoutingKey(f"the routing key {text!r:.80} is not user.device.session")
    user, device, session = tokens
    return RoutingKey(user, device.replace(DOT, "."), session)


def read_message(topic: str, received: RawMessage) -> Message:
    """The message, completed from its body and from its place. Raises BadRoutingKey."""
    return _message(topic, parse_key(received.key), received)


def read_unreadable(topic: str, received: RawMessage) -> Message:
    """The message whose key is none, under a key that says so."""
    return _message(topic, UNREADABLE, received)


def beginning(received: RawMessage) -> RawMessage:
    """What came, or the beginning of it if it is larger than any message: a dead letter needs no more."""
    if len(received.payload) <= MESSAGE_BYTES:
        return received
    return msgspec.structs.replace(received, payload=received.payload[:BEGINNING_BYTES])


def dead_letter(message: Message, reason: str, attempt: int, group: str) -> Message:
    """``message`` as it goes to the dead letters: itself, with headers that say what happened to it.

    The reason is made one line of printable characters: MQTT brokers hang up on others, and a letter that cannot
    be published would come again for ever.
    """
    printable = "".join(character if character.isprintable() else " " for character in reason[:500])
    why = {
        "earshot-dead-reason": " ".join(printable.split()),
        "earshot-dead-topic": message.topic,
        "earshot-dead-group": group,
        "earshot-dead-attempt": str(attempt),
    }
    return msgspec.structs.replace(message, topic=DEAD_TOPIC, headers={**message.headers, **why})


def _message(topic: str, key: RoutingKey, received: RawMessage) -> Message:
    message_id, correlation_id = received.message_id, received.correlation_id
    if not message_id or not correlation_id:
        ids = _ids_in(received.payload)
        message_id = message_id or ids[0] or received.place or new_id("m")
        correlation_id = correlation_id or ids[1]
    return Message(
        topic=topic,
        routing_key=key,
        payload=received.payload,
        timestamp=_dated(received.timestamp) or time.time(),
        message_id=message_id[:ID_CHARACTERS],
        correlation_id=correlation_id[:ID_CHARACTERS],
        reply_to=received.reply_to[:ID_CHARACTERS],
        content_type=received.content_type[:TYPE_CHARACTERS] or JSON,
        headers=_bounded(received.headers),
    )


def _bounded(headers: Mapping[str, str]) -> dict[str, str]:
    kept, room = {}, HEADERS_CHARACTERS
    for name, value in headers.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        kept[name] = value
    return kept


def _ids_in(payload: bytes) -> tuple[str, str]:
    if not payload.startswith(b"{"):
        return "", ""
    try:
        ids = _ids.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "", ""
    message_id, correlation_id = ids.message_id, ids.correlation_id
    return (
        message_id if isinstance(message_id, str) else "",
        correlation_id if isinstance(correlation_id, str) else "",
    )


def seconds(text: str) -> float:
    """A timestamp that came as text; 0 when it is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return _dated(value)


def _dated(value: float) -> float:
    """A time that clocks and calendars know; 0 for any other."""
    return value if 0 < value < 1e11 else 0.0


def texts(headers: Mapping[str, object]) -> dict[str, str]:
    """Headers as text, whatever types another publisher gave them."""
    return {str(name): value if isinstance(value, str) else str(value) for name, value in headers.items()}
