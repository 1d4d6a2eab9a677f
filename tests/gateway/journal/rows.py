"""Rows of a journal, with only the fields said that a test is about."""

from __future__ import annotations

import time
from typing import Any

from gateway.contract.messages import AudioFacts, Timings
from gateway.journal.records import (
    AgentRow,
    DeadLetterRow,
    HistoryRow,
    LetterKind,
    LetterRow,
    RequestRow,
    StreamRow,
    TurnRow,
    UtteranceRow,
)


def stream(session: str = "s_1", *, stream: int = 1, **fields: Any) -> StreamRow:
    facts = {"device_id": "kitchen", "boot": 7, "user_id": "ann", "begun": 0, "end_on_silence": False}
    return StreamRow(session_id=session, stream=stream, **{**facts, **fields})


def utterance(name: str = "u_1", *, session: str = "s_1", start: int = 0, **fields: Any) -> UtteranceRow:
    facts = {
        "correlation_id": f"c_{name}", "user_id": "ann", "device_id": "kitchen", "boot": 7, "stream": 1,
        "end": start + 160, "heard_at": time.time(), "audio": bytes(320),
    }  # fmt: skip
    return UtteranceRow(utterance_id=name, session_id=session, start=start, **{**facts, **fields})


def letter(number: int = 1, *, payload: bytes = b"{}", **fields: Any) -> LetterRow:
    facts = {
        "message_id": f"m_{number}", "topic": "transcription.results", "user_id": "ann",
        "device_id": "kitchen", "session_id": "s_1",
    }  # fmt: skip
    return LetterRow(number=number, payload=payload, **{**facts, **fields})


def request(name: str = "c_1", **fields: Any) -> RequestRow:
    facts = {
        "session_id": "s_1", "user_id": "ann", "device_id": "kitchen", "boot": 7, "stream": 1,
        "utterance_id": f"u_{name}", "asked_at": 0.0, "deadline": 30.0, "message": b"{}",
    }  # fmt: skip
    return RequestRow(correlation_id=name, **{**facts, **fields})


def agent(name: str = "q_1", correlation_id: str = "c_1", **fields: Any) -> AgentRow:
    facts = {"user_id": "ann", "team": "house", "agent": "lights", "state": "asked", "attempt": 1}
    return AgentRow(request_id=name, correlation_id=correlation_id, **{**facts, **fields})


def dead(subject: str = "m_1", **fields: Any) -> DeadLetterRow:
    facts = {"kind": LetterKind.INCOMING, "reason": "no such thing", "died_at": 0.0}
    return DeadLetterRow(subject=subject, **{**facts, **fields})


def remembered(name: str = "u_1", text: str = "turn on the light", **fields: Any) -> HistoryRow:
    facts = {
        "correlation_id": f"c_{name}", "session_id": "s_1", "user_id": "ann", "device_id": "kitchen",
        "spoken_at": time.time(), "success": True, "error": None, "language": "en", "confidence": 0.9,
        "audio": AudioFacts(seconds=1.5), "timings": Timings(text_ms=400.0),
    }  # fmt: skip
    return HistoryRow(utterance_id=name, text=text, **{**facts, **fields})


def turn(name: str = "c_1", text: str = "turn on the light", **fields: Any) -> TurnRow:
    facts = {
        "conversation_id": "v_1", "session_id": "s_1", "user_id": "ann", "device_id": "kitchen", "boot": 7, "stream": 1,
        "utterance_id": f"u_{name}", "timestamp": 1_000.0,
    }  # fmt: skip
    return TurnRow(correlation_id=name, text=text, **{**facts, **fields})
