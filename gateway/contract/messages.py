"""The wire vocabulary: what travels on the broker.

``docs/messages.md`` is this file for people who do not read Python. Every
timestamp is Unix time in seconds (UTC); every duration says its unit. Unknown fields are ignored
on input, so that an older gateway understands a newer orchestrator; ``schema`` counts breaking changes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.contract.surrogates import mended

SCHEMA = 1

RESULTS_TOPIC = "transcription.results"
REPLIES_TOPIC = "orchestrator.replies"
DEAD_TOPIC = "dead.letters"

PRIORITY_HEADER = "earshot-priority"
"""Of a message that is not ``normal``: ``urgent`` or ``background``."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_DOTTED = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


class BadMessage(ValueError):
    """Bytes that are not the message they should be."""


def new_id(prefix: str) -> str:
    """An unguessable id: ``prefix``, an underscore, and 128 random bits as 22 url-safe characters."""
    return f"{prefix}_{secrets.token_urlsafe(16)}"


def is_token(text: str) -> bool:
    """Whether ``text`` may stand in a routing key: 1 to 64 of ``A-Z a-z 0-9 _ -``."""
    return _TOKEN.match(text) is not None


def is_device_token(text: str) -> bool:
    """Whether ``text`` may be the device in a routing key: as a token, with single dots between its characters."""
    return _DOTTED.match(text) is not None


MESSAGE_BYTES = 2 * 1024 * 1024
"""No message is larger: what comes from a broker and is, is refused unread."""
DATA_BYTES = 64 * 1024
"""Of the data in a reply, as JSON; what has more is refused."""
ERROR_CHARACTERS = 4_000
AGENT_CHARACTERS = 200
"""Of what a reply says of itself, more is cut off."""

Id: TypeAlias = Annotated[str, Meta(max_length=200)]
Line: TypeAlias = Annotated[str, Meta(max_length=1_000)]
Text: TypeAlias = Annotated[str, Meta(max_length=1024 * 1024)]
"""Each in characters; messages with more are refused."""
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Language: TypeAlias = Annotated[str, Meta(pattern=r"^([a-z]{2,3}|auto)$")]
Data: TypeAlias = Annotated[dict[str, Any], Meta(max_length=1_000)]
"""For programs: a JSON object, of at most DATA_BYTES in all."""
Flags: TypeAlias = Annotated[tuple[Line, ...], Meta(max_length=100)]
HintText: TypeAlias = Annotated[str, Meta(max_length=1000)]


class AudioFacts(Struct, frozen=True, kw_only=True):
    """What is known about the audio behind a transcript."""

    seconds: float
    gaps: int = 0
    lost_ms: float = 0.0
    end_reason: Line = "stop"
    clipped_ms: float = 0.0


class RecognizerFacts(Struct, frozen=True, kw_only=True):
    """Who worked out the text, and how.

    ``context_ms``: how much audio the model was given at once, padding included; 0 when no model was
    asked or it knows no such thing. ``retried``: a first result could not be right, so it looked twice.
    ``names``: of the names of the house, how many were listened for. ``worker``: which recognizer on another machine
    did it; empty: the gateway's own.
    """

    engine: Line = ""
    model: Line = ""
    context_ms: float = 0.0
    retried: bool = False
    names: int = 0
    worker: Line = ""


class Timings(Struct, frozen=True, kw_only=True):
    """Where the time went, in milliseconds of wall time.

    ``endpoint_ms``: end of speech to the end of the utterance. ``queue_ms``: waiting for the
    recognizer. ``recognize_ms``: the recognizer at work. ``text_ms``: end of speech to text.
    """

    endpoint_ms: float = 0.0
    queue_ms: float = 0.0
    recognize_ms: float = 0.0
    text_ms: float = 0.0


class WordTime(Struct, frozen=True, kw_only=True):
    """One word: its times in seconds from the utterance's start, and its probability."""

    word: Line
    start: float
    end: float
    probability: float


class TranscriptionMessage(Struct, frozen=True, kw_only=True):
    """One utterance's text, or why there is none. Published once on ``transcription.results``.

    ``success`` false: ``error`` says why and ``text`` is empty. No speech is ``text == ""`` with success. ``flags``:
    what the content filter has found in it, or made of it (``content`` in the settings).
    ``language_probability``: how sure the recognizer is of a language that it has just detected, else 0.
    ``words``: only where word times are wanted (``transcription.word_timestamps``). ``conversation_id``: what is said
    to a device soon after has the same. ``room``: where the settings say the device is. ``addressed``: agents are asked
    by name, and an answer counts only to such a request. ``traceparent``: W3C's. ``priority``: ``urgent``, ``normal``
    or ``background``; it is a header of the message, too.
    """

    session_id: Id
    user_id: Id
    device_id: Id
    text: Text
    timestamp: float
    success: bool
    error: Text | None = None
    schema: int = SCHEMA
    message_id: Id
    correlation_id: Id
    utterance_id: Id
    language: Line = ""
    confidence: float = 0.0
    audio: AudioFacts
    timings: Timings = Timings()
    is_final: bool = True
    recognizer: RecognizerFacts = RecognizerFacts()
    no_speech_probability: float = 0.0
    language_probability: float = 0.0
    words: Annotated[tuple[WordTime, ...], Meta(max_length=10_000)] = ()
    conversation_id: Id = ""
    room: Line = ""
    addressed: bool = False
    traceparent: Line = ""
    priority: Line = "normal"
    flags: Flags = ()


class DeadUtterance(Struct, frozen=True, kw_only=True):
    """An utterance that nobody will try again, and why. Published once on ``dead.letters``, without its audio.

    The failure is told on ``transcription.results`` too, as any other.
    """

    session_id: Id
    user_id: Id
    device_id: Id
    timestamp: float
    reason: Text
    attempts: int
    schema: int = SCHEMA
    message_id: Id
    correlation_id: Id
    utterance_id: Id
    audio: AudioFacts


class WantedHints(Struct, frozen=True, kw_only=True):
    """How the rest of a conversation is to be heard; null leaves it as it is.

    ``language`` is a code or ``auto``; ``prompt``, ``hotwords`` and ``word_timestamps`` are what they are in the
    settings (``docs/configuration.md``).
    """

    language: Language | None = None
    prompt: HintText | None = None
    hotwords: HintText | None = None
    word_timestamps: bool | None = None


class OrchestratorReply(Struct, frozen=True, kw_only=True):
    """An orchestrator's answer, published on ``orchestrator.replies``.

    ``correlation_id`` and ``session_id`` are copied from the transcript. A reply may stream: each
    message with ``final`` false brings ``text`` to append; the last has ``final`` true, and its
    ``text``, when not empty, is the whole reply. ``error`` ends the request as failed. ``hints`` change how the
    rest of the session is heard, from the next utterance on.

    ``interim``: ``text`` is a whole answer to be shown now, and a better one follows. ``progress``: nothing to show but
    that the agent is at work on this. ``understood`` false: ``text`` says that the agent does not know what was meant,
    so that another may. ``confidence`` (0 to 1) and ``data`` (for programs) are its own. ``request_id``: of the
    :class:`~gateway.contract.agents.AgentRequest` that this answers; empty where no agents are named. ``compensation``:
    this answers a ``compensate`` of it, and no ``ask``: it is undone, or (``error``) cannot be. ``acted``: something
    was done for it, so that it is never given again from a cache.
    """

    correlation_id: Id
    session_id: Id
    text: Text = ""
    final: bool = True
    error: Text | None = None
    agent: Text = "orchestrator"
    message_id: Id = ""
    timestamp: float = 0.0
    schema: int = SCHEMA
    hints: WantedHints | None = None
    request_id: Id = ""
    interim: bool = False
    progress: Text = ""
    understood: bool = True
    confidence: Probability = 0.0
    data: Data | None = None
    traceparent: Line = ""
    compensation: bool = False
    acted: bool = False


UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a decoder raises: beside plain bad JSON, lone surrogates, and brackets nested deeper than its stack."""

_Form = TypeVar("_Form")

_encoder = msgspec.json.Encoder()
_reply_decoder = msgspec.json.Decoder(OrchestratorReply)
_transcription_decoder = msgspec.json.Decoder(TranscriptionMessage)


def encode(message: Struct) -> bytes:
    """Any message or event as UTF-8 JSON."""
    return _encoder.encode(message)


def decoded(decode: Callable[[bytes], _Form], payload: bytes, what: str) -> _Form:
    """``what``, with its article, is what it is to be. Raises BadMessage with the place of the mistake."""
    if len(payload) > MESSAGE_BYTES:
        raise BadMessage(f"not {what}: it has more than {MESSAGE_BYTES} bytes")
    try:
        return decode(payload)
    except UNREADABLE as error:
        raise BadMessage(f"not {what}: {error}") from error


def decode_reply(payload: bytes) -> OrchestratorReply:
    """Raises BadMessage with the place of the mistake. Half a character is no mistake: the rest can be said."""
    if len(payload) > MESSAGE_BYTES:
        raise BadMessage(f"not an orchestrator reply: it has more than {MESSAGE_BYTES} bytes")
    try:
        reply = _shortened(_reply_decoder.decode(payload))
    except UNREADABLE as error:
        with suppress(*UNREADABLE):
            return _shortened(_reply_decoder.decode(mended(payload)))
        raise BadMessage(f"not an orchestrator reply: {error}") from error
    if reply.data is not None and len(payload) > DATA_BYTES and len(encode_data(reply.data)) > DATA_BYTES:
        raise BadMessage(f"not an orchestrator reply: its data has more than {DATA_BYTES} bytes")
    return reply


def encode_data(data: Any) -> bytes:
    """What a reply has for programs, as JSON."""
    return _encoder.encode(data)


def _shortened(reply: OrchestratorReply) -> OrchestratorReply:
    """What an orchestrator says of itself is not what was asked for: too much of it is no reason to refuse."""
    agent, error = reply.agent, reply.error
    if len(agent) <= AGENT_CHARACTERS and len(error or "") <= ERROR_CHARACTERS:
        return reply
    short = error if error is None else error[:ERROR_CHARACTERS]
    return msgspec.structs.replace(reply, agent=agent[:AGENT_CHARACTERS], error=short)


def decode_transcription(payload: bytes) -> TranscriptionMessage:
    """Raises BadMessage with the place of the mistake."""
    try:
        return _transcription_decoder.decode(payload)
    except UNREADABLE as error:
        raise BadMessage(f"not a transcription: {error}") from error
