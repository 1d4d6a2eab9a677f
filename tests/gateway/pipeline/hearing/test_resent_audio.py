"""Streams that were heard before: each comes back once, as what it was, and only so many of them are remembered."""

from __future__ import annotations

import pytest

from gateway.journal.records import StreamRow
from gateway.pipeline.hearing.resent_audio import FormerStreams
from gateway.pipeline.sessions.names import StreamName
from gateway.pipeline.sessions.session import Session, SessionRegistry
from gateway.settings.sessions import SessionSettings


def row(name: StreamName, *, ended: bool = False, end_on_silence: bool = True) -> StreamRow:
    return StreamRow(
        **name._asdict(), session_id="s_1", user_id="ann", begun=1, end_on_silence=end_on_silence, ended=ended
    )


def session(name: StreamName, *, end_on_silence: bool = True) -> Session:
    registry = SessionRegistry(SessionSettings())
    return registry.open(name, "ann", end_on_silence=end_on_silence, now=0.0)


FIRST, SECOND, THIRD = (StreamName("kitchen", 7, number) for number in (1, 2, 3))


def test_a_stream_that_goes_on_is_a_former_one_no_more() -> None:
    former = FormerStreams(9)
    former.remember(row(FIRST))
    assert former.left(FIRST) == row(FIRST)
    former.goes_on(FIRST)
    assert former.left(FIRST) is None
    assert former.begins_anew(FIRST) is None


@pytest.mark.parametrize("end_on_silence", [False, True])
def test_more_of_a_stream_that_had_ended_begins_anew_once(end_on_silence: bool) -> None:  # noqa: FBT001
    former = FormerStreams(9)
    former.remember(row(FIRST, ended=True, end_on_silence=end_on_silence))
    former.lapse(session(SECOND, end_on_silence=end_on_silence))
    assert former.begins_anew(FIRST) is None, "as long as nothing new of it comes"
    former.goes_on(FIRST)
    for name in (FIRST, SECOND):
        assert former.begins_anew(name) is end_on_silence
        assert former.begins_anew(name) is None


def test_of_those_that_lapsed_the_first_is_forgotten() -> None:
    former = FormerStreams(2)
    for name in (FIRST, SECOND, THIRD):
        former.lapse(session(name))
    assert list(former.lapsed) == [SECOND, THIRD]


def test_of_a_device_that_was_switched_off_only_the_present_boot_is_remembered() -> None:
    former, other = FormerStreams(9), StreamName("hall", 6, 1)
    for name in (FIRST, other, StreamName("kitchen", 8, 1)):
        former.remember(row(name))
        former.lapse(session(name))
    former.forget_boots_before("kitchen", 8)
    assert former.left(FIRST) is None
    assert former.left(other) is not None
    assert list(former.lapsed) == [other, StreamName("kitchen", 8, 1)]
