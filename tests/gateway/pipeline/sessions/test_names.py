"""What an utterance is called: one value, from which whatever is published and stored takes its ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gateway.contract.events import DeliveryEvent, PartialEvent, ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.contract.messages import DeadUtterance, TranscriptionMessage
from gateway.journal.records import HistoryRow, RequestRow, TurnRow, UtteranceRow
from gateway.pipeline.sessions.names import (
    RowIds,
    SessionIds,
    SpokenIds,
    StreamName,
    UtteranceIds,
    UtteranceName,
)
from gateway.pipeline.sessions.rows import stream_name, utterance_name

NAMES = st.builds(
    UtteranceName,
    st.text(max_size=9),
    st.text(max_size=9),
    st.builds(StreamName, st.text(max_size=9), st.integers(-1, 1 << 32), st.integers(0, 1 << 16)),
    st.text(max_size=9),
    st.text(max_size=9),
    st.text(max_size=9),
)


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        *((kind, SessionIds) for kind in (StatusEvent, PartialEvent)),
        *((kind, SpokenIds) for kind in (TranscriptionEvent, ReplyEvent, DeliveryEvent)),
        *((kind, SpokenIds) for kind in (TranscriptionMessage, HistoryRow, TurnRow)),
        (DeadUtterance, UtteranceIds),
        *((kind, RowIds) for kind in (UtteranceRow, RequestRow, TurnRow)),
    ],
)
def test_whatever_has_ids_has_the_fields_of_the_name(kind: type[Struct], ids: type) -> None:
    assert ids.__annotations__.keys() <= set(kind.__struct_fields__)


@given(NAMES)
def test_a_name_comes_back_from_the_journal_as_it_was(name: UtteranceName) -> None:
    row = RequestRow(
        **name.row_ids(), conversation_id=name.conversation_id, asked_at=0.0, deadline=1.0, message=b""
    )
    assert utterance_name(row) == name
    assert stream_name(row) == name.stream
    assert (name.device_id, name.boot) == (row.device_id, row.boot)
    assert name.ids().items() <= name.row_ids().items()
    assert name.ids().items() <= name.spoken_ids().items()
