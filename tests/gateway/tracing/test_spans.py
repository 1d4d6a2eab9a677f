"""One turn as spans, with the stages of the page's waterfall."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import AudioFacts, Timings
from gateway.contract.tracing import traceparent
from gateway.tracing import names
from gateway.tracing.otlp import otlp
from gateway.tracing.spans import TracedTurn

IDS: Any = {
    "session_id": "s_1", "user_id": "ann", "device_id": "kitchen", "correlation_id": "c_1", "utterance_id": "u_1",
}  # fmt: skip
HEARD = TranscriptionEvent(
    **IDS, text="turn on the light", success=True, error=None, language="en", confidence=0.9,
    audio=AudioFacts(seconds=2.0), timestamp=1_000.0, conversation_id="k_1",
    timings=Timings(endpoint_ms=300, queue_ms=50, recognize_ms=150, text_ms=400),
)  # fmt: skip
REPLIED = ReplyEvent(
    **IDS, text="it is on", final=True, agent="house", text_to_reply_ms=200, publish_ms=20, timestamp=1_000.2
)
DELIVERED = DeliveryEvent(**IDS, speech_to_reply_ms=640, timestamp=1_000.24)
ZERO = 999.6


def test_the_stages_are_those_of_the_waterfall() -> None:
    spans = TracedTurn(HEARD, REPLIED, DELIVERED).spans("base.en")
    found = {one.name: (round(1e3 * (one.start - ZERO)), round(1e3 * (one.end - ZERO))) for one in spans}
    assert found == {
        "invoke_workflow turn": (-2_000, 640),
        "earshot.capture": (-2_000, 0),
        "earshot.endpoint": (0, 300),
        "earshot.queue": (200, 250),
        "speech_to_text base.en": (250, 400),
        "send transcription.results": (400, 420),
        "invoke_agent house": (420, 600),
        "earshot.delivery": (600, 640),
    }


def test_all_are_within_the_trace_that_agents_are_told() -> None:
    root, *parts = TracedTurn(HEARD, REPLIED, DELIVERED).spans("base")
    assert traceparent("c_1") == f"00-{root.trace_id}-{root.span_id}-01"
    assert {(one.trace_id, one.parent_id) for one in parts} == {(root.trace_id, root.span_id)}
    assert len({one.span_id for one in (root, *parts)}) == 8
    assert root.parent_id == ""


def test_none_of_it_says_what_was_said_or_answered() -> None:
    told = str(otlp(TracedTurn(HEARD, REPLIED, DELIVERED).spans("base"), "earshot", "1"))
    assert "light" not in told
    assert "it is on" not in told


@pytest.mark.parametrize(
    ("heard", "replied", "error", "last"),
    [
        (replace(HEARD, success=False, error="too long", text=""), None, "transcription", "speech_to_text"),
        (HEARD, replace(REPLIED, error="no"), "reply", "invoke_agent house"),
        (HEARD, replace(REPLIED, fallback=True), "timeout", "invoke_agent house"),
        (HEARD, None, "", "speech_to_text"),
    ],
)
def test_what_went_wrong_is_told(
    heard: TranscriptionEvent, replied: ReplyEvent | None, error: str, last: str
) -> None:
    root, *parts = TracedTurn(heard, replied).spans("")
    assert (root.error, parts[-1].name, parts[-1].error) == (error, last, error)


def test_what_was_typed_has_no_speech() -> None:
    typed = replace(HEARD, audio=AudioFacts(seconds=0), timings=Timings())
    names_of = [one.name for one in TracedTurn(typed, REPLIED).spans("base")]
    assert names_of == [names.TURN, names.PUBLISH, f"{names.AGENT} house"]


def test_no_span_ends_before_it_begins() -> None:
    odd = replace(HEARD, timings=Timings(endpoint_ms=-5, queue_ms=-1, recognize_ms=900, text_ms=10))
    early = replace(DELIVERED, speech_to_reply_ms=1)
    assert all(one.start <= one.end for one in TracedTurn(odd, REPLIED, early).spans("base"))
