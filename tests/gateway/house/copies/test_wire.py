"""What two gateways tell each other of a journal: there and back, and what is no such thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.messages import MESSAGE_BYTES, BadMessage
from gateway.house.copies.wire import (
    PART_BYTES,
    BatchCopied,
    CopyPart,
    decode_copied,
    decode_part,
    encode,
    pack,
    pieces,
    unpack,
)
from gateway.journal import effects as e
from gateway.journal.records import RequestState
from tests.gateway.journal.rows import agent, letter, remembered, request, stream, turn, utterance

EFFECTS: tuple[e.Effect, ...] = (
    e.CopyTaken((("agent", "m1"),)),
    e.StreamOpened(stream()),
    e.Heard(utterance(audio=b"\1\2" * 1000), again=True),
    e.Queued(letter(3, headers={"a": "b"})),
    e.Asked(request(state=RequestState.DONE, due=True, text="yes")),
    e.AgentMoved(agent()),
    e.TurnSaid(turn(), 5),
    e.Remembered(remembered()),
    e.RequestEnded("c_1", RequestState.EXPIRED, error="nobody"),
)


def test_commits_come_as_they_were_made() -> None:
    commits = [EFFECTS, (e.Published(1),), ()]
    assert unpack(pack(commits)) == commits


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    for decode in (decode_part, decode_copied, unpack):
        try:
            decode(data)
        except BadMessage:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x91" * 100_000, encode([[("Heard", 1)]]), encode([[("Heard",)]])]
)
def test_what_is_no_commit_says_so(data: bytes) -> None:
    with pytest.raises(BadMessage):
        unpack(data)


def test_what_only_a_later_version_knows_is_named() -> None:
    with pytest.raises(BadMessage, match="not known here: 'Dreamt'"):
        unpack(encode([[("Dreamt", ["u_1"])]]))


def test_words_that_are_too_large_or_strange_are_refused() -> None:
    with pytest.raises(BadMessage, match="more than"):
        decode_part(bytes(MESSAGE_BYTES + 1))
    for part in (
        {"gateway": "a b", "copy": "c", "number": 1},
        {"gateway": "a", "copy": "c", "number": -1},
        {"gateway": "a", "copy": "c", "number": 1, "parts": 0},
        {"gateway": "a", "copy": "c", "number": 1, "part": 1 << 20},
    ):
        with pytest.raises(BadMessage):
            decode_part(encode(part))
    with pytest.raises(BadMessage):
        decode_copied(encode({"gateway": "a", "copy": "c", "number": 1, "reason": "x" * 5_000}))


def test_words_there_and_back() -> None:
    part = CopyPart(gateway="kitchen", copy="copy1", number=4, part=1, parts=3, data=b"\0\1")
    assert decode_part(encode(part)) == part
    told = BatchCopied(gateway="attic", copy="copy1", number=4, reason="its disk is full")
    assert decode_copied(encode(told)) == told


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES - 1])
def test_what_is_large_travels_in_parts(size: int) -> None:
    data = b"x" * size
    parts = list(pieces(data))
    assert b"".join(parts) == data
    assert len(parts) == max(1, -(-size // PART_BYTES))
    assert max(map(len, parts)) <= PART_BYTES
