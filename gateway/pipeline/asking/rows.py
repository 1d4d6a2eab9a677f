"""What is on its way, as the journal keeps it, and back.

The journal's times are Unix seconds, for people to read, and those of the gateway the event loop's. How long ago
something was the journal tells (``age``): the clock may have been set meanwhile.
"""

from __future__ import annotations

import time

import msgspec
from msgspec import Struct

from gateway.broker.base import Message, RoutingKey
from gateway.contract.messages import DeadUtterance, TranscriptionMessage, encode
from gateway.contract.tracing import HEADER, traceparent
from gateway.journal.records import HistoryRow, LetterRow, RequestRow, UtteranceRow
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import PendingRequest
from gateway.pipeline.sessions.rows import utterance_name
from gateway.pipeline.sessions.session import Session, Turn
from transcription.audio import from_pcm16
from transcription.priority import Priority
from transcription.utterance.segmenter import EndReason, Utterance


class _Facts(Struct, frozen=True, kw_only=True):
    """What is known about an utterance beside its audio and ids."""

    speech_end: int
    has_speech: bool
    end_reason: EndReason
    gaps: int = 0
    lost_samples: int = 0
    peak_probability: float = 0.0
    wake_word: str = ""
    clipped: int = 0


def utterance_row(spoken: Spoken, now: float) -> UtteranceRow:
    """An utterance that is complete."""
    utterance = spoken.utterance
    facts = _Facts(
        speech_end=utterance.speech_end,
        has_speech=utterance.has_speech,
        end_reason=utterance.end_reason,
        gaps=utterance.gaps,
        lost_samples=utterance.lost_samples,
        peak_probability=utterance.peak_probability,
        wake_word=utterance.wake_word,
        clipped=utterance.clipped,
    )
    return UtteranceRow(
        **spoken.name.row_ids(),
        start=utterance.start,
        end=utterance.end,
        heard_at=time.time() - (now - spoken.complete_at),
        audio=utterance.samples.tobytes(),
        facts=msgspec.json.encode(facts),
    )


def history_row(
    name: UtteranceName, message: TranscriptionMessage, spoken_at: float, *, redact: bool
) -> HistoryRow:
    """An utterance as it is remembered; ``redact``: without its words."""
    return HistoryRow(
        **name.spoken_ids(),
        spoken_at=spoken_at,
        text="" if redact else message.text,
        success=message.success,
        error=message.error,
        language=message.language,
        confidence=message.confidence,
        audio=message.audio,
        timings=message.timings,
        redacted=redact,
        flags=message.flags,
        causation_id=name.causation_id,
    )


def spoken(row: UtteranceRow, session: Session, turn: Turn, now: float) -> Spoken:
    """An utterance that another gateway heard. Raises msgspec.DecodeError."""
    facts = msgspec.json.decode(row.facts, type=_Facts)
    utterance = Utterance(
        samples=from_pcm16(row.audio),
        start=row.start,
        end=row.end,
        speech_end=facts.speech_end,
        has_speech=facts.has_speech,
        end_reason=facts.end_reason,
        gaps=facts.gaps,
        lost_samples=facts.lost_samples,
        peak_probability=facts.peak_probability,
        wake_word=facts.wake_word,
        clipped=facts.clipped,
    )
    return Spoken(utterance_name(row), session, turn, utterance, now - max(0.0, row.age))


def letter_row(
    topic: str,
    message: TranscriptionMessage | DeadUtterance,
    number: int,
    reply_to: str = "",
    *,
    priority: Priority,
) -> LetterRow:
    """A message for the broker; ``priority``: its session's."""
    return LetterRow(
        number=number,
        message_id=message.message_id,
        topic=topic,
        user_id=message.user_id,
        device_id=message.device_id,
        session_id=message.session_id,
        payload=encode(message),
        correlation_id=message.correlation_id,
        reply_to=reply_to,
        headers={HEADER: traceparent(message.correlation_id)},
        queued_at=time.time(),
        priority=priority.value,
    )


def received_row(message: Message) -> LetterRow:
    """A message from the broker, as a dead letter keeps it."""
    key: RoutingKey = message.routing_key
    return LetterRow(
        number=0,
        message_id=message.message_id,
        topic=message.topic,
        user_id=key.user,
        device_id=key.device,
        session_id=key.session,
        payload=message.payload,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        headers=dict(message.headers),
        queued_at=message.timestamp,
    )


def request_row(request: PendingRequest, payload: bytes, now: float) -> RequestRow:
    """A transcript (``payload``, as it is published) whose answer is awaited."""
    since = time.time() - now
    return RequestRow(
        **request.name.row_ids(),
        conversation_id=request.name.conversation_id,
        asked_at=request.published_at + since,
        deadline=request.deadline + since,
        message=payload,
    )


def pending_request(row: RequestRow, now: float, longest: float) -> PendingRequest:
    """A request of another gateway; it waits for what is left of its time, never more than ``longest``."""
    asked_at = now - max(0.0, row.age)
    return PendingRequest(
        name=utterance_name(row),
        published_at=asked_at,
        deadline=min(now + longest, asked_at + row.deadline - row.asked_at),
    )
