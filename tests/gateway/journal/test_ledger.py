"""What each effect does to the rows, that effects hold together, and that every room has its bound."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from gateway.journal import effects as e
from gateway.journal import records as r
from gateway.journal.dead_letters import contents, not_transcribed, refused, revived
from gateway.journal.errors import JournalError, RoomFull
from gateway.journal.records import RequestState, Room
from gateway.journal.tables.ledger import Ledger
from gateway.journal.tables.quotas import Quota, Retention
from gateway.journal.tables.schema import migrate
from gateway.journal.tables.tables import ROW_SIZE
from tests.gateway.journal.rows import agent, dead, letter, remembered, request, stream, turn, utterance
from transcription.priority import Priority

PLENTY = Quota(1_000_000, 1 << 40)
KEPT = Retention(audio=86_400.0)


def open_ledger(retention: Retention | None = None, **bounds: Quota) -> Ledger:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    db.execute("BEGIN")
    _opened.append(db)
    return Ledger(db, {room: bounds.get(room.value, PLENTY) for room in Room}, retention, lambda: 1000.0)


_opened: list[sqlite3.Connection] = []


@pytest.fixture(autouse=True)
def none_stays_open() -> Iterator[None]:
    """Python 3.13 minds connections that are left open."""
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture
def ledger() -> Ledger:
    return open_ledger()


def all_of(read: Any) -> list[Any]:
    return [row for _, row in read(0, 1000)]


def numbers(ledger: Ledger) -> list[int]:
    return [row.number for row in all_of(ledger.letters)]


def counted_anew(ledger: Ledger) -> dict[Room, tuple[int, int]]:
    return {
        room: ledger._db.execute(f"SELECT count(*), coalesce(sum(size), 0) FROM {room}").fetchone()
        for room in Room
    }


def in_use(ledger: Ledger) -> dict[Room, tuple[int, int]]:
    return {room: (usage.rows, usage.bytes) for room, usage in ledger.usages.by_room.items()}


# -- what the effects do


def test_every_effect_is_known_to_the_ledger(ledger: Ledger) -> None:
    assert set(ledger._apply) == set(get_args(e.Effect))


def test_a_message_is_there_until_it_is_published(ledger: Ledger) -> None:
    row = letter(5, payload=b"text", headers={"a": "b"}, reply_to="orchestrator.replies")
    assert ledger.apply([e.Queued(row)])
    assert all_of(ledger.letters) == [row]
    assert ledger.apply([e.Published(5)])
    assert all_of(ledger.letters) == []


def test_numbers_are_not_used_again_after_the_last_message_is_gone(ledger: Ledger) -> None:
    ledger.apply([e.Queued(letter(41)), e.Published(41)])
    assert ledger.highest_number() == 41


def test_an_utterance_is_there_until_it_has_its_text(ledger: Ledger) -> None:
    row = utterance(audio=b"\1\0" * 100, facts=b"facts")
    ledger.apply([e.Heard(row)])
    assert all_of(ledger.utterances) == [row]
    ledger.apply([e.Tried("u_1"), e.Tried("u_1")])
    assert all_of(ledger.utterances)[0].attempts == 2
    ledger.apply([e.Transcribed("u_1")])
    assert all_of(ledger.utterances) == []
    assert in_use(ledger)[Room.UTTERANCES] == (0, 0)


def test_audio_that_is_kept_does_not_come_back_as_work() -> None:
    ledger = open_ledger(KEPT)
    ledger.apply([e.Heard(utterance()), e.Transcribed("u_1")])
    assert all_of(ledger.utterances) == []
    assert ledger.usages.by_room[Room.UTTERANCES].rows == 1


def test_audio_that_is_not_to_be_kept_is_not_although_audio_is() -> None:
    ledger = open_ledger(KEPT)
    ledger.apply([e.Heard(utterance()), e.Transcribed("u_1", forget=True)])
    assert ledger.usages.by_room[Room.UTTERANCES].rows == 0


def test_the_same_stretch_of_a_session_is_one_utterance(ledger: Ledger) -> None:
    assert ledger.apply([e.Heard(utterance("u_1", start=160))])
    assert not ledger.apply([e.Heard(utterance("u_2", start=160)), e.Queued(letter())])
    assert ledger.apply([e.Heard(utterance("u_3", start=320))])
    assert [row.utterance_id for row in all_of(ledger.utterances)] == ["u_1", "u_3"]
    assert all_of(ledger.letters) == [], "what hangs together was not done either"


def test_a_stream_remembers_how_far_it_was_heard(ledger: Ledger) -> None:
    ledger.apply([e.StreamOpened(stream())])
    ledger.apply([e.Heard(utterance(start=0, end=1600)), e.Heard(utterance("u_2", start=1600, end=3200))])
    ledger.apply([e.StreamEnded("s_1")])
    (row,) = all_of(ledger.streams)
    assert (row.heard_to, row.ended) == (3200, True)


def test_a_number_that_begins_again_is_another_stream(ledger: Ledger) -> None:
    ledger.apply([e.StreamOpened(stream("s_1", begun=1)), e.StreamOpened(stream("s_2", begun=90))])
    assert [row.session_id for row in all_of(ledger.streams)] == ["s_2"]


def test_a_reboot_ends_what_was_before_it(ledger: Ledger) -> None:
    ledger.apply([e.StreamOpened(stream("s_1", boot=1)), e.StreamOpened(stream("s_2", boot=2))])
    ledger.apply([e.StreamOpened(stream("s_3", boot=1, device_id="attic"))])
    for name, facts in (("c_1", {"boot": 1}), ("c_2", {"boot": 2}), ("c_3", {"device_id": "attic"})):
        ledger.apply([e.Asked(request(name, **facts)), ended(name, due=True)])
    ledger.apply([e.Rebooted("kitchen", 2)])
    assert [row.session_id for row in all_of(ledger.streams)] == ["s_2", "s_3"]
    assert [row.correlation_id for row in all_of(ledger.requests)] == ["c_2", "c_3"]


def test_an_open_request_survives_the_reboot_of_its_device(ledger: Ledger) -> None:
    ledger.apply([e.Asked(request(boot=1)), e.Rebooted("kitchen", 2)])
    assert len(all_of(ledger.requests)) == 1, "its answer still goes to the listeners"


def ended(name: str = "c_1", *, due: bool = False, text: str = "done") -> e.RequestEnded:
    return e.RequestEnded(name, RequestState.DONE, text=text, due=due)


def test_an_answer_in_pieces_is_due_until_it_is_delivered(ledger: Ledger) -> None:
    ledger.apply([e.Asked(request())])
    ledger.apply([e.PieceCame("c_1", "one "), e.PieceCame("c_1", "two")])
    (row,) = all_of(ledger.requests)
    assert (row.state, row.text, row.due) == (RequestState.OPEN, "one two", False)
    ledger.apply([e.RequestEnded("c_1", RequestState.DONE, text="one two three", error="late", due=True)])
    (row,) = all_of(ledger.requests)
    assert (row.state, row.text, row.error, row.due) == (RequestState.DONE, "one two three", "late", True)
    ledger.apply([e.Delivered("c_1")])
    assert not all_of(ledger.requests)[0].due


def test_requests_are_forgotten_when_nobody_is_owed_anything(ledger: Ledger) -> None:
    for name in ("c_open", "c_due", "c_done"):
        ledger.apply([e.Asked(request(name))])
    ledger.apply([ended("c_due", due=True), ended("c_done")])
    ledger._db.execute("COMMIT")
    now = ledger.now()
    ledger.tidy(now=now + 301)
    assert [row.correlation_id for row in all_of(ledger.requests)] == ["c_open", "c_due"]
    ledger.tidy(now=now + 364 * 86_400)
    assert [row.correlation_id for row in all_of(ledger.requests)] == ["c_open", "c_due"]
    ledger.tidy(now=now + 366 * 86_400)
    assert all_of(ledger.requests) == [], "as old as nothing with words becomes"


def test_a_message_of_others_has_its_effect_once(ledger: Ledger) -> None:
    ledger.apply([e.Asked(request())])
    first = [e.Received("replies", "m_9"), e.PieceCame("c_1", "yes")]
    assert ledger.apply(first)
    assert not ledger.apply(first)
    assert ledger.apply([e.Received("elsewhere", "m_9")])
    assert ledger.knows("replies", "m_9")
    assert not ledger.knows("replies", "m_8")
    assert all_of(ledger.requests)[0].text == "yes"


def test_a_piece_that_says_what_it_was_has_its_effect_once_and_holds_up_no_other(ledger: Ledger) -> None:
    ledger.apply([e.Asked(request()), e.Asked(request("c_2"))])
    pieces = [e.PieceCame("c_1", "one ", "agent", "c_1/m_1"), e.PieceCame("c_2", "uno ", "agent", "c_2/m_1")]
    assert ledger.apply(pieces)
    assert ledger.apply([*pieces, e.PieceCame("c_1", "two", "agent", "c_1/m_2")])
    assert [row.text for row in all_of(ledger.requests)] == ["one two", "uno "]
    assert not ledger.apply([e.Received("agent", "c_1/m_2")])
    assert in_use(ledger) == counted_anew(ledger)


def test_errands_come_in_order_and_are_done_once(ledger: Ledger) -> None:
    ledger._db.execute("INSERT INTO errands (verb, letter) VALUES ('purge', 4), ('replay', 7)")
    assert all_of(ledger.errands) == [r.Errand(1, r.Verb.PURGE, 4), r.Errand(2, r.Verb.REPLAY, 7)]
    ledger.apply([e.ErrandDone(1)])
    assert [errand.number for errand in all_of(ledger.errands)] == [2]


# -- dead letters


def test_a_refused_message_is_kept_whole_and_comes_back_with_a_new_number(ledger: Ledger) -> None:
    row = letter(0, payload=b"{", topic="orchestrator.replies")
    ledger.apply([refused(row, "not JSON" + "!" * 1000)])
    (kept,) = all_of(ledger.dead_letters)
    assert (kept.kind, kept.subject, kept.topic) == (r.LetterKind.INCOMING, "m_0", "orchestrator.replies")
    assert kept.reason.startswith("not JSON")
    assert len(kept.reason) == 500
    assert contents(kept) == row
    assert ledger.apply(revived(kept, 77))
    assert all_of(ledger.dead_letters) == []
    assert numbers(ledger) == [77]
    assert all_of(ledger.letters)[0].payload == b"{"


def test_an_utterance_that_kills_every_engine_is_put_away_and_can_be_tried_again(ledger: Ledger) -> None:
    row = utterance(attempts=3)
    ledger.apply([e.Heard(row)])
    ledger.apply(not_transcribed(row, "three times"))
    assert all_of(ledger.utterances) == []
    (kept,) = all_of(ledger.dead_letters)
    assert contents(kept) == row
    ledger.apply(revived(kept, 1))
    assert [(u.utterance_id, u.attempts) for u in all_of(ledger.utterances)] == [("u_1", 0)]


def test_revived_speech_replaces_what_was_kept_of_it() -> None:
    ledger = open_ledger(KEPT)
    ledger.apply([e.Heard(utterance()), *not_transcribed(utterance(), "no")])
    (kept,) = all_of(ledger.dead_letters)
    assert ledger.apply(revived(kept, 1))
    assert len(all_of(ledger.utterances)) == 1
    assert ledger.usages.by_room[Room.UTTERANCES].rows == 1


def test_an_answer_that_died_cannot_be_revived() -> None:
    with pytest.raises(JournalError, match="whose device has gone"):
        revived(dead(kind=r.LetterKind.ANSWER), 1)


# -- bounds


def test_the_oldest_messages_become_dead_letters() -> None:
    ledger = open_ledger(outbox=Quota(3, 1 << 20))
    for number in range(1, 6):
        ledger.apply([e.Queued(letter(number))])
    assert numbers(ledger) == [3, 4, 5]
    assert [row.subject for row in all_of(ledger.dead_letters)] == ["m_1", "m_2"]
    assert "the outbox was full" in all_of(ledger.dead_letters)[0].reason
    assert ledger.usages.by_room[Room.OUTBOX].evicted == 2


def test_the_least_urgent_of_them_go_first() -> None:
    ledger = open_ledger(outbox=Quota(3, 1 << 20))
    for number, priority in enumerate(("urgent", "background", "normal", "urgent", "background"), 1):
        ledger.apply([e.Queued(letter(number, priority=priority))])
    assert numbers(ledger) == [1, 4, 5]
    assert [row.subject for row in all_of(ledger.dead_letters)] == ["m_2", "m_3"]


def test_messages_are_read_by_their_class() -> None:
    ledger = open_ledger()
    for number, priority in enumerate(("urgent", "background", "normal", "unheard of", "urgent"), 1):
        ledger.apply([e.Queued(letter(number, priority=priority))])
    found = {one: [number for number, _ in ledger.letters(0, 9, one)] for one in Priority}
    assert found == {Priority.URGENT: [1, 5], Priority.NORMAL: [3, 4], Priority.BACKGROUND: [2]}
    assert [number for number, _ in ledger.letters(1, 9, Priority.URGENT)] == [5]


def test_a_room_is_bounded_in_bytes_too() -> None:
    ledger = open_ledger(outbox=Quota(1000, 3 * (1000 + ROW_SIZE)))
    for number in range(1, 6):
        ledger.apply([e.Queued(letter(number, payload=random.Random(number).randbytes(900)))])
    assert numbers(ledger) == [3, 4, 5]


def test_what_is_larger_than_the_room_is_kept_alone() -> None:
    ledger = open_ledger(outbox=Quota(1000, 2000))
    ledger.apply([e.Queued(letter(1))])
    ledger.apply([e.Queued(letter(2, payload=random.Random(2).randbytes(5000)))])
    assert numbers(ledger) == [2]


def test_speech_that_has_no_text_is_never_given_up_and_new_speech_is_refused() -> None:
    ledger = open_ledger(utterances=Quota(2, 1 << 20))
    ledger.apply([e.Heard(utterance("u_1", start=1)), e.Heard(utterance("u_2", start=2))])
    with pytest.raises(RoomFull, match="no more utterances"):
        ledger.apply([e.Queued(letter()), e.Heard(utterance("u_3", start=3))])
    assert [row.utterance_id for row in all_of(ledger.utterances)] == ["u_1", "u_2"]
    assert numbers(ledger) == []
    assert in_use(ledger) == counted_anew(ledger)


def test_speech_kept_for_later_makes_room_for_new_speech() -> None:
    ledger = open_ledger(KEPT, utterances=Quota(2, 1 << 20))
    for name in ("u_1", "u_2", "u_3"):
        ledger.apply([e.Heard(utterance(name, start=int(name[-1]))), e.Transcribed(name)])
    usage = ledger.usages.by_room[Room.UTTERANCES]
    assert (usage.rows, usage.evicted) == (2, 1)


def test_answers_that_are_due_go_after_those_that_are_not_and_with_a_dead_letter() -> None:
    ledger = open_ledger(requests=Quota(3, 1 << 20))
    for name in ("c_1", "c_2", "c_3"):
        ledger.apply([e.Asked(request(name))])
    ledger.apply([ended("c_1", due=True, text="yes"), ended("c_2")])
    ledger.apply([e.Asked(request("c_4"))])
    assert all_of(ledger.dead_letters) == []
    ledger.apply([e.Asked(request("c_5"))])
    (kept,) = all_of(ledger.dead_letters)
    answer = contents(kept)
    assert isinstance(answer, r.RequestRow)
    assert (kept.kind, kept.subject, answer.text) == (r.LetterKind.ANSWER, "c_1", "yes")
    with pytest.raises(RoomFull, match="no more requests"):
        ledger.apply([e.Asked(request("c_6"))])


def test_ended_streams_are_given_up_before_open_ones() -> None:
    ledger = open_ledger(streams=Quota(2, 1 << 20))
    ledger.apply([e.StreamOpened(stream("s_1", stream=1)), e.StreamOpened(stream("s_2", stream=2))])
    ledger.apply([e.StreamEnded("s_2"), e.StreamOpened(stream("s_3", stream=3))])
    assert [row.session_id for row in all_of(ledger.streams)] == ["s_1", "s_3"]


def test_old_ids_and_old_dead_letters_are_forgotten() -> None:
    ledger = open_ledger(inbox=Quota(2, 1 << 20), dead_letters=Quota(2, 1 << 20))
    for i in range(3):
        ledger.apply([e.Received("replies", f"m_{i}"), e.Died(dead(f"m_{i}"))])
    assert not ledger.knows("replies", "m_0")
    assert [row.subject for row in all_of(ledger.dead_letters)] == ["m_1", "m_2"]
    assert ledger.usages.by_room[Room.DEAD_LETTERS].evicted == 1


# -- properties

_NAMES = st.sampled_from(["1", "2", "3"])
_EFFECTS = st.one_of(
    _NAMES.map(lambda n: e.StreamOpened(stream(f"s_{n}", stream=int(n)))),
    _NAMES.map(lambda n: e.StreamEnded(f"s_{n}")),
    st.integers(1, 2).map(lambda boot: e.Rebooted("kitchen", boot)),
    st.builds(
        lambda n, session, again: e.Heard(utterance(f"u_{session}{n}", session=f"s_{session}", start=int(n)), again),
        _NAMES, _NAMES, st.booleans(),
    ),
    st.builds(lambda n, s: e.Transcribed(f"u_{s}{n}"), _NAMES, _NAMES),
    st.builds(lambda n, s: e.Tried(f"u_{s}{n}"), _NAMES, _NAMES),
    st.builds(lambda n, size: e.Queued(letter(n, payload=bytes(size))), st.integers(1, 9), st.integers(0, 900)),
    st.integers(1, 9).map(e.Published),
    _NAMES.map(lambda n: e.Asked(request(f"c_{n}"))),
    _NAMES.map(lambda n: e.Received("replies", n)),
    st.builds(lambda n, text: e.PieceCame(f"c_{n}", text), _NAMES, st.text(max_size=9)),
    st.builds(lambda n, text: e.PieceCame(f"c_{n}", text, "agent", n), _NAMES, st.text(max_size=9)),
    st.builds(lambda n, due: ended(f"c_{n}", due=due), _NAMES, st.booleans()),
    _NAMES.map(lambda n: e.Delivered(f"c_{n}")),
    _NAMES.map(lambda n: e.Died(dead(n))),
    st.integers(1, 9).map(e.LetterTaken),
    st.builds(
        lambda n, s, text: e.Remembered(remembered(f"u_{s}{n}", correlation_id=f"c_{n}", text=text)),
        _NAMES, _NAMES, st.text(max_size=200),
    ),
    st.builds(
        lambda n, text: e.Answered(f"c_{n}", r.HistoryReply(text=text)), _NAMES, st.text(max_size=200)
    ),
    _NAMES.map(lambda n: e.PublishedIn(f"c_{n}", 1.0)),
    _NAMES.map(lambda n: e.HandedOver(f"c_{n}", 2.0)),
    st.builds(lambda n, s: e.Erased(f"u_{s}{n}"), _NAMES, _NAMES),
    st.builds(
        lambda n, v, kept: e.TurnSaid(turn(f"c_{n}", conversation_id=v), kept), _NAMES, _NAMES, st.integers(1, 2)
    ),
    st.builds(lambda n, text: e.TurnAnswered(f"c_{n}", text, "house"), _NAMES, st.text(max_size=200)),
)  # fmt: skip


def everything(ledger: Ledger) -> list[list[tuple[Any, ...]]]:
    """All tables, but for times and what is counted elsewhere."""
    db = ledger._db
    tables = []
    for room in Room:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({room})")]
        columns = ", ".join(name for name in names if name not in ("ended_at", "number", "size"))
        tables.append(db.execute(f"SELECT {columns} FROM {room} ORDER BY number").fetchall())
    return tables


@given(st.lists(st.lists(_EFFECTS, max_size=4), max_size=12))
@settings(max_examples=min(60, settings().max_examples), deadline=None)
def test_usage_is_what_a_count_finds_and_no_bound_is_passed(commits: list[list[e.Effect]]) -> None:
    bounds = {room.value: Quota(2, 3000) for room in Room}
    ledger = open_ledger(**bounds)
    for effects in commits:
        before = everything(ledger)
        try:
            if not ledger.apply(effects):
                assert everything(ledger) == before
        except RoomFull:
            assert everything(ledger) == before
        assert in_use(ledger) == counted_anew(ledger)
        assert all(usage.rows <= 2 for usage in ledger.usages.by_room.values())
    ledger._db.close()


_IDEMPOTENT = _EFFECTS.filter(
    lambda effect: not isinstance(effect, e.Received | e.PieceCame | e.Died | e.Tried | e.Heard)
)


@given(st.lists(_EFFECTS, max_size=10), _IDEMPOTENT)
@settings(max_examples=min(60, settings().max_examples), deadline=None)
def test_an_effect_that_is_applied_again_changes_nothing(before: list[e.Effect], effect: e.Effect) -> None:
    ledger = open_ledger()
    for one in before:
        ledger.apply([one])
    ledger.apply([effect])
    once = everything(ledger)
    ledger.apply([effect])
    assert [sorted(map(repr, rows)) for rows in everything(ledger)] == [
        sorted(map(repr, rows)) for rows in once
    ]
    ledger._db.close()


class Exchanges(RuleBasedStateMachine):
    """The life of messages and answers, beside a dictionary that knows what must be there."""

    queued = Bundle("queued")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = open_ledger()
        self.outbox: dict[int, bytes] = {}
        self.answers: dict[str, tuple[str, bool]] = {}
        self.ended: set[str] = set()
        self.seen: set[str] = set()
        self.count = 0

    @rule(target=queued, payload=st.binary(max_size=50))
    def transcribe(self, payload: bytes) -> int:
        self.count += 1
        name = f"c_{self.count}"
        self.ledger.apply([e.Queued(letter(self.count, payload=payload)), e.Asked(request(name))])
        self.outbox[self.count] = payload
        self.answers[name] = ("", False)
        return self.count

    @rule(number=queued)
    def publish(self, number: int) -> None:
        self.ledger.apply([e.Published(number)])
        self.outbox.pop(number, None)

    @rule(number=queued, message_id=st.sampled_from("abcdef"), text=st.text(max_size=5), final=st.booleans())
    def reply(self, number: int, message_id: str, text: str, *, final: bool) -> None:
        name = f"c_{number}"
        effect = ended(name, due=True, text=text) if final else e.PieceCame(name, text)
        fresh = self.ledger.apply([e.Received("replies", message_id), effect])
        assert fresh == (message_id not in self.seen)
        if fresh:
            self.seen.add(message_id)
            before, due = self.answers[name]
            if final:
                self.answers[name] = (text, True)
                self.ended.add(name)
            elif name not in self.ended:
                self.answers[name] = (before + text, due)

    @rule(number=queued)
    def deliver(self, number: int) -> None:
        name = f"c_{number}"
        self.ledger.apply([e.Delivered(name)])
        self.answers[name] = ("" if name in self.ended else self.answers[name][0], False)

    @invariant()
    def as_the_dictionary_says(self) -> None:
        letters = all_of(self.ledger.letters)
        assert {row.number: row.payload for row in letters} == self.outbox
        assert [row.number for row in letters] == sorted(self.outbox)
        requests = all_of(self.ledger.requests)
        assert {row.correlation_id: (row.text, row.due) for row in requests} == self.answers
        assert in_use(self.ledger) == counted_anew(self.ledger)

    def teardown(self) -> None:
        self.ledger._db.close()


TestExchanges = Exchanges.TestCase
TestExchanges.settings = settings(
    max_examples=min(30, settings().max_examples), stateful_step_count=20, deadline=None
)


def test_what_agents_are_asked_is_kept_as_it_is_now(ledger: Ledger) -> None:
    ledger.apply([e.Asked(request("c_1")), e.AgentMoved(agent("q_1")), e.AgentMoved(agent("q_2"))])
    ledger.apply([e.PieceCame("c_1", "The light ", "lights", "m_1", "q_1")])
    ledger.apply([e.PieceCame("c_1", "The light ", "lights", "m_1", "q_1")])
    ledger.apply([e.PieceCame("c_1", "is on.", request_id="q_1")])
    ledger.apply([e.AgentMoved(agent("q_2", state="done", text="Yes.", confidence=0.5))])
    rows = {row.request_id: row for _, row in ledger.agents(0, 10)}
    assert {name: (row.state, row.text) for name, row in rows.items()} == {
        "q_1": ("asked", "The light is on."), "q_2": ("done", "Yes."),
    }  # fmt: skip
    assert [row.text for _, row in ledger.requests(0, 10)] == [""]
    ledger.apply([e.InterimCame("c_1", "Moment."), e.Withdrawn("c_1")])
    assert not ledger.agents(0, 10)
    assert not ledger.requests(0, 10)


def test_a_first_answer_is_the_answer_so_far(ledger: Ledger) -> None:
    ledger.apply([e.Asked(request("c_1")), e.PieceCame("c_1", "Mom"), e.InterimCame("c_1", "Moment.")])
    assert [row.text for _, row in ledger.requests(0, 10)] == ["Moment."]


def test_from_where_on_a_stream_is_heard_without_a_hole_never_goes_back(ledger: Ledger) -> None:
    ledger.apply([e.StreamOpened(stream(heard_from=0)), e.HeardFrom("s_1", 900)])
    ledger.apply([e.HeardFrom("s_1", 400), e.HeardFrom("s_unknown", 1_000)])
    (_, row), *_ = ledger.streams(0, 10)
    assert row.heard_from == 900
    assert row.session_id == "s_1", "all else is as it was"
