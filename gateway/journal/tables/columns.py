"""What each column of the journal's tables holds: facts, or what somebody said or was told.

A table with words belongs to erasure, to age and to scrubbing; a test walks the schema, and fails for a column that has
not said what it holds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from gateway.journal.records import Room


class Holds(enum.Enum):
    """What stands in a column."""

    FACTS = enum.auto()
    """Ids, times, sizes, states."""
    WORDS = enum.auto()
    """Speech, its text, an answer, or what an orchestrator calls itself or its failure."""


class Goes(enum.Enum):
    """When the rows of a table go by themselves, at the latest."""

    ON_ITS_WAY = enum.auto()
    """When it has arrived, or its room is full: however long that takes."""
    WITH_ITS_CONVERSATION = enum.auto()
    """When nothing was said or answered for ``sessions.hints_seconds``, and after ``history.days`` at the latest."""
    BY_AGE = enum.auto()
    """After ``history.days`` (speech that has its text: ``history.audio_days``)."""
    FACTS_ONLY = enum.auto()
    """There is nothing in them to hurry for."""


_F, _W = Holds.FACTS, Holds.WORDS

COLUMNS: Mapping[str, Mapping[str, Holds]] = {
    "streams": dict.fromkeys(
        ("number", "session_id", "device_id", "boot", "stream", "heard_to", "ended", "size", "record"), _F
    ),
    "utterances": {
        **dict.fromkeys(
            (
                "number", "utterance_id", "session_id", "start", "attempts", "done", "size", "user_id", "heard_at",
            ), _F,
        ),
        "record": _W,
    },
    "outbox": {**dict.fromkeys(("number", "size", "user_id", "correlation_id", "urgency"), _F), "record": _W},
    "inbox": dict.fromkeys(("number", "source", "message_id", "size", "record"), _F),
    "requests": {
        **dict.fromkeys(
            (
                "number", "correlation_id", "device_id", "boot", "state", "fallback", "due", "ended_at", "size",
                "asked_at", "user_id",
            ), _F,
        ),
        **dict.fromkeys(("text", "error", "record"), _W),
    },
    "agent_requests": {
        **dict.fromkeys(
            ("number", "request_id", "correlation_id", "user_id", "state", "asked_at", "size"), _F
        ),
        **dict.fromkeys(("text", "record"), _W),
    },
    "dead_letters": {
        **dict.fromkeys(("number", "kind", "subject", "size", "user_id", "correlation_id", "put_away_at"), _F),
        "record": _W,
    },
    "history": {
        **dict.fromkeys(
            (
                "number", "utterance_id", "correlation_id", "session_id", "user_id", "device_id", "spoken_at",
                "publish_ms", "speech_to_reply_ms", "size", "conversation_id",
            ), _F,
        ),
        **dict.fromkeys(("words", "reply", "record"), _W),
    },
    "turns": {
        **dict.fromkeys(
            (
                "number", "correlation_id", "conversation_id", "device_id", "user_id", "utterance_id", "touched_at",
                "size",
            ), _F,
        ),
        **dict.fromkeys(("reply", "agent", "record"), _W),
    },
    "errands": dict.fromkeys(("number", "verb", "letter"), _F),
    "history_changes": dict.fromkeys(("number", "kind", "subject", "at"), _F),
    "history_sharing": dict.fromkeys(
        ("number", "journal", "generation", "told", "sweep", "epoch", "erased"), _F
    ),
    "role": dict.fromkeys(("number", "role"), _F),
    "alone": dict.fromkeys(("number", "room", "name"), _F),
    "clock": dict.fromkeys(("number", "record"), _F),
}  # fmt: skip

GOES: Mapping[Room, Goes] = {
    Room.STREAMS: Goes.FACTS_ONLY,
    Room.UTTERANCES: Goes.BY_AGE,
    Room.OUTBOX: Goes.ON_ITS_WAY,
    Room.INBOX: Goes.FACTS_ONLY,
    Room.REQUESTS: Goes.BY_AGE,
    Room.AGENT_REQUESTS: Goes.BY_AGE,
    Room.DEAD_LETTERS: Goes.BY_AGE,
    Room.HISTORY: Goes.BY_AGE,
    Room.TURNS: Goes.WITH_ITS_CONVERSATION,
}

WITH_WORDS = frozenset(room for room in Room if Holds.WORDS in COLUMNS[room].values())
