"""Steps out of what the journal has: in order, each with its own time, and no word that was not asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.trace.steps import speech_ended_at, steps_of
from gateway.contract.messages import AudioFacts, Timings
from gateway.journal.life import Life
from gateway.journal.records import HistoryReply, HistoryRow, RequestState
from tests.gateway.journal.rows import dead, letter, remembered, request, utterance

MS = st.floats(0, 60_000, allow_nan=False)
SECRET = "the code is 1234"


def life(row: HistoryRow | None = None, **facts: object) -> Life:
    return Life(utterance_id="u_1", correlation_id="c_1", remembered=row, **facts)  # type: ignore[arg-type]


@given(MS, MS, MS, MS, st.floats(0.01, 30))
def test_steps_are_in_order_whatever_took_how_long(
    endpoint: float, queue: float, recognize: float, publish: float, seconds: float
) -> None:
    row = remembered(
        spoken_at=1_000.0,
        audio=AudioFacts(seconds=seconds),
        timings=Timings(
            endpoint_ms=endpoint, queue_ms=queue, recognize_ms=recognize, text_ms=endpoint + queue + recognize
        ),
        publish_ms=publish,
        reply=HistoryReply(agent="lights", text_to_reply_ms=publish + 5),
        speech_to_reply_ms=endpoint + queue + recognize + publish + 10,
    )
    steps = steps_of(life(row), words=False)
    assert all(one.at <= other.at for one, other in pairwise(steps))
    by_stage = {step.stage: step for step in steps}
    assert by_stage["delivered"] is steps[-1]
    zero = speech_ended_at(life(row))
    assert by_stage["endpoint"].at == zero
    assert by_stage["recognizer"].at == pytest.approx(zero + (endpoint + queue) / 1000)
    assert by_stage["queue"].at == pytest.approx(zero + endpoint / 1000)


@pytest.mark.parametrize(
    "row",
    [
        remembered(text=SECRET, reply=HistoryReply(text=SECRET, agent="a")),
        remembered(text="", reply=HistoryReply(text=SECRET), is_announcement=True),
        remembered(text=SECRET, audio=AudioFacts(seconds=0.0)),
    ],
)
def test_words_are_shown_to_who_asks_for_them_alone(row: HistoryRow) -> None:
    assert SECRET not in str(steps_of(life(row), words=False))
    assert SECRET in str(steps_of(life(row), words=True))


@pytest.mark.parametrize(
    ("row", "stage", "says"),
    [
        (remembered(success=False, error="the engine died", text=""), "recognizer", "no text: the engine died"),
        (remembered(text=""), "recognizer", "nothing was said"),
        (remembered(reply=HistoryReply(fallback=True)), "answered", "by nobody in time: the fallback"),
        (remembered(reply=HistoryReply(error="no")), "answered", "it failed: no"),
        (remembered(reply=HistoryReply(agent="a", cached=True)), "answered", "by a as before"),
        (remembered(audio=AudioFacts(seconds=2.0, gaps=2, lost_ms=40.0)), "heard", "2.00 s, 40 ms lost in 2 gaps"),
        (remembered(audio=AudioFacts(seconds=0.0)), "typed", "en"),
    ],
)  # fmt: skip
def test_how_each_stage_ended_is_said(row: HistoryRow, stage: str, says: str) -> None:
    assert {step.stage: step.says for step in steps_of(life(row), words=False)}[stage] == says


def test_an_announcement_was_said_by_nobody() -> None:
    row = remembered(is_announcement=True, spoken_at=1_000.0, speech_to_reply_ms=250.0)
    steps = steps_of(life(row), words=False)
    assert [(step.stage, step.at) for step in steps] == [("announced", 1_000.0), ("delivered", 1_000.25)]
    assert speech_ended_at(life(row)) == 0.0


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"state": RequestState.OPEN}, "an answer is awaited, for 30 s at most"),
        ({"state": RequestState.DONE, "due": True}, "answered; its device has yet to take it"),
        ({"state": RequestState.DONE}, "answered"),
        ({"state": RequestState.EXPIRED}, "nobody answered in time"),
        ({"state": RequestState.CANCELLED}, "withdrawn"),
    ],
)
def test_a_request_says_what_it_waits_for(facts: dict[str, object], says: str) -> None:
    [step] = steps_of(life(request=request(**facts)), words=False)
    assert (step.stage, step.says) == ("asked", says)


def test_what_is_over_and_remembered_is_not_told_twice() -> None:
    row = remembered(reply=HistoryReply(agent="a", text_to_reply_ms=5))
    ended = request(state=RequestState.DONE)
    assert [step.stage for step in steps_of(life(row, request=ended), words=False)].count("asked") == 1
    still_due = request(state=RequestState.DONE, due=True)
    assert [step.stage for step in steps_of(life(row, request=still_due), words=False)].count("asked") == 2


def test_what_waits_and_what_was_put_away() -> None:
    found = life(
        unheard=utterance(attempts=2),
        letters=(letter(7, agent="lights", topic="agent.requests"),),
        dead=(dead(reason="poison", number=3),),
    )
    says = {step.stage: step.says for step in steps_of(found, words=False)}
    assert says == {
        "queue": "it has no text yet, begun 2 times",
        "outbox": "agent.requests for lights waits for the broker",
        "put away": "poison (earshot dlq show 3)",
    }
    assert life().is_empty
    assert not found.is_empty
