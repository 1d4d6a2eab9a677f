"""Each kind of event as a line for people."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.client.lines import lines
from gateway.contract.events import (
    EVENT_KINDS,
    ArbitrationEvent,
    ErrorEvent,
    FirmwareEvent,
    HealthEvent,
    HubEvent,
    ListenerEvent,
    SaidEvent,
    SnapshotEvent,
)
from tests.gateway.events import delivery, device, partial, reply, status, transcription

HEALTH = HealthEvent(component="recognizer", state="degraded", reason="no model", remedy="fetch one")
FIRMWARE = FirmwareEvent(
    device_id="kitchen",
    user_id="anna",
    version="2.0",
    stage="failed",
    percent=43,
    reason="its flash could not be written",
)

ELSEWHERE = ArbitrationEvent(
    session_id="s_2",
    user_id="anna",
    device_id="hall",
    correlation_id="c_2",
    utterance_id="u_2",
    answers="kitchen",
    reason="heard by kitchen: 9 dB clearer there",
)

SHOWN: list[tuple[ListenerEvent, str]] = [
    (transcription(), 'kitchen heard "turn on the light" 410 ms after the end of speech c_correlation_1'),
    (
        structs.replace(transcription(), worker="cellar"),
        'kitchen heard "turn on the light" 410 ms after the end of speech, by cellar c_correlation_1',
    ),
    (
        structs.replace(transcription("***"), flags=("forbidden_words", "own")),
        'kitchen heard "***" 410 ms after the end of speech, forbidden_words, own c_correlation_1',
    ),
    (
        structs.replace(reply("***"), flags=("forbidden_words",)),
        'kitchen reply "***" 50 ms after the text, forbidden_words c_correlation_1',
    ),
    (transcription(""), "kitchen heard (no speech) 410 ms after the end of speech c_correlation_1"),
    (transcription("", error="engine failed"), "kitchen failed engine failed c_correlation_1"),
    (partial("turn on"), "kitchen hears turn on ..."),
    (partial("turn on the lie", stable="turn on"), "kitchen hears turn on the lie ..."),
    (status("thinking"), "kitchen status thinking"),
    (structs.replace(status("thinking"), detail="looking it up"), "kitchen status thinking, looking it up"),
    (reply(), 'kitchen reply "The light is on." 50 ms after the text c_correlation_1'),
    (reply(late=True), 'kitchen reply "The light is on." 50 ms after the text, late c_correlation_1'),
    (reply("The", final=False), 'kitchen replies "The" c_correlation_1'),
    (msgspec.structs.replace(reply(), error="no agent"), "kitchen no reply no agent c_correlation_1"),
    (
        msgspec.structs.replace(reply("Sorry."), fallback=True),
        'kitchen reply "Sorry." 50 ms after the text, nobody answered c_correlation_1',
    ),
    (
        structs.replace(reply("Yes. No."), agents=("a", "b"), partial=True, missing=("c",)),
        'kitchen reply "Yes. No." 50 ms after the text, by a and b, without c c_correlation_1',
    ),
    (
        structs.replace(reply("Dinner."), session_id="", utterance_id="", agent="cook"),
        'kitchen announced "Dinner." by cook c_correlation_1',
    ),
    (
        structs.replace(delivery(), session_id="", utterance_id=""),
        "kitchen delivered the announcement is there, after 480 ms c_correlation_1",
    ),
    (delivery(), "kitchen delivered the reply is there, 480 ms after the end of speech c_correlation_1"),
    (device(), "kitchen connected over mqtt, 1.4.0"),
    (device(state="disconnected", reason="cable"), "kitchen disconnected over mqtt, 1.4.0, cable"),
    (msgspec.structs.replace(device(), lost_frames=3), "kitchen connected over mqtt, 1.4.0, 3 frames lost"),
    (msgspec.structs.replace(device(notice="button"), value=2), "kitchen button 2"),
    (FIRMWARE, "kitchen failed firmware 2.0, 43 %, its flash could not be written"),
    (ELSEWHERE, "hall not asked heard by kitchen: 9 dB clearer there c_2"),
    (HEALTH, "recognizer degraded no model (fetch one)"),
    (HealthEvent(component="web", state="healthy"), "web healthy"),
    (SaidEvent(session_id="s", device_id="web-ann", correlation_id="web-s-1"), "web-ann said web-s-1"),
    (ErrorEvent(code="bad", reason="not understood"), "gateway error not understood"),
]


def said(event: ListenerEvent) -> list[str]:
    """The lines without their time, and with single spaces."""
    return [re.sub(r" +", " ", line.plain[9:]).strip() for line in lines(event)]


@pytest.mark.parametrize(("event", "line"), SHOWN)
def test_an_event_is_one_line(event: ListenerEvent, line: str) -> None:
    assert said(event) == [line]


def test_every_kind_of_event_is_shown_here() -> None:
    assert {event.__struct_config__.tag for event, _ in SHOWN} >= set(EVENT_KINDS)


def test_a_snapshot_is_what_is_in_it() -> None:
    snapshot = SnapshotEvent(
        devices=(device(),), sessions=(status(),), conversation=(transcription(), reply()), health=(HEALTH,)
    )
    parts: list[HubEvent] = [HEALTH, device(), status(), transcription(), reply()]
    assert said(snapshot) == [line for part in parts for line in said(part)]
    assert said(SnapshotEvent()) == []


def test_a_line_begins_with_the_local_time() -> None:
    event = status()
    (line,) = lines(event)
    assert line.plain.startswith(time.strftime("%H:%M:%S ", time.localtime(event.timestamp)))


hostile = st.text(st.sampled_from("a\n\r\x1b\x00\u202e[]") | st.characters(), max_size=15)


@given(text=hostile, who=hostile)
def test_nothing_that_was_said_can_steer_the_terminal(text: str, who: str) -> None:
    events: list[Any] = [
        transcription(text), partial(text), reply(text), device(who, reason=text), status(text, device=who),
        transcription(error=text), HealthEvent(component=who, state=text, reason=text),
        ErrorEvent(code="x", reason=text),
    ]  # fmt: skip
    for event in events:
        (line,) = lines(event)
        assert line.plain.isprintable()
