"""The vocabulary: round trips, hostile bytes, and a page of documentation that stays true."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.patterns import parse_pattern
from gateway.broker.rejected import MAX_BYTES, MAX_LETTERS
from gateway.contract.agents import (
    AgentAnswer,
    AgentPresence,
    AgentRequest,
    AnnouncementMessage,
    ConversationTurn,
    OutdatedAnswers,
    decode_announcement,
    decode_outdated,
    decode_presence,
    decode_request,
)
from gateway.contract.messages import (
    DEAD_TOPIC,
    MESSAGE_BYTES,
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    SCHEMA,
    AudioFacts,
    BadMessage,
    DeadUtterance,
    OrchestratorReply,
    RecognizerFacts,
    Timings,
    TranscriptionMessage,
    WantedHints,
    WordTime,
    decode_reply,
    decode_transcription,
    encode,
    is_token,
    new_id,
)
from gateway.pipeline.asking.typed_text import SAID
from gateway.pipeline.sessions.requests import MAX_TEXT_BYTES
from gateway.settings.orchestrator import OrchestratorSettings
from transcription.utterance.segmenter import EndReason

PAGE = (Path(__file__).parents[3] / "docs" / "messages.md").read_text()
ORIGINAL_FIELDS = ("session_id", "user_id", "device_id", "text", "timestamp", "success", "error")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TRANSCRIPTIONS = st.builds(
    TranscriptionMessage,
    session_id=TEXT, user_id=TEXT, device_id=TEXT, text=TEXT, timestamp=NUMBER, success=st.booleans(),
    error=st.none() | TEXT, schema=st.integers(1, 9), message_id=TEXT, correlation_id=TEXT, utterance_id=TEXT,
    language=TEXT, confidence=NUMBER, is_final=st.booleans(),
    audio=st.builds(AudioFacts, seconds=NUMBER, gaps=st.integers(0, 99), lost_ms=NUMBER, end_reason=TEXT),
    timings=st.builds(Timings, endpoint_ms=NUMBER, queue_ms=NUMBER, recognize_ms=NUMBER, text_ms=NUMBER),
    recognizer=st.builds(
        RecognizerFacts, engine=TEXT, model=TEXT, context_ms=NUMBER, retried=st.booleans(), names=st.integers(0, 99),
        worker=TEXT
    ),
    no_speech_probability=NUMBER, language_probability=NUMBER,
    words=st.lists(st.builds(WordTime, word=TEXT, start=NUMBER, end=NUMBER, probability=NUMBER), max_size=3).map(tuple),
    priority=TEXT,
)  # fmt: skip
REPLIES = st.builds(
    OrchestratorReply,
    correlation_id=TEXT, session_id=TEXT, text=TEXT, final=st.booleans(), error=st.none() | TEXT, agent=TEXT,
    message_id=TEXT, timestamp=NUMBER, schema=st.integers(1, 9),
    hints=st.none() | st.builds(
        WantedHints, language=st.none() | st.sampled_from(["de", "auto"]), prompt=st.none() | TEXT,
        hotwords=st.none() | TEXT, word_timestamps=st.none() | st.booleans(),
    ),
)  # fmt: skip
EXTRAS = st.dictionaries(
    st.text("xyz", min_size=1), st.none() | st.integers() | TEXT | st.lists(TEXT), max_size=3
)

TRANSCRIPTION = TranscriptionMessage(
    session_id="s_1", user_id="ann", device_id="kitchen", text="hello", timestamp=1.5, success=True,
    message_id="m_1", correlation_id="c_1", utterance_id="u_1", audio=AudioFacts(seconds=1.0),
)  # fmt: skip


# -- round trips


@given(TRANSCRIPTIONS)
def test_a_transcription_comes_back_as_it_went(message: TranscriptionMessage) -> None:
    assert decode_transcription(encode(message)) == message


@given(REPLIES)
def test_a_reply_comes_back_as_it_went(message: OrchestratorReply) -> None:
    assert decode_reply(encode(message)) == message


@given(TRANSCRIPTIONS, REPLIES, EXTRAS)
def test_unknown_fields_are_ignored(
    message: TranscriptionMessage, reply: OrchestratorReply, extras: dict[str, Any]
) -> None:
    assert decode_transcription(json.dumps(json.loads(encode(message)) | extras).encode()) == message
    assert decode_reply(json.dumps(json.loads(encode(reply)) | extras).encode()) == reply


@given(TRANSCRIPTIONS)
def test_a_consumer_of_the_seven_original_fields_keeps_working(message: TranscriptionMessage) -> None:
    body = json.loads(encode(message))
    assert tuple(body)[:7] == ORIGINAL_FIELDS
    for name in ORIGINAL_FIELDS:
        assert body[name] == getattr(message, name)


def test_the_shortest_reply_has_the_documented_defaults() -> None:
    reply = decode_reply(b'{"correlation_id": "c_1", "session_id": "s_1"}')
    assert reply == OrchestratorReply(correlation_id="c_1", session_id="s_1")
    assert (reply.text, reply.final, reply.error, reply.schema) == ("", True, None, SCHEMA)


# -- bytes that are no message

BAD = [
    b"", b"{", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe", b'{"correlation_id": 1, "session_id": "s_1"}',
    b'{"correlation_id": "c_1"}', b'{"correlation_id": "c_1", "session_id": null}',
    b'{"correlation_id": "c_1", "session_id": "s_1", "text": "\xff"}',
    b'{"correlation_id": "c_1", "session_id": "s_1", "text": ["a"]}',
    b'{"correlation_id": "c_1", "session_id": "s_1", "final": "yes"}',
    b'{"correlation_id": "c_1", "session_id": "s_1", "timestamp": "now"}',
    b'{"correlation_id": "c_1", "session_id": "s_1"} trailing', b"[" * 100_000,
    b'{"correlation_id": "c_1", "session_id": "s_1", "more": ' + b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("payload", BAD, ids=range(len(BAD)))
def test_bad_bytes_are_a_bad_message(payload: bytes) -> None:
    with pytest.raises(BadMessage, match="not an orchestrator reply"):
        decode_reply(payload)
    with pytest.raises(BadMessage, match="not a transcription"):
        decode_transcription(payload)


def test_the_place_of_the_mistake_is_said_and_the_text_is_not() -> None:
    body = json.loads(encode(TRANSCRIPTION)) | {"text": "a private matter", "confidence": "high"}
    with pytest.raises(BadMessage) as caught:
        decode_transcription(json.dumps(body).encode())
    assert "confidence" in str(caught.value)
    assert "private" not in str(caught.value)


@given(st.binary(max_size=200) | TEXT.map(str.encode))
def test_any_bytes_are_a_message_or_a_bad_one(payload: bytes) -> None:
    for decode in (decode_reply, decode_transcription):
        try:
            decode(payload)
        except BadMessage:
            continue


@given(TRANSCRIPTIONS, st.data())
def test_a_cut_message_is_a_bad_one(message: TranscriptionMessage, data: st.DataObject) -> None:
    payload = encode(message)
    with pytest.raises(BadMessage):
        decode_transcription(payload[: data.draw(st.integers(0, len(payload) - 1))])


# -- ids and tokens


def test_ids_are_unguessable_tokens_that_name_their_kind() -> None:
    ids = {new_id("c") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"c_[A-Za-z0-9_-]{22}", name) for name in ids)
    assert all(map(is_token, ids))


@given(st.text(max_size=70))
def test_a_token_is_what_the_page_says(text: str) -> None:
    assert is_token(text) == bool(re.fullmatch("[A-Za-z0-9_-]{1,64}", text, re.ASCII) and "\n" not in text)


# -- docs/messages.md

TYPES = {
    "str": "string",
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "str | None": "string or null",
    "AudioFacts": "object",
    "Timings": "object",
    "RecognizerFacts": "object",
    "tuple[WordTime, ...]": "array",
    "WantedHints | None": "object or null",
    "Language | None": "string or null",
    "HintText | None": "string or null",
    "bool | None": "boolean or null",
    "Id": "string",
    "Line": "string",
    "Text": "string",
    "Text | None": "string or null",
    "Annotated[tuple[WordTime, ...], Meta(max_length=10000)]": "array",
    "Probability": "number",
    "Data | None": "object or null",
    "AgentName": "string",
    "Wanted": "string",
    "TranscriptionMessage": "object",
    "Turns": "array",
    "Flags": "array",
    "Answers": "array",
    "Path": "array",
    "State": "string",
    "Count": "integer",
    "MaybeAgent": "string",
    "AnnouncedText": "string",
    "KeptSeconds": "number",
}


def section(title: str) -> str:
    return re.split(rf"^##+ {title}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]


def section_of_all(title: str) -> str:
    """With the sections in it."""
    return re.split(rf"^## {title}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in ``text``, without their two head lines."""
    lines = [line[1:-1].split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in cells] for cells in lines]


def documented_default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return ""
    nested = {Timings(): "all 0", RecognizerFacts(): "empty"}
    return nested[field.default] if isinstance(field.default, msgspec.Struct) else json.dumps(field.default)


AGENTS = {
    "asked_at": (AgentRequest, decode_request),
    "instance": (AgentPresence, decode_presence),
    "keep_seconds": (AnnouncementMessage, decode_announcement),
    "text": (OutdatedAnswers, decode_outdated),
}


def test_the_examples_of_agents_are_messages_too() -> None:
    examples = re.findall(r"```json\n(.*?)```", section_of_all("Where agents are named"), flags=re.DOTALL)
    assert len(examples) == len(AGENTS)
    for example in examples:
        body = json.loads(example)
        kind, decode = next(AGENTS[name] for name in AGENTS if name in body)
        assert set(body) == set(kind.__struct_fields__)
        again = json.loads(encode(decode(example.encode())))
        heard = body.pop("transcript", {})
        assert heard.items() <= (again.pop("transcript", {}) | {"audio": heard.get("audio")}).items()
        assert again == body


@pytest.mark.parametrize("decode", [decode_request, decode_presence, decode_announcement, decode_outdated])
@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"\xff", b"[" * 99_999, b"x" * (MESSAGE_BYTES + 1)])
def test_what_is_no_message_of_agents_says_so(decode: Callable[[bytes], object], payload: bytes) -> None:
    with pytest.raises(BadMessage, match=r"^not an (agent|announcement)") as told:
        decode(payload)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    "kind",
    [
        TranscriptionMessage,
        AudioFacts,
        Timings,
        RecognizerFacts,
        WordTime,
        OrchestratorReply,
        WantedHints,
        DeadUtterance,
        AgentRequest,
        ConversationTurn,
        AgentAnswer,
        AgentPresence,
        AnnouncementMessage,
        OutdatedAnswers,
    ],
)
def test_the_tables_of_fields_are_true(kind: type[msgspec.Struct]) -> None:
    fields = {
        name: (TYPES[kind.__annotations__[name]], documented_default(field))
        for name, field in zip(kind.__struct_fields__, msgspec.structs.fields(kind), strict=True)
    }
    table = {cells[0].strip("`"): (cells[1], cells[2]) for cells in rows(section(kind.__name__))}
    assert list(table) == list(fields)
    assert table == fields


def test_the_examples_are_messages_with_every_field_named_right() -> None:
    examples = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    bodies = [json.loads(example) for example in examples]
    transcriptions = [body for body in bodies if "text" in body and "utterance_id" in body]
    (dead,) = [body for body in bodies if "attempts" in body]
    assert msgspec.to_builtins(msgspec.convert(dead, DeadUtterance)) == dead
    replies = [body for body in bodies if "utterance_id" not in body and "correlation_id" in body]
    bodies = [body for body in bodies if not {"kind", "instance", "keep_seconds"} & set(body)]
    words = [body for body in bodies if "word" in body]
    assert (len(transcriptions), len(replies), len(words)) == (2, 6, 1)
    assert msgspec.to_builtins(msgspec.convert(words[0], WordTime)) == words[0]
    for body in transcriptions:
        assert json.loads(encode(decode_transcription(json.dumps(body).encode()))) == body
    assert json.loads(encode(decode_reply(json.dumps(replies[0]).encode()))) == replies[0]
    for body in replies:
        assert set(body) <= set(OrchestratorReply.__struct_fields__)
        decode_reply(json.dumps(body).encode())


def test_the_streamed_example_says_the_same_twice() -> None:
    examples = re.findall(r"```json\n(.*?)```", section("A reply that streams"), flags=re.DOTALL)
    *pieces, last = [decode_reply(example.encode()) for example in examples]
    assert "".join(piece.text for piece in pieces) == last.text
    assert [reply.final for reply in (*pieces, last)] == [False, False, True]


def test_the_topics_and_patterns_are_true() -> None:
    topics, patterns = section("Topics and routing keys").split("| pattern |")
    assert [cells[0] for cells in rows(topics)] == [
        f"`{topic}`" for topic in (RESULTS_TOPIC, REPLIES_TOPIC, DEAD_TOPIC)
    ]
    spellings = [cells[0].strip("`") for cells in rows(patterns)]
    assert spellings == ["session.*", "device.*", "user.*", "session.<id>", "device.<id>", "user.<id>"]
    for spelling in spellings:
        parse_pattern(spelling.replace("<id>", "abc"))


def test_the_numbers_are_true() -> None:
    assert f"longer than {MAX_TEXT_BYTES // 1024} KiB" in PAGE
    assert f"latest {MAX_LETTERS}, at most {MAX_BYTES // 1024 // 1024} MiB" in PAGE
    assert f"{OrchestratorSettings().timeout_seconds:g} s unless changed" in PAGE
    assert f"`schema` (now {SCHEMA})" in PAGE


def test_the_end_reasons_are_all_named() -> None:
    cell = next(cells[3] for cells in rows(section("AudioFacts")) if cells[0] == "`end_reason`")
    assert set(re.findall(r"`(\w+)`", cell)) - {"seconds"} == {*EndReason, SAID}


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (Path(__file__).parents[3] / "docs" / target).exists(), target
