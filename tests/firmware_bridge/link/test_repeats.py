"""What comes again after a restart of the gateway is shown once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frames import Header, Reply, Status, TranscriptText
from firmware_bridge.link.repeats import REMEMBERED, Repeats


def reply(label: str, *, final: bool = True, continued: bool = False) -> Reply:
    return Reply(Header(stream=1), label, "text", final=final, continued=continued)


def transcript(label: str) -> TranscriptText:
    return TranscriptText(Header(stream=1), label, "text")


def test_a_transcript_and_the_reply_to_it_are_each_shown_once() -> None:
    repeats = Repeats()
    frames = (transcript("c_1"), reply("c_1"))
    assert [repeats.is_new(frame) for frame in (*frames, *frames)] == [True, True, False, False]
    assert repeats.dropped == 2


def test_all_parts_of_a_reply_belong_to_it_until_its_last() -> None:
    repeats = Repeats()
    parts = (reply("c_1", final=False, continued=True), reply("c_1", final=False), reply("c_1"))
    assert [repeats.is_new(part) for part in parts] == [True, True, True]
    assert [repeats.is_new(part) for part in parts] == [False, False, False]


def test_a_status_may_always_come_again() -> None:
    repeats = Repeats()
    status = Status(Header(stream=1), DeviceStatus.THINKING)
    assert [repeats.is_new(status) for _ in range(3)] == [True] * 3


def test_a_device_remembers_a_bounded_number() -> None:
    repeats = Repeats()
    for i in range(REMEMBERED + 1):
        assert repeats.is_new(reply(f"c_{i}"))
    assert repeats.is_new(reply("c_0")), "it was forgotten"
    assert not repeats.is_new(reply(f"c_{REMEMBERED}"))


@given(st.lists(st.integers(0, REMEMBERED - 1), max_size=100))
def test_within_what_it_remembers_nothing_is_shown_twice(labels: list[int]) -> None:
    repeats = Repeats()
    shown = [label for label in labels if repeats.is_new(reply(f"c_{label}"))]
    assert len(shown) == len(set(shown)) == len(set(labels))
    assert repeats.dropped == len(labels) - len(shown)
