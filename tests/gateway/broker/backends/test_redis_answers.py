"""Answers of a Redis server are read whole in whatever pieces they come, and none takes more than it may."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.backends.redis_answers import (
    ANSWER_BYTES,
    CUT,
    KEPT_BYTES,
    LINE_BYTES,
    MISSING,
    MOST_DEEP,
    MOST_ELEMENTS,
    AnswerReader,
    Bounded,
    whole,
)
from gateway.broker.backends.redis_entries import entry, packed
from gateway.broker.base import Message
from tests.gateway.broker.contract import KITCHEN


class Refusal(Exception):
    """What an error of the server's is handed out as."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refusal) and self.args == other.args

    __hash__ = Exception.__hash__


def spelled(value: Any) -> bytes:
    """As Redis spells it."""
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case Refusal():
            return b"-%b\r\n" % value.args[0].encode()
        case list():
            return b"*%d\r\n" % len(value) + b"".join(map(spelled, value))
    raise AssertionError(value)


def read(data: bytes, cuts: list[int]) -> Iterator[Any]:
    """The answers in ``data``, which comes in pieces."""
    reader = AnswerReader(Refusal)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for begin, end in itertools.pairwise([0, *ends]):
        reader.feed(data[begin:end])
        while (answer := reader.answer()) is not MISSING:
            yield answer
    assert not reader.ahead


words = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=12)
values = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40) | words.map(Refusal),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
).filter(lambda value: _depth(value) < MOST_DEEP)


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(st.lists(values, max_size=6), st.lists(st.integers(0, 400), max_size=12))
def test_answers_are_the_same_in_whatever_pieces_they_come(answers: list[Any], cuts: list[int]) -> None:
    assert list(read(b"".join(map(spelled, answers)), cuts)) == answers


def test_byte_by_byte() -> None:
    answers = [
        [b"stream", [[b"1-0", [b"key", b"a.b.c", b"body", b"\r\n$5\r\n"]]]],
        7,
        None,
        [],
        b"",
        Refusal("NO"),
    ]
    data = b"".join(map(spelled, answers))
    assert list(read(data, list(range(len(data))))) == answers


def test_a_simple_word_and_a_list_that_is_none() -> None:
    assert list(read(b"+OK\r\n*-1\r\n*0\r\n", [])) == [b"OK", None, []]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_whatever_comes_is_read_waited_for_or_none_of_redis(data: bytes, cuts: list[int]) -> None:
    assert all(one == other for one, other in zip(made_of(data, cuts), made_of(data, []), strict=True))


def made_of(data: bytes, cuts: list[int]) -> list[Any]:
    """The answers in ``data``, and what ended it."""
    found: list[Any] = []
    try:
        found.extend(read(data, cuts))
    except (OSError, AssertionError) as error:  # some is left where an answer is not whole yet
        return [*collected(data), type(error)]
    return found


def collected(data: bytes) -> list[Any]:
    """The answers before the end, from what comes byte by byte."""
    reader, found = AnswerReader(Refusal), []
    for byte in data:
        reader.feed(bytes((byte,)))
        try:
            while (answer := reader.answer()) is not MISSING:
                found.append(answer)
        except OSError:
            return found
    return found


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$x\r\n",
        b"$\r\n",
        b"$1e3\r\n",
        b":99999999999999999999999\r\n",
        b"*%d\r\n" % (MOST_ELEMENTS + 1),
        b"*1\r\n" * (MOST_DEEP + 1),
        b"\r\n",
        b"~1\r\n",
        b"x" * (LINE_BYTES + 1),
    ],
)
def test_what_is_none_of_redis_ends_it(data: bytes) -> None:
    reader = AnswerReader(Refusal)
    reader.feed(data)
    with pytest.raises(OSError, match="an answer"):
        reader.answer()


def test_lists_within_lists_are_counted_together() -> None:
    reader = AnswerReader(Refusal)
    inner = b"*100000\r\n" + b":1\r\n" * 100_000
    reader.feed(b"*100\r\n")
    for _ in range(9):
        reader.feed(inner)
        assert reader.answer() is MISSING
    reader.feed(inner)
    with pytest.raises(OSError, match="1000000 parts"):
        reader.answer()


@pytest.mark.parametrize("piece", [1 << 16, 1 << 20, 1 << 30])
def test_of_a_string_that_is_too_long_the_beginning_is_kept(piece: int) -> None:
    body = bytes(range(256)) * (KEPT_BYTES // 256 * 3)
    data = spelled([b"1-0", body]) + spelled(b"next")
    answers = list(read(data, list(range(0, len(data), piece))))
    assert answers == [[b"1-0", body[:KEPT_BYTES]], b"next"]


def test_what_is_thrown_away_is_not_kept_meanwhile() -> None:
    reader = AnswerReader(Refusal)
    reader.feed(b"$536870912\r\n")
    for _ in range(64):
        reader.feed(bytes(1 << 20))
        assert reader.answer() is MISSING
        assert reader.ahead <= KEPT_BYTES


def test_of_an_answer_that_is_too_large_the_rest_is_cut() -> None:
    body, count = bytes(1_000_000), ANSWER_BYTES // 1_000_000 + 3
    data = spelled([body] * count) + spelled([b"next"])
    large, following = read(data, list(range(0, len(data), 1 << 18)))
    kept = [one for one in large if one is not CUT]
    assert 0 < len(kept) < count
    assert large[len(kept) :] == [CUT] * (count - len(kept))
    assert following == [b"next"], "the next answer has room again"


def test_entries_of_a_cut_answer_are_asked_for_again() -> None:
    good, late = (b"1-0", {b"key": b"a.b.c", b"body": b"x"}), (b"2-0", {b"key": b"a.b.c", b"body": CUT})
    assert whole([good, late]) == [good]
    assert whole([good, (CUT, {})]) == [good]
    ((entry_id, fields),) = whole([late])
    assert (entry_id, len(fields[b"body"])) == (b"2-0", KEPT_BYTES), "alone it is too large for a message"


# -- as redis-py's parser


class _Base:
    """What redis-py's parser has that ours asks for."""

    def __init__(self) -> None:
        self._connected = False

    def on_connect(self, stream: asyncio.StreamReader) -> None:
        self._stream, self._connected = stream, True

    async def can_read(self) -> bool:
        return False

    @staticmethod
    def parse_error(text: str) -> Exception:
        return LookupError(text) if text.startswith("END") else Refusal(text)


class _Parser(Bounded, _Base):
    ends = LookupError


async def test_a_parser_waits_for_what_is_not_there_yet() -> None:
    stream, parser = asyncio.StreamReader(), _Parser()
    with pytest.raises(ConnectionResetError):
        await parser.read_response()
    parser.on_connect(stream)
    reading = asyncio.create_task(parser.read_response())
    for byte in spelled([b"one", 2]):
        await asyncio.sleep(0)
        assert not reading.done()
        stream.feed_data(bytes((byte,)))
    assert await reading == [b"one", 2]
    assert not await parser.can_read()


async def test_a_parser_reads_many_answers_that_come_at_once() -> None:
    stream, parser = asyncio.StreamReader(), _Parser()
    parser.on_connect(stream)
    stream.feed_data(b":1\r\n-NO\r\n:3\r\n-END of it\r\n$5\r\nha")
    assert [await parser.read_response() for _ in range(3)] == [1, Refusal("NO"), 3]
    assert await parser.can_read()
    with pytest.raises(LookupError):
        await parser.read_response()
    stream.feed_eof()
    with pytest.raises(ConnectionResetError, match="within an answer"):
        await parser.read_response()
    again = asyncio.StreamReader()
    parser.on_connect(again)
    again.feed_data(b"+new\r\n")
    assert await parser.read_response() == b"new", "what the connection before it left is forgotten"


async def test_who_is_cancelled_loses_nothing_that_came() -> None:
    stream, parser = asyncio.StreamReader(), _Parser()
    parser.on_connect(stream)
    stream.feed_data(b"*2\r\n$3\r\non")
    reading = asyncio.create_task(parser.read_response())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    stream.feed_data(b"e\r\n:2\r\n")
    assert await parser.read_response() == [b"one", 2]


# -- what is asked


@given(
    st.lists(st.binary(max_size=30) | st.text(max_size=20) | st.integers(0, 10**9), min_size=1, max_size=8)
)
def test_a_command_is_packed_as_redis_reads_it(command: list[Any]) -> None:
    wanted = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    assert list(read(packed(command), [])) == [wanted]


def test_an_entry_is_packed_with_its_body_as_it_is() -> None:
    body = bytes(range(256))
    message = Message(topic="t", routing_key=KITCHEN, payload=body, message_id="m_1", headers={"ü": "ö"})
    ((name, key, *rest),) = read(packed(entry(message, 1_000, "annex")), [])
    assert (name, key) == (b"XADD", b"annex:t")
    fields = dict(zip(rest[4::2], rest[5::2], strict=True))
    assert fields == {
        b"key": b"ann.kitchen.s_1",
        b"body": body,
        b"message_id": b"m_1",
        "header:ü".encode(): "ö".encode(),
    }
