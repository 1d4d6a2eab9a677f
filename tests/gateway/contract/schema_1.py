"""A program of version 0.1.0: it knows exactly the fields that were documented then, needs all, and ignores others.

Written from those documents, and never changed.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Word(Struct):
    word: str
    start: float
    end: float
    probability: float


class Audio(Struct):
    seconds: float
    gaps: int
    lost_ms: float
    end_reason: str


class Times(Struct):
    endpoint_ms: float
    queue_ms: float
    recognize_ms: float
    text_ms: float


class Engine(Struct):
    engine: str
    model: str
    context_ms: float
    retried: bool


class Heard(Struct):
    """On ``transcription.results``."""

    session_id: str
    user_id: str
    device_id: str
    text: str
    timestamp: float
    success: bool
    error: str | None
    schema: int
    message_id: str
    correlation_id: str
    utterance_id: str
    language: str
    confidence: float
    audio: Audio
    timings: Times
    is_final: bool
    recognizer: Engine
    no_speech_probability: float
    language_probability: float
    words: tuple[Word, ...]


class GivenUp(Struct):
    """On ``dead.letters``."""

    session_id: str
    user_id: str
    device_id: str
    timestamp: float
    reason: str
    attempts: int
    schema: int
    message_id: str
    correlation_id: str
    utterance_id: str
    audio: Audio


def heard(payload: bytes) -> Heard:
    """Raises msgspec.ValidationError."""
    return msgspec.json.decode(payload, type=Heard)


def given_up(payload: bytes) -> GivenUp:
    """Raises msgspec.ValidationError."""
    return msgspec.json.decode(payload, type=GivenUp)


def answer(to: Heard, text: str) -> bytes:
    """As short as the documents allow."""
    return msgspec.json.encode(
        {"correlation_id": to.correlation_id, "session_id": to.session_id, "text": text}
    )
