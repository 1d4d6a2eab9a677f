"""What is on its way, as the journal keeps it: it comes back as it was, also over a clock that was set."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.broker.base import Message, RoutingKey
from gateway.pipeline.asking import rows
from gateway.pipeline.asking.utterance import Spoken, new_name
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.sessions.requests import PendingRequest
from gateway.pipeline.sessions.rows import stream_name
from gateway.pipeline.sessions.session import SessionRegistry
from gateway.settings.sessions import SessionSettings
from transcription.utterance.segmenter import EndReason, Utterance

NOW = 500.0
KITCHEN = StreamName("kitchen", 7, 3)


def spoken(utterance: Utterance) -> Spoken:
    session = SessionRegistry(SessionSettings()).open(KITCHEN, "ann", end_on_silence=True, now=NOW)
    turn = session.begin_turn(utterance.start, utterance.end)
    return Spoken(new_name(session, turn), session, turn, utterance, NOW - 2)


@given(
    st.integers(0, 1 << 40),
    st.binary(max_size=64).map(lambda raw: raw[: len(raw) // 2 * 2]),
    st.booleans(),
    st.sampled_from(EndReason),
    st.integers(0, 9),
)
def test_an_utterance_comes_back_with_its_audio_ids_and_facts(
    start: int,
    pcm: bytes,
    speech: bool,  # noqa: FBT001
    reason: EndReason,
    gaps: int,
) -> None:
    samples = np.frombuffer(pcm, "<i2")
    utterance = Utterance(
        samples,
        start,
        start + len(samples),
        start,
        speech,
        reason,
        gaps=gaps,
        lost_samples=gaps,
        peak_probability=0.5,
    )
    before = spoken(utterance)
    row = replace(rows.utterance_row(before, NOW), age=NOW - before.complete_at)
    after = rows.spoken(row, before.session, before.turn, NOW)
    assert after.utterance.samples.tobytes() == pcm
    for name in (
        "start",
        "end",
        "speech_end",
        "has_speech",
        "end_reason",
        "gaps",
        "lost_samples",
        "peak_probability",
    ):
        assert getattr(after.utterance, name) == getattr(utterance, name), name
    assert after.name == before.name
    assert after.complete_at == pytest.approx(before.complete_at, abs=0.5)
    assert stream_name(row) == before.session.name


def request(published_at: float = NOW - 10, deadline: float = NOW + 20) -> PendingRequest:
    return PendingRequest(UtteranceName("s_1", "ann", KITCHEN, "u_1", "c_1"), published_at, deadline)


def test_a_request_waits_for_what_is_left_of_its_time_in_another_process() -> None:
    row = rows.request_row(request(), b"{}", NOW)
    assert row.deadline == pytest.approx(time.time() + 20, abs=0.5)
    back = rows.pending_request(replace(row, age=10.0), 7.0, longest=30.0)  # whose clock began anew
    assert back.name == request().name
    assert back.deadline == pytest.approx(27.0, abs=0.5)
    assert back.published_at == pytest.approx(-3.0, abs=0.5)


@pytest.mark.parametrize("wall", [0.0, 4e9], ids=["a board without a clock", "far ahead"])
def test_a_clock_that_was_set_changes_nobodys_time(monkeypatch: pytest.MonkeyPatch, wall: float) -> None:
    row = replace(rows.request_row(request(), b"{}", NOW), age=4.0)
    monkeypatch.setattr(time, "time", lambda: wall)
    back = rows.pending_request(row, 7.0, longest=30.0)
    assert back.deadline == pytest.approx(33.0)
    assert back.published_at == pytest.approx(3.0)


def test_a_request_never_waits_for_longer_than_any_may() -> None:
    assert rows.pending_request(rows.request_row(request(), b"{}", NOW), 7.0, longest=5.0).deadline == 12.0


def test_a_refused_message_is_kept_with_everything_it_came_with() -> None:
    message = Message(
        topic="orchestrator.replies",
        routing_key=RoutingKey("ann", "kitchen", "s_1"),
        payload=b"\xff",
        message_id="m_1",
        correlation_id="c_1",
        headers={"a": "b"},
    )
    row = rows.received_row(message)
    assert (row.topic, row.user_id, row.device_id, row.session_id) == (
        "orchestrator.replies",
        "ann",
        "kitchen",
        "s_1",
    )
    assert (row.payload, row.message_id, row.correlation_id, row.headers) == (
        b"\xff",
        "m_1",
        "c_1",
        {"a": "b"},
    )
