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
from firmware_bridge.link.reply_texts import ReplyTexts

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


def piece(text: str, label: str = "c_1", *, whole: bool = False) -> Reply:
    return Reply(Header(stream=1), label, text, final=False, whole=whole)


def growing(capacity: int = 64, max_payload: int = 2048, credit: int = 1000) -> FrameOutbox:
    """Of a device that wants pieces."""
    box = outbox(capacity, max_payload, credit)
    box.wants_pieces = True
    return box


def taken(box: FrameOutbox, credit: int) -> list[Reply]:
    """All replies, as a device takes them that acknowledges each turn's, and gives so much credit."""
    replies: list[Reply] = []
    while out := box.take(0.0):
        assert len(out) <= credit
        replies += [frame for frame, _ in out if isinstance(frame, Reply)]
        box.acknowledge(box.window.sent, credit, 0.0)
    return replies


def test_a_piece_leaves_at_once_where_there_is_credit() -> None:
    box = growing()
    for word, is_first in (("It ", True), ("is ", False), ("noon.", False)):
        assert box.reply(piece(word, whole=is_first), grows=True)
        assert [frame for frame, _ in box.take(0.0)] == [piece(word, whole=is_first)]


def test_pieces_that_wait_for_credit_are_one_frame() -> None:
    box = growing(credit=1)
    words = [f"{number} " for number in range(10_000)]
    assert box.reply(piece(words[0], whole=True), grows=True)
    (first,) = box.take(0.0)
    for word in words[1:]:
        assert box.reply(piece(word), grows=True)
    assert box.take(0.0) == []
    assert box.window.next == first[1].sequence + 1 & 0xFFFFFFFF, "nothing more has a number yet"
    box.acknowledge(box.window.sent, 2, 0.0)
    assert box.reply(Reply(Header(stream=1), "c_1", "and so on"))
    rest = taken(box, 2)
    assert "".join(frame.text for frame in rest) == "".join(words[1:]) + "and so on"
    assert len(rest) == 24, "as few as there can be of 2048 bytes"
    assert [frame.final for frame in rest] == [False] * (len(rest) - 1) + [True]
    assert box.refused == 0


def test_a_piece_that_is_longer_than_a_frame_goes_on_growing() -> None:
    box = growing(max_payload=64, credit=1)
    assert box.reply(piece("x" * 100, whole=True), grows=True)
    ((first, _),) = box.take(0.0)
    assert first == piece("x" * 60, whole=True)
    assert box.reply(piece("y" * 10), grows=True)
    box.acknowledge(box.window.sent, 1, 0.0)
    assert taken(box, 1) == [piece("x" * 40 + "y" * 10)]


def test_what_else_is_told_keeps_its_place_among_the_pieces() -> None:
    box = growing(credit=0)
    other = Reply(Header(stream=2), "c_2", "The light is on.", whole=True)
    for frame in (piece("It ", whole=True), piece("is "), other, piece("no"), piece("on.")):
        assert box.reply(frame, grows=not frame.final)
        if frame.text == "is ":
            assert box.status(1, DeviceStatus.THINKING)
    box.acknowledge(box.window.acknowledged, 100, 0.0)
    told = [frame for frame, _ in box.take(0.0)]
    assert told == [
        piece("It is ", whole=True),
        Status(Header(stream=1), DeviceStatus.THINKING),
        other,
        piece("noon."),
    ]


def test_replies_that_grow_side_by_side_are_joined_each_to_its_own() -> None:
    box = growing(credit=0)
    for number in range(1_000):
        for label in ("c_1", "c_2"):
            assert box.reply(piece(f"{number}", label, whole=not number), grows=True)
    box.acknowledge(box.window.acknowledged, 100, 0.0)
    text = "".join(map(str, range(1_000)))
    told = taken(box, 100)
    assert {
        label: "".join(one.text for one in told if one.correlation_id == label) for label in ("c_1", "c_2")
    } == {
        "c_1": text,
        "c_2": text,
    }
    assert len(told) == 4


def test_the_end_takes_with_it_what_waits_and_a_whole_one_its_place() -> None:
    box = growing(credit=0)
    box.reply(piece("It is ", whole=True), grows=True)
    assert box.reply(Reply(Header(stream=1), "c_1", "noon.", error=True))
    box.reply(piece("Let me s", "c_2", whole=True), grows=True)
    box.status(1, DeviceStatus.IDLE)
    assert box.reply(Reply(Header(stream=1), "c_2", "Nobody is there.", fallback=True, whole=True))
    box.acknowledge(box.window.acknowledged, 100, 0.0)
    told = taken(box, 100)
    assert told[0] == Reply(Header(stream=1), "c_1", "It is noon.", error=True, whole=True)
    assert told[-1] == Reply(Header(stream=1), "c_2", "Nobody is there.", fallback=True, whole=True)


def test_a_whole_one_supersedes_what_waits_but_no_end() -> None:
    box = growing(capacity=2, max_payload=64, credit=0)
    assert box.reply(Reply(Header(stream=1), "c_1", "y" * 150, final=False, whole=True))
    assert box.reply(Reply(Header(stream=1), "c_1", "z" * 200, final=False, whole=True))
    assert box.reply(Reply(Header(stream=1), "c_1", "x" * 200, whole=True))
    assert box.reply(piece("too late", whole=True), grows=True)
    box.acknowledge(box.window.acknowledged, 100, 0.0)
    texts, shown = ReplyTexts(pieces=True), []
    for frame in taken(box, 100):
        reply = texts.take(frame)
        shown += [] if reply is None else [(reply.text, reply.final)]
    assert ("x" * 200, True) in shown
    assert ("z" * 200, False) not in shown


def test_a_full_outbox_takes_no_piece_and_one_that_waits_no_more_than_there_is_room_for() -> None:
    box = growing(capacity=2)
    assert [box.status(1, DeviceStatus.IDLE) for _ in range(2)] == [True] * 2
    assert not box.reply(piece("x", whole=True), grows=True)
    box = growing(credit=0)
    chunk = "x" * 1024
    taken_in = [box.reply(piece(chunk), grows=True) for _ in range(MAX_WAITING_TEXT // 1024 + 1)]
    assert taken_in == [True] * (MAX_WAITING_TEXT // 1024) + [False]
    labels = [f"c_{number}" for number in range(MAX_WAITING + 1)]
    box = growing(credit=0)
    assert [box.reply(piece("x", label), grows=True) for label in labels] == [True] * MAX_WAITING + [False]
    assert box.reply(piece("more", labels[0]), grows=True), "it is no more of them"


def test_pieces_that_are_erased_are_taken_back() -> None:
    box = growing(credit=1)
    box.reply(piece("The safe ", whole=True), grows=True)
    box.take(0.0)
    box.reply(piece("is open"), grows=True)
    box.blank({"c_1"})
    box.reply(Reply(Header(stream=1), "c_1", "Sorry.", error=True, whole=True))
    box.window.rewind(box.window.acknowledged, 100)
    told = taken(box, 100)
    assert [frame.text for frame in told] == ["", "Sorry."]
    assert all(frame.whole for frame in told)
    box.reply(piece("", "c_2", whole=True), grows=True)
    box.reply(Reply(Header(stream=1), "c_2", " it is open."))
    box.blank({"c_2"})
    assert [(frame.text, frame.whole, frame.final) for frame in taken(box, 100)] == [("", True, True)]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=60), st.sampled_from("pppwse")), max_size=60),
    st.integers(64, 100),
    st.integers(1, 3),
    st.data(),
)
def test_whatever_is_told_the_device_shows_beginnings_of_it_and_its_end(
    acts: list[tuple[str, str, str]], size: int, credit: int, data: st.DataObject
) -> None:
    """Pieces, whole ones, statuses and ends of two replies, for a device that takes them when it likes."""
    box, texts = growing(capacity=8, max_payload=size, credit=credit), ReplyTexts(pieces=True)
    told, were, shown, ended = dict.fromkeys("ab", ""), {"a": {""}, "b": {""}}, dict.fromkeys("ab", ""), set()

    def device_takes() -> None:
        for frame, _ in box.take(0.0):
            if isinstance(frame, Reply) and (reply := texts.take(frame)) is not None:
                assert any(was.startswith(reply.text) for was in were[reply.correlation_id])
                shown[reply.correlation_id] = reply.text
        box.acknowledge(box.window.sent, credit, 0.0)

    for label, text, what in acts:
        if what == "s":
            box.status(1, DeviceStatus.THINKING)
        elif label not in ended:
            whole, final = what == "w" or not told[label], what == "e"
            if not box.reply(Reply(Header(), label, text, final=final, whole=whole), grows=what == "p"):
                continue
            told[label] = text if whole else told[label] + text
            were[label].add(told[label])
            ended |= {label} if final else set()
        if data.draw(st.booleans()):
            device_takes()
    while box.window.acknowledged != box.window.next or box._waiting:
        device_takes()
    assert shown == told
