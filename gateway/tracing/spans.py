"""One turn as spans: the same stages, times and order as the page's waterfall. Pure.

Zero is the end of speech. What was said or answered is in none of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.tracing import traceparent
from gateway.tracing import names

Attribute: TypeAlias = "str | float | bool"
INTERNAL, CLIENT, PRODUCER = 1, 3, 4
"""Kinds of spans, as OTLP numbers them."""


@dataclass(frozen=True, slots=True)
class Span:
    """``start`` and ``end`` in Unix seconds; ids in hexadecimal. ``error``: its kind; empty: none."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: float
    end: float
    kind: int = INTERNAL
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    error: str = ""
    links: tuple[str, ...] = ()
    """Trace contexts of others that it belongs to, without being a part of them."""


@dataclass(slots=True)
class TracedTurn:
    """What is known of one turn."""

    heard: TranscriptionEvent
    replied: ReplyEvent | None = None
    delivered: DeliveryEvent | None = None
    caller: str = ""
    """The trace context of the HTTP request that it came by."""

    def spans(self, model: str) -> list[Span]:
        """The turn itself first. ``model``: by which it was recognized."""
        _, trace_id, root_id, _ = traceparent(self.heard.correlation_id).split("-")
        zero = self.heard.timestamp - self.heard.timings.text_ms / 1_000
        parts = [
            Span(
                trace_id, _span_id(root_id, number), root_id, name, zero + start, zero + max(start, end), kind, known,
                error,
            )
            for number, (name, start, end, kind, known, error) in enumerate(self._stages(model))
        ]  # fmt: skip
        start = min((part.start for part in parts), default=zero)
        end = max((part.end for part in parts), default=self.heard.timestamp)
        turn = Span(
            trace_id, root_id, "", names.TURN, start, end, INTERNAL, self._turn(), self._error(),
            links=(self.caller,) if self.caller else (),
        )  # fmt: skip
        return [turn, *parts]

    def _error(self) -> str:
        if not self.heard.success:
            return "transcription"
        if self.replied is not None and self.replied.error:
            return "reply"
        return "timeout" if self.replied is not None and self.replied.fallback else ""

    def _turn(self) -> dict[str, Attribute]:
        heard = self.heard
        known: dict[str, Attribute] = {
            names.OPERATION: "invoke_workflow",
            names.CORRELATION: heard.correlation_id,
            names.UTTERANCE: heard.utterance_id,
            names.SESSION: heard.session_id,
            names.USER: heard.user_id,
            names.DEVICE: heard.device_id,
            names.CONVERSATION: heard.conversation_id,
        }
        return {name: value for name, value in known.items() if value != ""}

    def _stages(self, model: str) -> Iterator[tuple[str, float, float, int, dict[str, Attribute], str]]:
        """Each with its start and end in seconds after the end of speech."""
        heard, times = self.heard, self.heard.timings
        text = times.text_ms / 1_000
        if heard.audio.seconds:
            begun = text - times.recognize_ms / 1_000
            yield names.CAPTURE, -heard.audio.seconds, 0.0, INTERNAL, self._speech(), ""
            yield names.ENDPOINT, 0.0, times.endpoint_ms / 1_000, INTERNAL, {}, ""
            yield names.QUEUE, begun - times.queue_ms / 1_000, begun, INTERNAL, {}, ""
            failed = "" if heard.success else "transcription"
            yield f"{names.RECOGNIZER} {model}".strip(), begun, text, CLIENT, self._recognizer(model), failed
        if (replied := self.replied) is None:
            return
        answered = text + replied.text_to_reply_ms / 1_000
        published = min(text + replied.publish_ms / 1_000, answered)
        yield names.PUBLISH, text, published, PRODUCER, {
            names.DESTINATION: "transcription.results",
            names.MESSAGE: heard.correlation_id,
        }, ""  # fmt: skip
        yield f"{names.AGENT} {replied.agent}", published, answered, CLIENT, _agent(replied), self._error()
        if (delivered := self.delivered) is not None and delivered.speech_to_reply_ms:
            yield names.DELIVERY, answered, delivered.speech_to_reply_ms / 1_000, INTERNAL, {}, ""

    def _speech(self) -> dict[str, Attribute]:
        audio = self.heard.audio
        return {
            names.SPEECH_SECONDS: audio.seconds,
            names.END_REASON: audio.end_reason,
            names.LOST_MS: audio.lost_ms,
        }

    def _recognizer(self, model: str) -> dict[str, Attribute]:
        heard = self.heard
        known: dict[str, Attribute] = {
            names.OPERATION: "speech_to_text",
            names.PROVIDER: "earshot",
            names.MODEL: model,
            names.SPEECH_LANGUAGE: heard.language,
            names.CONFIDENCE: heard.confidence,
            names.WORKER: heard.worker,
        }
        return {name: value for name, value in known.items() if value != ""}


def _agent(replied: ReplyEvent) -> dict[str, Attribute]:
    return {
        names.OPERATION: "invoke_agent",
        names.AGENT_NAME: replied.agent,
        names.LATE: replied.late,
        names.FALLBACK: replied.fallback,
        names.CACHED: replied.cached,
    }


def _span_id(root_id: str, number: int) -> str:
    """The same each time: a collector that is sent a turn twice has it once."""
    return hashlib.sha256(f"{root_id}/{number}".encode()).hexdigest()[:16]
