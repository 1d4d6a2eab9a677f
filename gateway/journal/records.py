"""What the journal knows: its rows.

Times are Unix seconds as the wall clock had them, for people to read; how old a row is, only ``age``
tells (seconds, set when it is read). Positions are samples of a stream. New fields go to the end and have a
default: rows are read by later versions, too.
"""

from __future__ import annotations

import enum

from msgspec import Struct, structs

from gateway.contract.messages import AudioFacts, Timings
from gateway.contract.redaction import without_words


class Room(enum.StrEnum):
    """The classes of rows, each with bounds of its own; the values are the names of the tables."""

    STREAMS = "streams"
    UTTERANCES = "utterances"
    OUTBOX = "outbox"
    INBOX = "inbox"
    REQUESTS = "requests"
    AGENT_REQUESTS = "agent_requests"
    DEAD_LETTERS = "dead_letters"
    HISTORY = "history"
    TURNS = "turns"


class RequestState(enum.StrEnum):
    """Where a request is; all but the first are ends."""

    OPEN = "open"
    DONE = "done"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class LetterKind(enum.StrEnum):
    """What a dead letter was."""

    OUTGOING = "outgoing"
    """A message that never reached the broker."""
    INCOMING = "incoming"
    """A message from the broker that could not be taken."""
    UTTERANCE = "utterance"
    """Speech that could not be transcribed."""
    ANSWER = "answer"
    """An answer that its device never took."""


# Rows


class StreamRow(Struct, frozen=True, kw_only=True, array_like=True):
    """One stream of a device and the session it is.

    ``begun``: the number of its AUDIO_START, which tells a stream from an earlier one of the same
    number; None when it was first heard in the middle. ``heard_to``: audio before it is in utterances, as far as it
    was heard here without a hole, which is from ``heard_from`` on (negative: of an earlier version, which did not say).
    ``ended``: nothing more is expected. ``priority``: of all that is said in it.
    """

    device_id: str
    boot: int
    stream: int
    session_id: str
    user_id: str
    begun: int | None
    end_on_silence: bool
    heard_to: int = 0
    ended: bool = False
    priority: str = "normal"
    heard_from: int = -1


class UtteranceRow(Struct, frozen=True, kw_only=True, array_like=True):
    """One utterance that is to be transcribed. ``audio`` is PCM16; ``facts`` is its owner's."""

    utterance_id: str
    correlation_id: str
    session_id: str
    user_id: str
    device_id: str
    boot: int
    stream: int
    start: int
    end: int
    heard_at: float
    audio: bytes
    facts: bytes = b""
    attempts: int = 0
    age: float = 0.0


class LetterRow(Struct, frozen=True, kw_only=True, array_like=True):
    """One message for the broker. ``number`` grows: the order of publication of what a device says.

    ``agent``: for whom alone it is; empty: for everybody. ``request_id``: under which that agent is to answer.
    ``priority``: one for all messages of a session.
    """

    number: int
    message_id: str
    topic: str
    user_id: str
    device_id: str
    session_id: str
    payload: bytes
    correlation_id: str = ""
    reply_to: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    queued_at: float = 0.0
    agent: str = ""
    request_id: str = ""
    priority: str = "normal"

    @property
    def answer_id(self) -> str:
        """By which an answer to it is awaited: its own, where it is for one agent; empty: none is."""
        return self.request_id if self.agent else self.correlation_id


class RequestRow(Struct, frozen=True, kw_only=True, array_like=True):
    """One transcript whose answer is awaited, or answered and not yet in its device's hands.

    ``message``: the transcript as it was published. ``text``: the answer so far. ``due``: the device
    has yet to take it. ``boot``: of the device, which alone can be answered; negative: it is for whichever.
    """

    correlation_id: str
    session_id: str
    user_id: str
    device_id: str
    boot: int
    stream: int
    utterance_id: str
    asked_at: float
    deadline: float
    message: bytes
    state: RequestState = RequestState.OPEN
    text: str = ""
    error: str | None = None
    fallback: bool = False
    due: bool = False
    age: float = 0.0
    conversation_id: str = ""


class TurnRow(Struct, frozen=True, kw_only=True, array_like=True):
    """What was said once in a conversation, and answered; without words where none are remembered.

    ``timestamp``: when it had its text. ``age``: since that, or since its answer, where that came later.
    """

    correlation_id: str
    conversation_id: str
    session_id: str
    user_id: str
    device_id: str
    boot: int
    stream: int
    utterance_id: str
    text: str = ""
    reply: str = ""
    agent: str = ""
    timestamp: float = 0.0
    age: float = 0.0


class AgentRow(Struct, frozen=True, kw_only=True, array_like=True):
    """What one agent of a team was asked for a request, and what came of it; ``state`` is a MemberState.

    ``combines``: it was to make one reply of the others' answers. ``text``: its answer so far. ``data`` is JSON.
    ``age`` counts from when it was asked last, and is set when it is read. ``letter``: what tells it to undo that, as
    long as it has not said that it is undone.
    """

    request_id: str
    correlation_id: str
    user_id: str
    team: str
    agent: str
    state: str
    attempt: int
    combines: bool = False
    timed_out: bool = False
    text: str = ""
    error: str | None = None
    understood: bool = True
    confidence: float = 0.0
    data: bytes = b""
    age: float = 0.0
    letter: LetterRow | None = None


class DeadLetterRow(Struct, frozen=True, kw_only=True, array_like=True):
    """What could not be done, and why. ``record`` is the whole row or message as it was (:func:`letter_of`)."""

    kind: LetterKind
    subject: str
    """The id of the message or utterance."""
    reason: str
    died_at: float
    topic: str = ""
    device_id: str = ""
    session_id: str = ""
    record: bytes = b""
    number: int = 0


class HistoryReply(Struct, frozen=True, kw_only=True, array_like=True):
    """What an utterance was answered."""

    text: str = ""
    agent: str = ""
    error: str | None = None
    fallback: bool = False
    text_to_reply_ms: float = 0.0
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    cached: bool = False


def redacted_reply(reply: HistoryReply) -> HistoryReply:
    """An answer as it is remembered, and shown, where nobody is to see words."""
    return structs.replace(reply, text="", agent="", error=without_words(reply.error), agents=(), missing=())


class HistoryRow(Struct, frozen=True, kw_only=True, array_like=True):
    """One utterance as it is remembered, long after it was answered; or an announcement, which is a reply to nothing.

    ``spoken_at``: when it began. ``redacted``: its words are not kept. ``publish_ms``: from the text to the
    broker's receipt; ``speech_to_reply_ms``: from the end of speech until its device had the reply; both 0 as
    long as that has not happened. ``number`` (the order of being remembered) and ``has_audio`` are set when read.
    ``flags``: what the content filter has found in it, or made of it. ``causation_id``: the correlation id of the HTTP
    request that it came by.
    """

    utterance_id: str
    correlation_id: str
    session_id: str
    user_id: str
    device_id: str
    spoken_at: float
    text: str
    success: bool
    error: str | None
    language: str
    confidence: float
    audio: AudioFacts
    timings: Timings
    redacted: bool = False
    reply: HistoryReply | None = None
    publish_ms: float = 0.0
    speech_to_reply_ms: float = 0.0
    number: int = 0
    has_audio: bool = False
    is_announcement: bool = False
    conversation_id: str = ""
    flags: tuple[str, ...] = ()
    causation_id: str = ""


class Verb(enum.StrEnum):
    """What can be asked for from outside, with a dead letter."""

    REPLAY = "replay"
    PURGE = "purge"


class Errand(Struct, frozen=True):
    """Something the owner of the journal is asked to do by another process, with one dead letter."""

    number: int
    verb: Verb
    letter: int
