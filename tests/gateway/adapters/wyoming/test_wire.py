"""Wyoming's events stand in bytes as the reference has them, and whatever else comes is told apart and bounded."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import msgspec
import pytest
import wyoming.event
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.wyoming import events, info, wire
from gateway.adapters.wyoming.events import (
    ErrorReport,
    Intent,
    IntentEntity,
    PongEvent,
    SoundChunk,
    SoundForm,
    SoundStart,
    SoundStop,
    TranscribeRequest,
    TranscriptResult,
    TranscriptStop,
    WyomingEvent,
)
from gateway.adapters.wyoming.wire import Arrived, EventDecoder, MalformedEvent, UnknownEvent, WireError

CD = SoundForm(44_100, 2, 2)
GOOD = TranscribeRequest(language="de", transcript_names=("Küche",), context={"a": [1, None]})
ONE_OF_EACH: dict[type[WyomingEvent], WyomingEvent] = {
    SoundChunk: SoundChunk(CD, b"\1\2\n\4"),
    info.Info: info.Info(
        asr=(
            info.AsrProgram(
                name="x",
                attribution=info.Attribution("a", "b"),
                installed=True,
                description=None,
                version=None,
                models=(),
            ),
        )
    ),
    Intent: Intent("HassTurnOn", (IntentEntity("name", "Lamp"), IntentEntity("n", 5)), "On."),
}
VOCABULARY = [one for one in (*vars(events).values(), *vars(info).values()) if hasattr(one, "kind")]


def example(kind: type[WyomingEvent]) -> WyomingEvent:
    """One with something in every field that has to be there."""
    given = {"text": "what?", "name": "x", "start_stage": "asr", "end_stage": "tts"}
    sound = {"rate": 16_000, "width": 2, "channels": 1}
    needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
    return ONE_OF_EACH.get(kind) or kind(**{name: {**given, **sound}[name] for name in needed})


def decoded(data: bytes, size: int = 1 << 20) -> list[Arrived]:
    decoder = EventDecoder()
    return [one for at in range(0, len(data), size) for one in decoder.feed(data[at : at + size])]


def line(**header: Any) -> bytes:
    return json.dumps(header).encode() + b"\n"


@pytest.mark.parametrize("kind", VOCABULARY, ids=lambda one: one.kind)
def test_an_event_comes_back_also_byte_by_byte(kind: type[WyomingEvent]) -> None:
    event = example(kind)
    data = wire.encode(event)
    assert decoded(data + data) == [event, event]
    assert decoded(data + data, 1) == [event, event]
    assert kind.kind in wire.KINDS


@pytest.mark.parametrize("kind", VOCABULARY, ids=lambda one: one.kind)
def test_the_reference_reads_what_we_write_and_we_read_what_it_writes(kind: type[WyomingEvent]) -> None:
    event = example(kind)
    read = wyoming.event.read_event(io.BytesIO(wire.encode(event)))
    assert read is not None
    assert read.type == kind.kind
    written = io.BytesIO()
    wyoming.event.write_event(read, written)
    assert decoded(written.getvalue()) == [event]


def test_data_may_stand_in_the_line_behind_it_or_in_both() -> None:
    behind = b'{"text":"new"}'
    header = {"type": "transcript", "data": {"text": "old", "language": "de"}}
    assert decoded(line(**header)) == [TranscriptResult("old", "de")]
    assert decoded(line(**header, data_length=len(behind)) + behind) == [TranscriptResult("new", "de")]
    assert decoded(line(type="audio-stop", data=None, data_length=None)) == [SoundStop()]
    assert decoded(line(type="audio-stop", version=7, more=[1])) == [SoundStop()]


def test_a_long_payload_comes_in_pieces_and_none_is_kept() -> None:
    sound = bytes(range(256)) * 1_000
    data = wire.encode(SoundChunk(CD, sound)) + wire.encode(SoundStop())
    decoder = EventDecoder()
    pieces = []
    for at in range(0, len(data), 700):
        pieces += decoder.feed(data[at : at + 700])
        assert len(decoder._pending) <= wire.PIECE_BYTES
    *chunks, stop = pieces
    assert stop == SoundStop()
    assert b"".join(one.audio for one in chunks if isinstance(one, SoundChunk)) == sound
    assert {type(one) for one in chunks} == {SoundChunk}
    assert len(chunks) == 6


def test_what_nobody_knows_is_named_and_its_payload_is_dropped() -> None:
    payload = b"\n" * 200_000
    decoder = EventDecoder()
    assert list(decoder.feed(line(type="x" * 500, payload_length=len(payload) + 3, data={}))) == [
        UnknownEvent("x" * 100)
    ]
    assert list(decoder.feed(payload)) == []
    assert not decoder._pending
    assert list(decoder.feed(b"abc" + wire.encode(GOOD))) == [GOOD]


def test_a_payload_where_none_belongs_is_dropped() -> None:
    assert decoded(line(type="audio-stop", payload_length=4) + b"\n\n\n\n" + wire.encode(GOOD)) == [
        SoundStop(),
        GOOD,
    ]
    assert decoded(line(type="audio-chunk", data=msgspec.to_builtins(CD))) == []


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("transcript", "{}", "`text`"),
        ("transcript", '{"text":5}', "$.text"),
        ("transcript", '{"text":"\\ud800"}', ""),
        ("transcript", "[]", "Expected `object`"),
        ("transcript", "null", "Expected `object`"),
        ("transcript", "garbage", "malformed"),
        ("transcript", '{"text":"x","context":5}', "$.context"),
        ("transcript", '{"text":"x","context":{"x":' + "[" * 60_000 + "]" * 60_000 + "}}", "recursion"),
        ("transcribe", '{"transcript_names":["a",5]}', "$.transcript_names[1]"),
        ("audio-start", '{"rate":0,"width":2,"channels":1}', "$.rate"),
        ("audio-start", '{"rate":1e999,"width":2,"channels":1}', ""),
        ("audio-start", '{"rate":16000,"width":-2,"channels":1}', "$.width"),
        ("audio-chunk", '{"rate":16000,"width":2,"channels":10000000}', "$.channels"),
        ("audio-chunk", "{}", "`rate`"),
    ],
)
def test_data_that_is_none_is_told_with_its_reason_and_the_next_event_is_found(
    kind: str, data: str, why: str
) -> None:
    raw = data.encode()
    header = line(type=kind, data_length=len(raw), payload_length=3)
    wrong, good = decoded(header + raw + b"\n{x" + wire.encode(GOOD))
    assert good == GOOD
    assert isinstance(wrong, MalformedEvent)
    assert wrong.kind == kind
    assert why in wrong.reason


def test_data_that_is_none_in_the_line_is_told_too() -> None:
    wrong, *others = decoded(line(type="transcript", data=5, data_length=13) + b'{"text": "x"}')
    assert isinstance(wrong, MalformedEvent)
    assert not others


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"hello?\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"[]\n",
        b"{}\n",
        b'{"type":5}\n',
        b'{"type":null}\n',
        b'{"type":"\xff"}\n',
        b'{"type":"ping","data_length":-1}\n',
        b'{"type":"ping","data_length":1.5}\n',
        b'{"type":"ping","data_length":true}\n',
        b'{"type":"ping","data_length":"5"}\n',
        b'{"type":"ping","payload_length":1e9}\n',
        b'{"type":"ping","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
        b'{"type":"ping","data_length":%d}\n' % (wire.MOST_DATA_BYTES + 1),
        b'{"type":"ping","data_length":99999999999999999999999999}\n',
        b'{"type":"audio-chunk","payload_length":%d}\n' % (wire.MOST_PAYLOAD_BYTES + 1),
        b" " * (wire.MOST_HEADER_BYTES + 1),
        b'{"type":"ping"}' + b" " * wire.MOST_HEADER_BYTES + b"\n",
    ],
)
def test_what_is_no_wyoming_ends_it_and_what_came_before_is_not_lost(data: bytes) -> None:
    decoder = EventDecoder()
    arrived = decoder.feed(wire.encode(GOOD) + data)
    assert next(arrived) == GOOD
    with pytest.raises(WireError, match=r".+"):
        next(arrived)


def test_a_line_without_an_end_is_searched_once() -> None:
    decoder = EventDecoder()
    for _ in range(wire.MOST_HEADER_BYTES):
        assert not list(decoder.feed(b" "))
    with pytest.raises(WireError, match="line of more than 65536"):
        list(decoder.feed(b" "))


def test_nothing_is_written_that_an_older_reader_stumbles_over() -> None:
    assert wire.encode(PongEvent()) == b'{"type":"pong","version":"1.10.2","data_length":13}\n{"text":null}'
    assert wire.encode(TranscriptStop()) == b'{"type":"transcript-stop","version":"1.10.2"}\n'
    assert wire.encode(ErrorReport("no")).endswith(b'\n{"text":"no"}')
    assert wire.encode(SoundChunk(CD, b"")) == wire.encode(SoundStart(44_100, 2, 2)).replace(
        b"start", b"chunk"
    )


@given(
    st.lists(st.sampled_from([example(kind) for kind in VOCABULARY]), max_size=8), st.lists(st.integers(0))
)
def test_where_a_connection_is_cut_into_pieces_is_all_the_same(
    said: list[WyomingEvent], cuts: list[int]
) -> None:
    data = b"".join(map(wire.encode, said))
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    decoder = EventDecoder()
    arrived = [one for start, end in itertools.pairwise(places) for one in decoder.feed(data[start:end])]
    assert arrived == said


@given(st.binary(max_size=300), st.integers(1, 40))
def test_garbage_is_read_alike_in_one_piece_and_in_many(garbage: bytes, size: int) -> None:
    def outcome(step: int) -> tuple[list[Arrived], bool]:
        arrived: list[Arrived] = []
        decoder = EventDecoder()
        try:
            for at in range(0, len(garbage), step):
                arrived += decoder.feed(garbage[at : at + step])
        except WireError:
            return arrived, True
        return arrived, False

    assert outcome(size) == outcome(300)


@given(
    st.lists(
        st.one_of(
            st.builds(SoundChunk, st.sampled_from([CD, SoundForm(16_000, 2, 1)]), st.binary(max_size=9)),
            st.just(SoundStop()),
            st.just(UnknownEvent("played")),
        ),
        max_size=12,
    )
)
def test_sound_that_came_at_once_is_handed_on_together_and_nothing_else_changes(said: list[Arrived]) -> None:
    together = list(wire.in_longer_pieces(said))
    assert [one for one in together if not isinstance(one, SoundChunk)] == [
        one for one in said if not isinstance(one, SoundChunk)
    ]
    assert sounds(together) == sounds(said)
    for one, other in itertools.pairwise(together):
        assert not (isinstance(one, SoundChunk) and isinstance(other, SoundChunk) and one.form == other.form)


def sounds(arrived: list[Arrived]) -> list[bytes]:
    """The sound between any two other events, a form's at a time."""
    runs = itertools.groupby(arrived, lambda one: one.form if isinstance(one, SoundChunk) else None)
    return [
        b"".join(one.audio for one in run if isinstance(one, SoundChunk))
        for form, run in runs
        if form is not None
    ]


def test_no_piece_is_longer_than_one_may_be_and_times_make_no_other_sound() -> None:
    chunks = [
        SoundChunk(SoundForm(16_000, 2, 1, timestamp=20 * number), b"\1" * 640) for number in range(160)
    ]
    together = [one for one in wire.in_longer_pieces(chunks) if isinstance(one, SoundChunk)]
    assert [len(one.audio) for one in together] == [48_000, 48_000, 6_400]
    assert [one.form.timestamp for one in together] == [0, 1500, 3000]


def test_what_came_before_what_cannot_be_read_is_handed_on_first() -> None:
    data = 2 * wire.encode(SoundChunk(CD, b"\1\2")) + wire.encode(SoundStop()) + b"no\n"
    arrived = wire.in_longer_pieces(EventDecoder().feed(data))
    assert [next(arrived), next(arrived)] == [SoundChunk(CD, 2 * b"\1\2"), SoundStop()]
    with pytest.raises(WireError):
        next(arrived)
