"""Dead letters as people see them: on the command line and through the API."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.journal.dead_letters import contents
from gateway.journal.records import DeadLetterRow

SUMMARY = ("number", "kind", "subject", "reason", "died_at", "topic", "device_id", "session_id")
_JSON_INSIDE = ("payload", "message", "facts")


def summary(letter: DeadLetterRow) -> dict[str, Any]:
    """What it was and why it died, without any words of anybody's."""
    return {field: getattr(letter, field) for field in SUMMARY}


def whole(letter: DeadLetterRow) -> dict[str, Any]:
    """What it holds, with the words in it; its audio is left out. Empty when it holds nothing."""
    if not letter.record:
        return {}
    inside = contents(letter)
    facts = {field: getattr(inside, field) for field in inside.__struct_fields__ if field != "audio"}
    return {name: _readable(value) if name in _JSON_INSIDE else value for name, value in facts.items()}


def _readable(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return raw.decode("utf-8", "replace")
