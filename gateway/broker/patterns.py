"""Which routing keys a subscription wants: parsed once, matched in constant time.

A pattern is one of the documented spellings and nothing else, whatever wildcards the broker behind
it may know. Every received key is matched here again, so that all brokers agree.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from gateway.broker.base import BadRoutingKey, RoutingKey
from gateway.contract.messages import is_device_token, is_token

SPELLINGS = "'' (everything), session.*, device.*, user.*, session.<id>, device.<id>, user.<id>"
_EVERYTHING_SPELLED = frozenset({"", "session.*", "device.*", "user.*"})


class PatternKind(enum.Enum):
    """Which token of the key a pattern looks at."""

    EVERYTHING = ""
    SESSION = "session"
    DEVICE = "device"
    USER = "user"


class Pattern(Struct, frozen=True):
    """A parsed pattern; ``token`` is empty for everything."""

    kind: PatternKind
    token: str = ""

    def matches(self, key: RoutingKey) -> bool:
        """Whether a message with ``key`` is wanted."""
        match self.kind:
            case PatternKind.EVERYTHING:
                return True
            case PatternKind.SESSION:
                return key.session == self.token
            case PatternKind.DEVICE:
                return key.device == self.token
            case PatternKind.USER:
                return key.user == self.token

    def __str__(self) -> str:
        """The documented spelling."""
        return f"{self.kind.value}.{self.token}" if self.token else ""


EVERYTHING = Pattern(PatternKind.EVERYTHING)

_BY_FIELD = {kind.value: kind for kind in PatternKind if kind is not PatternKind.EVERYTHING}


def parse_pattern(text: str) -> Pattern:
    """The pattern that ``text`` spells.

    ``session.*`` is everything, for every key has a session, and so are ``device.*`` and ``user.*``. What stands
    behind the first dot is the id, which may have dots of its own if it is a device's. Raises BadRoutingKey for any
    other spelling, so that no broker's own wildcard ever reaches it.
    """
    if text in _EVERYTHING_SPELLED:
        return EVERYTHING
    field, _, token = text.partition(".")
    kind = _BY_FIELD.get(field)
    is_id = is_device_token if kind is PatternKind.DEVICE else is_token
    if kind is None or not is_id(token):
        raise BadRoutingKey(
            f"pattern {text!r:.80} is none of {SPELLINGS}; an id is 1-64 of A-Z a-z 0-9 _ -, a "
            "device's with single dots between"
        )
    return Pattern(kind, token)


def check_group(group: str) -> str:
    """``group`` itself when it is empty or a token, else BadRoutingKey."""
    if group and not is_token(group):
        raise BadRoutingKey(f"group {group!r:.80} is not 1-64 of A-Z a-z 0-9 _ -")
    return group


def check_topic(topic: str) -> str:
    """``topic`` itself when it is one to eight tokens joined by dots, else BadRoutingKey."""
    tokens = topic.split(".", 8)
    if len(tokens) > 8 or not all(map(is_token, tokens)):
        raise BadRoutingKey(f"topic {topic!r:.80} is not 1-8 words of A-Z a-z 0-9 _ - joined by dots")
    return topic
