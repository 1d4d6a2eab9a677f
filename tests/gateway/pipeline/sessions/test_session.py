"""Sessions and turns: the tables, their owner's view, and what is settled."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.pipeline.sessions.names import StreamName
from gateway.pipeline.sessions.session import (
    MAX_OPEN_TURNS,
    SESSION_TRANSITIONS,
    TURN_TRANSITIONS,
    AlreadyOpen,
    IllegalEvent,
    Session,
    SessionEvent,
    SessionRegistry,
    SessionState,
    TooManySessions,
    TooManyTurns,
    Turn,
    TurnEvent,
    TurnState,
)
from gateway.settings.sessions import SessionSettings

ENDED_TURN = {TurnState.ANSWERED, TurnState.SILENT, TurnState.EXPIRED, TurnState.FAILED, TurnState.CANCELLED}
UNPUBLISHED = {TurnState.HEARD, TurnState.TRANSCRIBING}


def new_registry(max_sessions: int = 10, resume_seconds: float = 10.0) -> SessionRegistry:
    return SessionRegistry(SessionSettings(max_sessions=max_sessions, resume_seconds=resume_seconds))


def open_session(
    registry: SessionRegistry, device: str = "kitchen", boot: int = 1, stream: int = 1
) -> Session:
    return registry.open(StreamName(device, boot, stream), "ann", end_on_silence=True, now=0.0)


def new_session() -> Session:
    return open_session(new_registry())


def session_in(state: SessionState) -> Session:
    """A session in that state, with one open turn unless it is closed."""
    session = new_session()
    turn = session.begin_turn(0, 10)
    match state:
        case SessionState.SUSPENDED:
            session.suspend(1.0)
        case SessionState.DRAINING:
            session.end_stream()
        case SessionState.CLOSED:
            session.end_stream()
            session.advance(turn, TurnEvent.CANCEL)
    assert session.state is state
    return session


WAYS: dict[TurnState, list[TurnEvent]] = {
    TurnState.HEARD: [],
    TurnState.TRANSCRIBING: [TurnEvent.RECOGNIZE],
    TurnState.THINKING: [TurnEvent.RECOGNIZE, TurnEvent.ASK],
    TurnState.REPLYING: [TurnEvent.RECOGNIZE, TurnEvent.ASK, TurnEvent.PIECE],
    TurnState.ANSWERED: [TurnEvent.RECOGNIZE, TurnEvent.ASK, TurnEvent.FINAL],
    TurnState.SILENT: [TurnEvent.RECOGNIZE, TurnEvent.PUBLISH],
    TurnState.EXPIRED: [TurnEvent.RECOGNIZE, TurnEvent.ASK, TurnEvent.DEADLINE],
    TurnState.FAILED: [TurnEvent.FAIL],
    TurnState.CANCELLED: [TurnEvent.CANCEL],
}


def turn_in(state: TurnState) -> tuple[Session, Turn]:
    session = new_session()
    turn = session.begin_turn(0, 10)
    for event in WAYS[state]:
        session.advance(turn, event)
    assert turn.state is state
    return session, turn


# -- the table of a session

STEPS = {
    SessionEvent.DEVICE_LOST: lambda session: session.suspend(1.0),
    SessionEvent.DEVICE_BACK: Session.resume,
    SessionEvent.STREAM_ENDED: Session.end_stream,
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SessionState, STEPS)))
def test_every_event_in_every_state_of_a_session(state: SessionState, event: SessionEvent) -> None:
    session = session_in(state)
    turns, suspended_at = dict(session.turns), session.suspended_at
    target = SESSION_TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(IllegalEvent, match=event.value):
            STEPS[event](session)
        assert (session.state, session.turns, session.suspended_at) == (state, turns, suspended_at)
    else:
        STEPS[event](session)
        assert session.state is target
        assert (session.suspended_at is not None) == (target is SessionState.SUSPENDED)


def test_only_a_draining_session_closes_with_its_last_turn() -> None:
    ends = [state for state, event in SESSION_TRANSITIONS if event is SessionEvent.LAST_TURN_ENDED]
    assert ends == [SessionState.DRAINING]
    session = new_session()
    turns = [session.begin_turn(0, 10), session.begin_turn(10, 20)]
    session.advance(turns[0], TurnEvent.FAIL)
    assert session.state is SessionState.OPEN
    session.end_stream()
    assert session.state is SessionState.DRAINING
    session.advance(turns[1], TurnEvent.CANCEL)
    assert session.state is SessionState.CLOSED


def test_a_stream_that_said_nothing_closes_at_once() -> None:
    session = new_session()
    session.end_stream()
    assert session.state is SessionState.CLOSED


def test_a_closed_session_has_no_way_on() -> None:
    assert not [state for state, _ in SESSION_TRANSITIONS if state is SessionState.CLOSED]


@pytest.mark.parametrize("state", SessionState)
def test_a_turn_begins_while_audio_may_come(state: SessionState) -> None:
    session = session_in(state)
    before = dict(session.turns)
    if state in (SessionState.OPEN, SessionState.SUSPENDED):
        turn = session.begin_turn(20, 30)
        assert session.turns[turn.utterance_id] is turn
    else:
        with pytest.raises(IllegalEvent, match="hears nothing more"):
            session.begin_turn(20, 30)
        assert session.turns == before


# -- the table of a turn


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TurnState, TurnEvent)))
def test_every_event_in_every_state_of_a_turn(state: TurnState, event: TurnEvent) -> None:
    session, turn = turn_in(state)
    target = TURN_TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(IllegalEvent, match=event.value):
            session.advance(turn, event)
        assert turn.state is state
    else:
        assert session.advance(turn, event) is turn.state is target
    assert turn.ended == (turn.state in ENDED_TURN)
    assert (turn.utterance_id in session.turns) == (not turn.ended)


def test_every_state_of_a_turn_is_reached_and_none_is_left_after_the_end() -> None:
    assert set(TURN_TRANSITIONS.values()) | {TurnState.HEARD} == set(TurnState)
    assert not ENDED_TURN & {state for state, _ in TURN_TRANSITIONS}


def test_every_running_turn_can_be_cancelled_and_can_fail() -> None:
    for state in set(TurnState) - ENDED_TURN:
        assert TURN_TRANSITIONS[state, TurnEvent.CANCEL] is TurnState.CANCELLED
        assert TURN_TRANSITIONS[state, TurnEvent.FAIL] is TurnState.FAILED


def test_the_open_turns_of_a_session_are_bounded() -> None:
    session = new_session()
    turns = [session.begin_turn(n, n + 1) for n in range(MAX_OPEN_TURNS)]
    with pytest.raises(TooManyTurns):
        session.begin_turn(1000, 1001)
    session.advance(turns[0], TurnEvent.CANCEL)
    session.begin_turn(1000, 1001)


def test_ids_are_unguessable_and_unique() -> None:
    session, other = new_session(), new_session()
    ids = [session.session_id, other.session_id]
    assert session.begin_turn(0, 1, "u_named").utterance_id == "u_named"
    ids += [session.begin_turn(0, 1).utterance_id, session.begin_turn(0, 1).utterance_id]
    assert len(set(ids)) == 4
    assert [name[:2] for name in ids] == ["s_", "s_", "u_", "u_"]
    assert all(len(name) == 24 for name in ids)


# -- what is settled


def test_what_is_published_or_not_needed_is_settled() -> None:
    session = new_session()
    assert session.settled_position(500) == 500
    first, second = session.begin_turn(100, 200), session.begin_turn(200, 300)
    assert session.settled_position(500) == 100
    session.advance(first, TurnEvent.RECOGNIZE)
    assert session.settled_position(500) == 100
    session.advance(first, TurnEvent.ASK)  # published: no longer the device's to keep
    assert session.settled_position(500) == 200
    session.advance(second, TurnEvent.FAIL)
    assert session.settled_position(500) == 500
    assert session.settled_position(50) == 50


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(list(WAYS))), max_size=12), st.integers(0, 1200)
)
def test_settled_is_the_least_of_what_is_still_needed(
    turns: list[tuple[int, TurnState]], needed_from: int
) -> None:
    session = new_session()
    for start, state in turns:
        turn = session.begin_turn(start, start + 10)
        for event in WAYS[state]:
            session.advance(turn, event)
    needed = [start for start, state in turns if state in UNPUBLISHED]
    assert session.settled_position(needed_from) == min([needed_from, *needed])


# -- the registry


def test_a_session_is_found_by_stream_and_by_id() -> None:
    registry = new_registry()
    session = registry.open(StreamName("kitchen", 7, 3), "ann", end_on_silence=False, now=4.0)
    assert registry.find(StreamName("kitchen", 7, 3)) is registry.get(session.session_id) is session
    assert registry.sessions() == registry.of_device("kitchen") == [session]
    assert (session.device_id, session.user_id, session.end_on_silence) == ("kitchen", "ann", False)
    assert (session.opened_at, session.state) == (4.0, SessionState.OPEN)
    for name in (("hall", 7, 3), ("kitchen", 8, 3), ("kitchen", 7, 4)):
        assert registry.find(StreamName(*name)) is None
    assert registry.get("s_other") is None


def test_a_stream_is_opened_once_until_it_has_ended() -> None:
    registry = new_registry()
    session = open_session(registry)
    with pytest.raises(AlreadyOpen):
        open_session(registry)
    session.end_stream()
    assert open_session(registry).session_id != session.session_id


def test_a_stream_that_has_ended_may_begin_again_before_it_was_answered() -> None:
    registry = new_registry()
    first = open_session(registry)
    turn = first.begin_turn(0, 10)
    first.end_stream()
    second = open_session(registry)
    assert registry.of_device("kitchen") == [first, second]
    first.advance(turn, TurnEvent.CANCEL)
    assert first.state is SessionState.CLOSED
    assert registry.find(StreamName("kitchen", 1, 1)) is second


def test_closed_sessions_are_forgotten_at_once() -> None:
    registry = new_registry()
    session = open_session(registry)
    turn = session.begin_turn(0, 10)
    session.end_stream()
    assert len(registry) == 1
    session.advance(turn, TurnEvent.CANCEL)
    assert len(registry) == 0
    assert registry.get(session.session_id) is registry.find(StreamName("kitchen", 1, 1)) is None
    assert registry.of_device("kitchen") == []


def test_the_number_of_sessions_is_bounded() -> None:
    registry = new_registry(max_sessions=2)
    first = open_session(registry, stream=1)
    open_session(registry, stream=2)
    with pytest.raises(TooManySessions, match="2 sessions"):
        open_session(registry, stream=3)
    assert len(registry) == 2
    first.end_stream()
    open_session(registry, stream=3)


def test_a_device_that_vanishes_suspends_its_open_sessions_of_that_boot() -> None:
    registry = new_registry()
    one, draining, rebooted = (
        open_session(registry, stream=1),
        open_session(registry, stream=2),
        open_session(registry, boot=2, stream=1),
    )
    other = open_session(registry, device="hall")
    draining.begin_turn(0, 10)
    draining.end_stream()
    assert registry.suspend_device("kitchen", 1, 5.0) == [one]
    assert one.suspended_at == 5.0
    assert registry.suspend_device("kitchen", 1, 6.0) == []
    assert [draining.state, rebooted.state, other.state] == [
        SessionState.DRAINING,
        SessionState.OPEN,
        SessionState.OPEN,
    ]
    assert registry.resume_device("kitchen", 2) == registry.resume_device("hall", 1) == []
    assert registry.resume_device("kitchen", 1) == [one]
    assert (one.state, one.suspended_at) == (SessionState.OPEN, None)


def test_a_suspension_expires_and_waits_for_its_owner_to_end_the_stream() -> None:
    registry = new_registry(resume_seconds=10.0)
    early, late = open_session(registry, device="kitchen"), open_session(registry, device="hall")
    registry.suspend_device("kitchen", 1, 1.0)
    registry.suspend_device("hall", 1, 4.0)
    assert registry.expired_suspensions(10.9) == []
    assert registry.expired_suspensions(11.0) == registry.expired_suspensions(12.0) == [early]
    early.end_stream()
    assert registry.expired_suspensions(14.0) == [late]
    registry.resume_device("hall", 1)
    assert registry.expired_suspensions(1000.0) == []


def test_a_second_suspension_counts_from_the_second_time() -> None:
    registry = new_registry(resume_seconds=10.0)
    session = open_session(registry)
    registry.suspend_device("kitchen", 1, 1.0)
    registry.resume_device("kitchen", 1)
    registry.suspend_device("kitchen", 1, 8.0)
    assert registry.expired_suspensions(17.9) == []
    assert registry.expired_suspensions(18.0) == [session]


DEVICES = st.sampled_from(["kitchen", "hall"])
BOOTS = st.sampled_from([1, 2])


class Registry(RuleBasedStateMachine):
    """The registry's indexes against a plain list of the sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = new_registry(max_sessions=4)
        self.known: list[Session] = []
        self.now = 0.0

    def open_ones(self) -> list[Session]:
        return [session for session in self.known if session.state is not SessionState.CLOSED]

    def hearing_ones(self) -> list[Session]:
        return [session for session in self.open_ones() if session.state is not SessionState.DRAINING]

    @rule(device=DEVICES, boot=BOOTS, stream=st.integers(0, 2))
    def open(self, device: str, boot: int, stream: int) -> None:
        taken = any(s.name == StreamName(device, boot, stream) for s in self.hearing_ones())
        if taken or len(self.open_ones()) == 4:
            with pytest.raises(AlreadyOpen if taken else TooManySessions):
                open_session(self.registry, device, boot, stream)
        else:
            self.known.append(open_session(self.registry, device, boot, stream))

    @rule(device=DEVICES, boot=BOOTS)
    def suspend(self, device: str, boot: int) -> None:
        self.now += 1.0
        self.registry.suspend_device(device, boot, self.now)

    @rule(device=DEVICES, boot=BOOTS)
    def resume(self, device: str, boot: int) -> None:
        self.registry.resume_device(device, boot)

    @precondition(lambda self: self.open_ones())
    @rule(data=st.data(), step=st.sampled_from(["turn", "end_turn", "end_stream"]))
    def step(self, data: st.DataObject, step: str) -> None:
        session = data.draw(st.sampled_from(self.open_ones()))
        draining = session.state is SessionState.DRAINING
        if step == "turn" and not draining:
            session.begin_turn(0, 1)
        elif step == "end_turn" and session.turns:
            session.advance(next(iter(session.turns.values())), TurnEvent.CANCEL)
        elif step == "end_stream" and not draining:
            session.end_stream()

    @invariant()
    def the_indexes_agree(self) -> None:
        still_open = self.open_ones()
        assert self.registry.sessions() == still_open
        for session in self.known:
            found = session if session in still_open else None
            assert self.registry.get(session.session_id) is found
        for session in still_open:
            assert session in self.registry.of_device(session.device_id)
            assert session.turns or session.state is not SessionState.DRAINING
        for session in self.hearing_ones():
            assert self.registry.find(session.name) is session

    @invariant()
    def suspensions_expire_in_order(self) -> None:
        suspended = [session for session in self.known if session.state is SessionState.SUSPENDED]
        expired = self.registry.expired_suspensions(self.now + 100.0)
        assert sorted(map(id, expired)) == sorted(map(id, suspended))
        times = [session.suspended_at for session in expired]
        assert times == sorted(times, key=lambda at: at or 0.0)


TestRegistry = Registry.TestCase
