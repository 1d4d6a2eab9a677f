"""Every field of every message from outside has a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect as kinds
from msgspec import json

from firmware_bridge.link import frames
from gateway.broker.envelope import BEGINNING_BYTES, HEADERS_CHARACTERS, beginning, read_message
from gateway.broker.wire import RawMessage
from gateway.contract import agents, events, messages
from gateway.contract.messages import (
    AGENT_CHARACTERS,
    DATA_BYTES,
    ERROR_CHARACTERS,
    MESSAGE_BYTES,
    BadMessage,
    OrchestratorReply,
    decode_reply,
    encode,
)
from gateway.hub.history import HISTORY_BYTES
from gateway.hub.hub import Hub
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.sessions.requests import MAX_TEXT_BYTES, CorrelationTracker, Late, PendingRequest
from gateway.settings.web import WebSettings
from gateway.web.api.operation import Operation
from gateway.web.api.reading import MAX_BODY_BYTES
from gateway.web.operations.table import OPERATIONS
from transcription.models import model_hub
from transcription.sound_files import decoder_pipe

FREE = dict[str, Any]
"""A change of the configuration: checked as configuration is, and no larger than a body."""
FROM_OUTSIDE = [
    agents.AgentRequest, agents.AgentPresence, agents.AnnouncementMessage,
    messages.OrchestratorReply, messages.TranscriptionMessage, messages.DeadUtterance, events.Subscribe,
    events.Say, events.Authenticate, frames._HelloJson, model_hub._Listing, decoder_pipe.Refused,
    decoder_pipe.Lacking,
    *(kind for one in OPERATIONS for kind in (one.path_type, one.query, one.body) if kind not in {None, FREE}),
]  # fmt: skip


IN_BYTES = {f"{kind}.data" for kind in ("OrchestratorReply", "AgentRequest.answers[]", "LaterReply")}
"""JSON of any form, with a bound for all of it (``DATA_BYTES``), or for the message."""


def unbounded(kind: kinds.Type, place: str) -> Iterator[str]:
    """The places in it that may be of any size."""
    match kind:
        case kinds.StrType(max_length=None, pattern=None) | kinds.BytesType(max_length=None):
            yield place
        case kinds.ListType() | kinds.VarTupleType() | kinds.SetType() | kinds.FrozenSetType():
            if kind.max_length is None:
                yield place
            yield from unbounded(kind.item_type, f"{place}[]")
        case kinds.DictType() if kind.max_length is not None:
            yield from unbounded(kind.key_type, place)
            yield from unbounded(kind.value_type, place)
        case kinds.DictType() | kinds.AnyType() | kinds.RawType() | kinds.CustomType():
            yield place
        case kinds.UnionType():
            for one in kind.types:
                yield from unbounded(one, place)
        case kinds.StructType():
            for field in kind.fields:
                yield from unbounded(field.type, f"{place}.{field.name}")
        case _:
            pass


@pytest.mark.parametrize("kind", FROM_OUTSIDE, ids=lambda kind: getattr(kind, "__name__", str(kind)))
def test_every_field_of_a_message_from_outside_has_a_bound(kind: type) -> None:
    assert not set(unbounded(kinds.type_info(kind), kind.__name__)) - IN_BYTES


class Inner(msgspec.Struct):
    words: list[str]


class Outer(msgspec.Struct):
    inner: Inner | None
    facts: dict[str, int]


def test_the_walk_finds_what_has_none() -> None:
    assert list(unbounded(kinds.type_info(Outer), "Outer")) == [
        "Outer.inner.words", "Outer.inner.words[]", "Outer.facts",
    ]  # fmt: skip


def test_every_operations_parts_are_walked() -> None:
    assert all(isinstance(one, Operation) for one in OPERATIONS)
    assert len(FROM_OUTSIDE) > 20
    assert MAX_BODY_BYTES <= 64 * 1024


def reply(**facts: object) -> bytes:
    return json.encode({"correlation_id": "c", "session_id": "s", **facts})


@pytest.mark.parametrize(
    "facts",
    [
        {"correlation_id": "c" * 201}, {"session_id": "s" * 201}, {"message_id": "m" * 201},
        {"text": "x" * (1 << 20 | 1)}, {"error": "x" * (1 << 20 | 1)}, {"agent": "x" * (1 << 20 | 1)},
        {"hints": {"prompt": "x" * 1_001}}, {"hints": {"hotwords": "x" * 1_001}}, {"unknown": "x" * MESSAGE_BYTES},
        {"data": {"x": "x" * DATA_BYTES}}, {"data": dict.fromkeys(map(str, range(1_001)))}, {"data": [1]},
        {"request_id": "q" * 201}, {"confidence": 1.1}, {"progress": "x" * (1 << 20 | 1)},
    ],
    ids="".join,
)  # fmt: skip
def test_a_reply_with_more_than_a_field_may_have_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(BadMessage) as told:
        decode_reply(reply(**facts))
    assert len(str(told.value)) < 300


def test_what_a_reply_says_of_itself_is_cut() -> None:
    cut = decode_reply(reply(agent="a" * 10_000, error="e" * 10_000, text="hello"))
    assert (len(cut.agent), len(cut.error or ""), cut.text) == (AGENT_CHARACTERS, ERROR_CHARACTERS, "hello")
    assert decode_reply(encode(OrchestratorReply(correlation_id="c", session_id="s"))).error is None


def test_of_a_message_that_is_too_large_only_its_beginning_is_kept() -> None:
    there = RawMessage(
        key="u.d.s", payload=bytes(MESSAGE_BYTES + 1), reply_to="r" * 9_999, content_type="t" * 9_999,
        message_id="m" * 9_999, headers={f"h{number}": "v" * 100 for number in range(9_999)},
    )  # fmt: skip
    message = read_message("t", beginning(there))
    assert len(message.payload) == BEGINNING_BYTES
    assert sum(len(name) + len(value) for name, value in message.headers.items()) <= HEADERS_CHARACTERS
    assert max(map(len, (message.message_id, message.reply_to, message.content_type))) <= 200
    whole = RawMessage(key="u.d.s", payload=bytes(MESSAGE_BYTES))
    assert beginning(whole) is whole


async def test_the_hub_remembers_so_many_bytes_and_no_more() -> None:
    hub = Hub(WebSettings(history_events=100_000))
    with hub.attach() as outbox:
        start = outbox.wanted
    for number in range(300):
        hub.publish(
            events.ReplyEvent(
                session_id="s", user_id="u", device_id="d", correlation_id=f"c{number}", utterance_id="u",
                text="x" * 64 * 1024, final=True, late=True,
            )
        )  # fmt: skip
    assert start is not None
    resumed = hub.attach(events.Subscribe(epoch=hub.epoch, seq=200))
    fresh = hub.attach(events.Subscribe(epoch=hub.epoch, seq=100))
    assert 90 < HISTORY_BYTES // (65 * 1024) < 130
    assert resumed.pending_bytes < HISTORY_BYTES
    assert fresh is not resumed
    with fresh, resumed:
        pass


@pytest.mark.parametrize("name", ["sessions", "devices", "users"])
def test_a_subscription_of_ten_thousand_names_is_refused(name: str) -> None:
    many = [f"n{number}" for number in range(events.MOST_NAMES + 1)]
    with pytest.raises(BadMessage):
        events.decode_subscribe(json.encode({"type": "subscribe", name: many}))
    with pytest.raises(BadMessage):
        events.decode_subscribe(json.encode({"type": "subscribe", name: ["x" * 201]}))
    with pytest.raises(ValueError, match="may have 256"):
        events.Subscribe(**{name: tuple(many)})
    assert events.decode_subscribe(json.encode({"type": "subscribe", name: many[1:]}))


def test_a_late_reply_is_cut_as_any_other() -> None:
    tracker = CorrelationTracker(max_pending=9, late_seconds=60.0)
    tracker.register(PendingRequest(UtteranceName("s", "u", StreamName("d", 1, 1), "n", "c"), 0.0, 1.0), 0.0)
    assert tracker.expire(2.0)
    for number in range(3):
        late = tracker.route(
            OrchestratorReply(
                correlation_id="c", session_id="s", text="x" * 900_000, message_id=f"m{number}"
            ),
            3.0,
        )
        assert isinstance(late, Late)
        assert len(late.text) == MAX_TEXT_BYTES
    assert tracker.counters.truncated == 3
