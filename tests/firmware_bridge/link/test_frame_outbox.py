"""What a device gets is cut to its size, kept until taken, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frame_outbox import (
    CUT_OFF,
    MAX_DELIVERED,
    MAX_PARTIALS,
    MAX_WAITING,
    MAX_WAITING_TEXT,
    FrameOutbox,
)
from firmware_bridge.link.frames import Header, Partial, Reply, Status, TranscriptText

TEXTS = st.text(st.characters(codec="utf-8"), max_size=400)


def outbox(capacity: int = 64, max_payload: int = 2048, credit: int = 1000) -> FrameOutbox:
    box = FrameOutbox(capacity)
    box.max_payload = max_payload
    box.window.rewind(box.window.next, credit)
    return box


@given(TEXTS, st.integers(64, 300), st.text("abc", max_size=20))
def test_a_long_reply_is_split_between_characters_and_joins_again(text: str, size: int, label: str) -> None:
    box = outbox(max_payload=size)
    assert box.reply(Reply(Header(stream=3), label, text, error=True))
    parts = [frame for frame, _ in box.take(0.0)]
    assert all(isinstance(part, Reply) and len(part.to_bytes()) <= 20 + size for part in parts)
    replies = [part for part in parts if isinstance(part, Reply)]
    assert "".join(part.text for part in replies) == text
    assert [part.continued for part in replies] == [True] * (len(replies) - 1) + [False]
    assert [part.final for part in replies] == [False] * (len(replies) - 1) + [True]
    assert all(part.error and part.header.stream == 3 for part in replies)


@given(TEXTS, st.integers(64, 300))
def test_a_long_transcript_or_partial_is_cut_between_characters(text: str, size: int) -> None:
    box = outbox(max_payload=size)
    box.transcript(1, "c1", text)
    box.partial(1, text)
    for frame, _ in box.take(0.0):
        assert isinstance(frame, TranscriptText | Partial)
        assert len(frame.to_bytes()) <= 20 + size
        if frame.text == text:
            continue
        assert len(frame.to_bytes()) > 20 + size - 4
        assert text.startswith(frame.text.removesuffix(CUT_OFF))
        assert isinstance(frame, Partial) or frame.text.endswith(CUT_OFF)


def drained(box: FrameOutbox) -> list[Status | TranscriptText | Reply | Partial]:
    """Everything, as a device takes it that acknowledges at once."""
    frames: list[Status | TranscriptText | Reply | Partial] = []
    while out := box.take(0.0):
        frames += [frame for frame, _ in out]
        box.acknowledge(box.window.sent, 1000, 0.0)
    return frames


@pytest.mark.parametrize("capacity", [2, 3, 256])
def test_a_reply_that_is_longer_than_the_window_flows_through_it(capacity: int) -> None:
    box = outbox(capacity=capacity, max_payload=64)
    text = "to be or not to be " * 3449  # as long as any reply
    box.status(1, DeviceStatus.THINKING)
    assert box.reply(Reply(Header(stream=1), "c_" + 22 * "x", text))
    box.status(1, DeviceStatus.IDLE)
    assert box.window.room == 0
    first, *parts, last = drained(box)
    assert (first, last) == (
        Status(Header(stream=1), DeviceStatus.THINKING),
        Status(Header(stream=1), DeviceStatus.IDLE),
    )
    replies = [part for part in parts if isinstance(part, Reply)]
    assert "".join(part.text for part in replies) == text
    assert [part.final for part in replies] == [False] * (len(replies) - 1) + [True]
    assert [part.continued for part in replies] == [True] * (len(replies) - 1) + [False]
    assert box.delivered() == ["c_" + 22 * "x"]
    assert (box.refused, box.window.room) == (0, capacity)


def test_full_it_takes_all_of_a_reply_or_nothing() -> None:
    box = outbox(capacity=3, max_payload=64)
    fitting = MAX_WAITING_TEXT // 1000 + 1
    taken = [box.reply(Reply(Header(), f"c{number}", "x" * 1000)) for number in range(fitting + 1)]
    assert False in taken
    assert box.refused == taken.count(False)
    assert sum(len(frame.text) for frame in drained(box) if isinstance(frame, Reply)) == 1000 * taken.count(
        True
    )


def test_what_waits_is_bounded_in_number_too() -> None:
    box = outbox(capacity=3, max_payload=64)
    assert box.reply(Reply(Header(), "c1", "x" * 1000))
    taken = [box.status(1, DeviceStatus.IDLE) for _ in range(MAX_WAITING + 1)]
    assert taken == [True] * (MAX_WAITING - 1) + [False] * 2
    assert not box.transcript(1, "c1", "text")
    assert box.refused == 3
    assert sum(isinstance(frame, Status) for frame in drained(box)) == MAX_WAITING - 1


def test_with_nothing_on_its_way_a_full_window_takes_nothing() -> None:
    box = outbox(capacity=3)
    assert [box.status(1, DeviceStatus.IDLE) for _ in range(4)] == [True] * 3 + [False]
    assert not box.transcript(1, "c1", "text")
    assert not box.reply(Reply(Header(), "c1", "text"))
    assert box.refused == 3


def test_what_is_acknowledged_is_forgotten_and_replies_are_reported() -> None:
    box = outbox(max_payload=64)
    first = box.window.next
    box.status(1, DeviceStatus.THINKING)
    box.reply(Reply(Header(), "c1", "x" * 100))
    box.reply(Reply(Header(), "c2", "short"))
    box.take(0.0)
    box.acknowledge(first + 2 & 0xFFFFFFFF, 9, 0.0)
    assert box.delivered() == []
    box.acknowledge(first + 4 & 0xFFFFFFFF, 9, 0.0)
    assert box.delivered() == ["c1", "c2"]
    assert box.delivered() == []
    assert box.window.room == 64


def test_of_partials_only_the_latest_of_each_stream_is_sent_once() -> None:
    box = outbox()
    box.partial(1, "turn")
    box.partial(2, "stop")
    box.partial(1, "turn on")
    assert [(header.stream, header.sequence) for _, header in box.take(0.0)] == [(1, 0), (2, 0)]
    assert box.take(0.0) == []
    box.partial(1, "too late")
    box.drop_partials()
    assert box.take(0.0) == []


@given(TEXTS, TEXTS, st.integers(64, 300))
def test_a_partial_says_how_much_of_it_stays_also_when_it_is_cut(stable: str, rest: str, size: int) -> None:
    box = outbox(max_payload=size)
    box.partial(1, stable + rest, stable)
    [(partial, _)] = box.take(0.0)
    assert isinstance(partial, Partial)
    assert partial.stable_text == (stable if len(partial.text) > len(stable) else partial.text)
    assert partial.stable == len(partial.stable_text.encode())


def test_no_partial_comes_behind_its_transcript() -> None:
    box = outbox()
    box.partial(1, "turn on")
    box.partial(2, "stop")
    box.transcript(1, "c1", "turn on the light")
    assert [type(frame) for frame, _ in box.take(0.0)] == [TranscriptText, Partial]


def test_partials_and_reports_are_bounded() -> None:
    box = outbox(capacity=4096, credit=0xFFFF)
    assert [box.partial(stream, "text") for stream in range(MAX_PARTIALS + 1)] == [True] * MAX_PARTIALS + [
        False
    ]
    assert box.partial(0, "newer")
    for number in range(MAX_DELIVERED + 10):
        box.reply(Reply(Header(), f"c{number}", "text"))
    box.take(0.0)
    box.acknowledge(box.window.next, 9, 0.0)
    assert len(box.delivered()) == MAX_DELIVERED


def test_frames_leave_with_their_numbers() -> None:
    box = outbox()
    first = box.window.next
    box.status(5, DeviceStatus.IDLE)
    ((frame, header),) = box.take(0.0)
    assert isinstance(frame, Status)
    assert header == Header(stream=5, sequence=first)
    box.window.request(((first, first),))
    ((_, header),) = box.take(0.0)
    assert header == Header(stream=5, sequence=first, resent=True)


def test_an_id_that_leaves_no_room_for_text_is_refused() -> None:
    box = outbox(max_payload=64)
    for correlation_id in ("x" * 60, "x" * 300, "caf\N{LATIN SMALL LETTER E WITH ACUTE}"):
        assert not box.reply(Reply(Header(), correlation_id, "text"))
        assert not box.transcript(1, correlation_id, "text")
    assert box.refused == 6
    assert box.reply(Reply(Header(), "x" * 59, "text"))


def test_what_is_erased_is_told_without_its_words_in_the_same_frames() -> None:
    """What was sent and not acknowledged, and what waits for room."""
    box = outbox(2, max_payload=64)
    box.transcript(1, "c_1", "open the safe")
    box.reply(Reply(Header(stream=1), "c_1", "It is open. " * 20))
    box.reply(Reply(Header(stream=1), "c_2", "Good morning."))
    sent = box.take(0.0)
    box.blank({"c_1"})
    box.window.rewind(box.window.acknowledged, 1000)
    told = box.take(1.0)
    assert [header.sequence for _, header in told] == [header.sequence for _, header in sent]
    box.acknowledge(box.window.next, 1000, 1.0)
    told += box.take(2.0)
    texts = [(one.correlation_id, one.text) for one, _ in told if not isinstance(one, Status | Partial)]
    assert texts == [("c_1", ""), ("c_1", ""), ("c_1", ""), ("c_2", "Good morning.")]
