"""Streams and utterances as the journal names them, and back."""

from __future__ import annotations

from gateway.journal.records import RequestRow, StreamRow, TurnRow, UtteranceRow
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.sessions.session import Session


def stream_row(session: Session, begun: int | None, heard_to: int) -> StreamRow:
    """A stream that begins or goes on."""
    return StreamRow(
        **session.name._asdict(),
        session_id=session.session_id,
        user_id=session.user_id,
        begun=begun,
        end_on_silence=session.end_on_silence,
        heard_to=heard_to,
        heard_from=heard_to,
        priority=session.priority,
    )


def stream_name(row: StreamRow | UtteranceRow | RequestRow | TurnRow) -> StreamName:
    """Whose row it is."""
    return StreamName(row.device_id, row.boot, row.stream)


def utterance_name(row: UtteranceRow | RequestRow | TurnRow) -> UtteranceName:
    """What it is about."""
    conversation_id = "" if isinstance(row, UtteranceRow) else row.conversation_id
    return UtteranceName(
        row.session_id, row.user_id, stream_name(row), row.utterance_id, row.correlation_id, conversation_id
    )
