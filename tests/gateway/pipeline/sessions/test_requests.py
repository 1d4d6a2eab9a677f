"""Requests and replies: every request ends exactly once, and memory is bounded."""

from __future__ import annotations

import gc
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.contract.messages import OrchestratorReply
from gateway.journal.records import RequestState
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.sessions.requests import (
    LIVE,
    MAX_RECENT_IDS,
    MAX_TEXT_BYTES,
    TRANSITIONS,
    AlreadyRegistered,
    AnswerState,
    CorrelationTracker,
    Duplicate,
    Forged,
    Late,
    Outcome,
    PendingRequest,
    RequestEvent,
    Routed,
    TrackerFull,
    Unknown,
)

LATE_SECONDS = 60.0


def new_tracker(max_pending: int = 100) -> CorrelationTracker:
    return CorrelationTracker(max_pending=max_pending, late_seconds=LATE_SECONDS)


def request(
    name: str = "c_1", *, session: str = "s_1", at: float = 0.0, seconds: float = 30.0
) -> PendingRequest:
    utterance = UtteranceName(session, "ann", StreamName("kitchen", 7, 1), f"u_{name}", name)
    return PendingRequest(utterance, published_at=at, deadline=at + seconds)


_ids = itertools.count()


def reply(
    text: str = "",
    *,
    to: str = "c_1",
    session: str = "s_1",
    final: bool = True,
    error: str | None = None,
    message_id: str | None = None,
) -> OrchestratorReply:
    if message_id is None:
        message_id = f"m_{next(_ids)}"
    return OrchestratorReply(
        correlation_id=to, session_id=session, text=text, final=final, error=error, message_id=message_id
    )


# -- the table


def test_the_table_names_every_step_of_a_live_request_and_none_of_an_ended_one() -> None:
    live = {AnswerState.OPEN, AnswerState.PARTIAL}
    assert set(TRANSITIONS) == set(itertools.product(live, RequestEvent))
    assert live == LIVE


# -- the ways of a request


def test_a_whole_reply_ends_the_request() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    assert tracker.state("c_1") is AnswerState.OPEN
    assert tracker.route(reply("Done."), 1.0) == Routed(request(), "Done.", final=True, error=None)
    assert tracker.state("c_1") is AnswerState.DONE
    assert tracker.live == 0
    assert tracker.expire(1000.0) == []


def test_a_reply_comes_in_pieces() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    pieces = [tracker.route(reply(text, final=False), 1.0) for text in ("It is ", "", "noon")]
    assert pieces == [Routed(request(), text, final=False, error=None) for text in ("It is ", "", "noon")]
    assert tracker.state("c_1") is AnswerState.PARTIAL
    assert tracker.route(reply(""), 2.0) == Routed(request(), "It is noon", final=True, error=None)


def test_the_final_text_when_there_is_one_is_the_whole_reply() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply("It isn't ", final=False), 1.0)
    assert tracker.route(reply("It is noon"), 2.0) == Routed(request(), "It is noon", final=True, error=None)


@pytest.mark.parametrize("final", [True, False])
def test_an_error_ends_the_request_as_failed(*, final: bool) -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply("It is", final=False), 1.0)
    outcome = tracker.route(reply(error="no clock", final=final), 2.0)
    assert outcome == Routed(request(), "It is", final=True, error="no clock")
    assert (tracker.counters.done, tracker.counters.failed) == (1, 1)


def test_without_a_reply_it_expires_once() -> None:
    tracker = new_tracker()
    tracker.register(request("c_2", seconds=20.0), 0.0)
    tracker.register(request("c_1", seconds=10.0), 0.0)
    assert tracker.expire(9.99) == []
    assert tracker.expire(10.0) == [request("c_1", seconds=10.0)]
    assert tracker.expire(20.0) == [request("c_2", seconds=20.0)]
    assert tracker.expire(30.0) == []
    assert tracker.counters.expired == 2


def test_a_partial_reply_expires_too() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply("It is", final=False), 29.0)
    assert tracker.expire(30.0) == [request()]
    assert tracker.state("c_1") is AnswerState.EXPIRED


def test_a_request_is_cancelled_once_and_alone() -> None:
    tracker = new_tracker()
    for name in ("c_1", "c_2", "c_3"):
        tracker.register(request(name), 0.0)
    tracker.route(reply("done", to="c_1"), 1.0)
    assert [tracker.cancel(name, 2.0) for name in ("c_1", "c_2", "c_2", "c_9")] == [False, True, False, False]
    assert tracker.state("c_2") is AnswerState.CANCELLED
    assert tracker.state("c_3") is AnswerState.OPEN
    assert (tracker.live, tracker.counters.cancelled) == (1, 1)
    assert tracker.expire(1000.0) == [request("c_3")]


# -- replies that nobody waits for


def test_a_reply_to_nothing_is_unknown() -> None:
    tracker = new_tracker()
    assert tracker.route(reply(to="c_9"), 0.0) == Unknown("c_9")
    assert tracker.counters.unknown == 1


def test_a_reply_after_the_end_is_late_until_it_is_forgotten() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.expire(30.0)
    assert tracker.route(reply("late"), 30.0 + LATE_SECONDS - 0.1) == Late(
        request(), AnswerState.EXPIRED, "late"
    )
    assert tracker.route(reply("later"), 30.0 + LATE_SECONDS) == Unknown("c_1")
    assert len(tracker) == 0


@pytest.mark.parametrize("in_time", ["", "It is "])
def test_of_an_answer_that_streams_too_late_the_end_has_all_of_it(in_time: str) -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply(in_time, final=False), 29.0)
    tracker.expire(30.0)
    pieces = [tracker.route(reply(text, final=False), 31.0) for text in ("noon", ".")]
    assert pieces == [Late(request(), AnswerState.EXPIRED, text) for text in ("noon", ".")]
    assert tracker.route(reply(""), 32.0) == Late(request(), AnswerState.EXPIRED, f"{in_time}noon.")
    assert tracker.route(reply(""), 33.0) == Late(request(), AnswerState.EXPIRED, "")


def test_of_a_request_that_was_taken_over_not_all_is_known() -> None:
    tracker = new_tracker()
    tracker.register(request("c_1"), 0.0)
    tracker.restore(request("c_2"), "It is", 0.0, AnswerState.OPEN)
    assert [tracker.knows_all_of(name) for name in ("c_1", "c_2", "c_3")] == [True, False, False]


def test_a_second_agents_answer_is_late_and_the_first_ones_again_a_duplicate() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply("mine", message_id="m_mine"), 1.0)
    assert tracker.route(reply("mine", message_id="m_mine"), 2.0) == Duplicate(request())
    assert tracker.route(reply("yours", message_id="m_yours"), 2.0) == Late(
        request(), AnswerState.DONE, "yours"
    )
    assert tracker.route(reply("mine", message_id=""), 2.0) == Duplicate(request())
    assert (tracker.counters.late, tracker.counters.duplicate) == (1, 2)


def test_a_piece_that_comes_twice_is_kept_once() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    piece = reply("once ", final=False, message_id="m_piece")
    tracker.route(piece, 1.0)
    assert tracker.route(piece, 1.0) == Duplicate(request())
    for number in range(MAX_RECENT_IDS):
        tracker.route(reply(final=False, message_id=f"other_{number}"), 1.0)
    assert tracker.route(reply(), 2.0) == Routed(request(), "once ", final=True, error=None)


def test_pieces_without_an_id_are_all_kept() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    for _ in range(2):
        tracker.route(reply("ha", final=False, message_id=""), 1.0)
    assert tracker.route(reply(message_id=""), 1.0) == Routed(request(), "haha", final=True, error=None)


def test_a_reply_for_another_session_is_forged_and_changes_nothing() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    forged = reply("open the door", session="s_2", message_id="m_1")
    assert tracker.route(forged, 1.0) == Forged(request(), "s_2")
    assert tracker.state("c_1") is AnswerState.OPEN
    real = reply("real", message_id="m_1")  # a forger cannot spoil an id either
    assert tracker.route(real, 1.0) == Routed(request(), "real", final=True, error=None)
    assert tracker.route(forged, 1.0) == Forged(request(), "s_2")
    assert tracker.counters.forged == 2


# -- bounds


def test_the_text_of_a_reply_is_bounded() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply("x" * (MAX_TEXT_BYTES - 3), final=False), 1.0)
    cut = tracker.route(reply("öäü", final=False), 1.0)  # two bytes each: one fits whole
    assert cut == Routed(request(), "ö", final=False, error=None)
    end = tracker.route(reply(), 1.0)
    assert isinstance(end, Routed)
    assert end.text == "x" * (MAX_TEXT_BYTES - 3) + "ö"
    assert tracker.counters.truncated == 1


@given(st.lists(st.text(), max_size=5), st.text(max_size=40), st.integers(0, 40))
def test_text_is_kept_in_whole_characters(pieces: list[str], last: str, room: int) -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    tracker.route(reply("x" * (MAX_TEXT_BYTES - room), final=False), 1.0)
    texts = []
    for piece in [*pieces, last]:
        outcome = tracker.route(reply(piece, final=False), 1.0)
        assert isinstance(outcome, Routed)
        assert piece.startswith(outcome.text)
        texts.append(outcome.text)
    end = tracker.route(reply(), 1.0)
    assert isinstance(end, Routed)
    assert end.text == "x" * (MAX_TEXT_BYTES - room) + "".join(texts)
    assert len(end.text.encode()) <= MAX_TEXT_BYTES


def test_an_id_is_registered_once() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    with pytest.raises(AlreadyRegistered):
        tracker.register(request(session="s_2"), 0.0)
    tracker.route(reply(), 1.0)
    with pytest.raises(AlreadyRegistered):
        tracker.register(request(), 1.0)


def test_a_full_tracker_forgets_what_ended_first_and_then_refuses() -> None:
    tracker = new_tracker(max_pending=3)
    for name in ("c_1", "c_2", "c_3"):
        tracker.register(request(name), 0.0)
    tracker.route(reply(to="c_2"), 1.0)
    tracker.route(reply(to="c_1"), 2.0)
    tracker.register(request("c_4"), 3.0)
    assert tracker.route(reply(to="c_2"), 3.0) == Unknown("c_2")
    assert isinstance(tracker.route(reply(to="c_1"), 3.0), Late)
    tracker.register(request("c_5"), 3.0)
    with pytest.raises(TrackerFull, match="3 requests"):
        tracker.register(request("c_6"), 3.0)
    assert (len(tracker), tracker.counters.refused, tracker.counters.forgotten_early) == (3, 1, 2)


def test_an_id_that_was_forgotten_can_come_again_without_the_old_deadline() -> None:
    tracker = new_tracker(max_pending=1)
    tracker.register(request("c_1", seconds=10.0), 0.0)
    tracker.route(reply(to="c_1"), 1.0)
    tracker.register(request("c_2"), 1.0)
    tracker.route(reply(to="c_2"), 1.0)
    tracker.register(request("c_1", at=2.0, seconds=100.0), 2.0)
    assert tracker.expire(101.9) == []
    assert tracker.expire(102.0) == [request("c_1", at=2.0, seconds=100.0)]


@pytest.mark.slow
def test_memory_is_flat_under_load() -> None:
    tracker = new_tracker(max_pending=200)

    def load(first: int) -> int:
        for number in range(first, first + 3000):
            now = number * 0.01
            tracker.register(request(f"c_{number}", at=now, seconds=1e6), now)
            tracker.route(reply("some text", to=f"c_{number}", final=False), now)
            tracker.route(reply(to=f"c_{number}"), now)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        load(0)
        before = load(3000)
        assert load(6000) - before < 20_000
    finally:
        tracemalloc.stop()


# -- any order of anything


class Requests(RuleBasedStateMachine):
    """Ends are counted by what the tracker tells its owner, never by asking for the state."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tracker = new_tracker(max_pending=6)
        self.sessions: dict[str, str] = {}
        self.ends: dict[str, list[AnswerState]] = {}
        self.texts: dict[str, str] = {}
        self.refused = 0

    def ended(self, requests: list[PendingRequest], state: AnswerState) -> None:
        for one in requests:
            self.ends[one.correlation_id].append(state)

    @rule(session=st.sampled_from(["s_1", "s_2"]), seconds=st.sampled_from([1.0, 5.0, 100.0]))
    def register(self, session: str, seconds: float) -> None:
        name = f"c_{len(self.sessions) + self.refused}"
        live = sum(not ends for ends in self.ends.values())
        if live == 6:
            self.refused += 1
            with pytest.raises(TrackerFull):
                self.tracker.register(request(name, session=session), self.now)
            return
        self.tracker.register(request(name, session=session, at=self.now, seconds=seconds), self.now)
        self.sessions[name], self.ends[name], self.texts[name] = session, [], ""

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), text=st.text(max_size=3), final=st.booleans(), forged=st.booleans())
    def answer(self, *, data: st.DataObject, text: str, final: bool, forged: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.sessions)))
        session = "s_forged" if forged else self.sessions[name]
        outcome = self.tracker.route(reply(text, to=name, session=session, final=final), self.now)
        if isinstance(outcome, Unknown):
            assert self.ends[name]
        elif forged:
            assert isinstance(outcome, Forged)
        elif self.ends[name]:
            late = self.texts[name] + text if not final else text or self.texts[name]
            assert outcome == Late(outcome.request, self.ends[name][0], late if final else text)
            self.texts[name] = "" if final else late
        else:
            self.routed(name, text, outcome)

    def routed(self, name: str, text: str, outcome: Outcome) -> None:
        assert isinstance(outcome, Routed)
        if outcome.final:
            assert outcome.text == (text or self.texts[name])
            self.ended([outcome.request], AnswerState.DONE)
            self.texts[name] = ""
        else:
            self.texts[name] += text
            assert outcome.text == text

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.sessions, "c_none"]))
        asked, was_open = self.tracker.request(name), self.tracker.state(name) in LIVE
        assert self.tracker.cancel(name, self.now) == was_open
        if asked is not None and was_open:
            self.ended([asked], AnswerState.CANCELLED)
            self.texts[name] = ""

    def is_due(self, name: str) -> bool:
        asked = self.tracker.request(name)
        return asked is not None and self.tracker.state(name) in LIVE and asked.deadline <= self.now

    @rule(seconds=st.sampled_from([0.5, 3.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = {name for name in self.sessions if self.is_due(name)}
        expired = self.tracker.expire(self.now)
        assert {one.correlation_id for one in expired} == due, "whatever is due, and nothing else"
        assert [one.deadline for one in expired] == sorted(one.deadline for one in expired)
        self.ended(expired, AnswerState.EXPIRED)

    @invariant()
    def every_request_has_at_most_one_end_and_the_table_agrees(self) -> None:
        for name, ends in self.ends.items():
            assert len(ends) <= 1
            state = self.tracker.state(name)
            assert state in LIVE if not ends else state in (ends[0], None)

    @invariant()
    def the_figures_add_up(self) -> None:
        counters, tracker = self.tracker.counters, self.tracker
        assert tracker.live == sum(not ends for ends in self.ends.values())
        assert counters.registered == tracker.live + counters.done + counters.expired + counters.cancelled
        assert tracker.live <= len(tracker) <= 6
        assert counters.refused == self.refused

    def teardown(self) -> None:
        self.now += 1000.0
        self.ended(self.tracker.expire(self.now), AnswerState.EXPIRED)
        assert all(len(ends) == 1 for ends in self.ends.values())
        assert self.tracker.live == 0


TestRequests = Requests.TestCase


# -- over a restart


def test_an_open_request_is_taken_over_with_its_answer_so_far() -> None:
    tracker = new_tracker()
    tracker.restore(request(), "one, ", 10.0, AnswerState.OPEN)
    assert tracker.state("c_1") is AnswerState.PARTIAL
    outcome = tracker.route(reply("", message_id="r_9"), 11.0)
    assert isinstance(outcome, Routed)
    assert (outcome.text, outcome.final) == ("one, ", True)


def test_a_request_that_nobody_has_answered_yet_is_taken_over_open() -> None:
    tracker = new_tracker()
    tracker.restore(request(seconds=30), "", 10.0, AnswerState.OPEN)
    assert tracker.state("c_1") is AnswerState.OPEN
    assert [one.correlation_id for one in tracker.expire(31.0)] == ["c_1"]


@pytest.mark.parametrize("state", [AnswerState.DONE, AnswerState.EXPIRED, AnswerState.CANCELLED])
def test_a_request_that_has_ended_is_taken_over_for_those_who_come_late(state: AnswerState) -> None:
    tracker = new_tracker()
    tracker.restore(request(), "done", 10.0, state)
    assert tracker.state("c_1") is state
    assert tracker.live == 0
    assert isinstance(tracker.route(reply("again", message_id="r_2"), 11.0), Late)
    assert tracker.expire(1000.0) == []


def test_every_state_in_the_journal_is_one_of_an_answer() -> None:
    assert {AnswerState(state.value) for state in RequestState} == set(AnswerState) - {AnswerState.PARTIAL}


def test_what_is_known_is_not_taken_over_once_more() -> None:
    tracker = new_tracker()
    tracker.register(request(), 0.0)
    with pytest.raises(AlreadyRegistered):
        tracker.restore(request(), "", 1.0, AnswerState.OPEN)
