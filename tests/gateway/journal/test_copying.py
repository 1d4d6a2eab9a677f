"""A journal that is copied to another gateway's, and what stays when another's is copied over it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.journal import effects as e
from gateway.journal.records import RequestState
from gateway.journal.tables.copying import OF_ONE_BOX, everything, names
from gateway.journal.tables.ledger import Ledger
from gateway.journal.tables.quotas import Retention
from tests.gateway.journal.rows import agent, dead, letter, request, stream, turn, utterance
from tests.gateway.journal.test_ledger import all_of, open_ledger


@pytest.fixture
def ledger() -> Ledger:
    return open_ledger()


def work(ledger: Ledger) -> dict[str, list[Any]]:
    return {
        "streams": [row.session_id for row in all_of(ledger.streams)],
        "utterances": [row.utterance_id for row in all_of(ledger.utterances)],
        "letters": [row.number for row in all_of(ledger.letters)],
        "requests": [row.correlation_id for row in all_of(ledger.requests)],
        "agents": [row.request_id for row in all_of(ledger.agents)],
        "turns": [row.correlation_id for row in all_of(ledger.turns)],
    }


NOTHING: dict[str, list[Any]] = {
    "streams": [], "utterances": [], "letters": [], "requests": [], "agents": [], "turns": [],
}  # fmt: skip


def full(name: str, number: int) -> list[e.Effect]:
    """One of each kind of work, by a name."""
    return [
        e.StreamOpened(stream(f"s_{name}", stream=number)),
        e.Heard(utterance(f"u_{name}", session=f"s_{name}", start=number)),
        e.Queued(letter(number)),
        e.Asked(request(f"c_{name}")),
        e.AgentMoved(agent(f"q_{name}", f"c_{name}")),
        e.TurnSaid(turn(f"c_{name}"), 5),
        e.Received("agent", f"m_{name}"),
    ]


def copy(theirs: Ledger, ours: Ledger) -> None:
    assert ours.apply(everything(theirs))


def test_a_copy_is_as_what_it_is_of(ledger: Ledger) -> None:
    other = open_ledger()
    ledger.apply(full("one", 1))
    ledger.apply(full("two", 2))
    ledger.apply([e.Tried("u_one"), e.TurnAnswered("c_one", "done", "lights"), e.PieceCame("c_two", "hel")])
    ledger.apply([e.RequestEnded("c_one", RequestState.DONE, "yes", due=True), e.StreamEnded("s_two")])
    copy(ledger, other)
    for read in ("streams", "letters", "requests", "agents", "turns"):
        assert all_of(getattr(other, read)) == all_of(getattr(ledger, read)), read
    assert [row.utterance_id for row in all_of(other.utterances)] == ["u_one", "u_two"]
    assert other.knows("agent", "m_one")
    assert other.highest_number() == 2


def test_a_second_copy_takes_the_place_of_the_first(ledger: Ledger) -> None:
    other = open_ledger()
    ledger.apply(full("one", 1))
    copy(ledger, other)
    ledger.apply([e.Transcribed("u_one"), e.Published(1), *full("two", 2)])
    copy(ledger, other)
    assert work(other) == work(ledger)
    assert work(other)["utterances"] == ["u_two"]


def test_what_nobody_else_has_stays_beside_the_copy(ledger: Ledger) -> None:
    """As of a gateway that went on alone, died, and is back: another has its place."""
    other = open_ledger()
    other.apply([e.WentAlone(), *full("mine", 50)])
    ledger.apply(full("theirs", 1))
    copy(ledger, other)
    there = work(other)
    assert there["utterances"] == ["u_mine", "u_theirs"]
    assert there["letters"] == [1, 50]
    assert there["requests"] == ["c_mine", "c_theirs"]
    assert there["agents"] == ["q_mine", "q_theirs"]
    assert there["streams"] == ["s_theirs"], "where devices are now, the other one knows"
    copy(ledger, other)
    assert work(other) == there, "however often"


def test_what_both_had_is_the_others_to_end(ledger: Ledger) -> None:
    other = open_ledger()
    other.apply(full("shared", 1))
    other.apply([e.KeptTogether()])
    copy(ledger, other)
    assert work(other) == NOTHING


def test_of_what_was_together_only_what_was_named_stays(ledger: Ledger) -> None:
    other = open_ledger()
    other.apply([*full("shared", 1), e.KeptTogether()])
    alone = tuple(full("alone", 2))
    other.apply([*alone, e.KeptAlone(names(alone))])
    other.apply(full("in_the_air", 3))
    copy(ledger, other)
    assert work(other)["utterances"] == ["u_alone"]
    assert work(other)["letters"] == [2]
    assert work(other)["requests"] == ["c_alone"]


def test_what_is_set_apart_stays_and_what_comes_after_does_not(ledger: Ledger) -> None:
    other = open_ledger()
    other.apply([e.WentAlone(), *full("alone", 1)])
    other.apply([e.SetApart()])
    other.apply(full("perhaps_heard_there_too", 2))
    copy(ledger, other)
    assert work(other)["utterances"] == ["u_alone"]


def test_who_goes_alone_again_has_everything_alone(ledger: Ledger) -> None:
    other = open_ledger()
    other.apply([*full("one", 1), e.SetApart(), *full("two", 2), e.WentAlone()])
    copy(ledger, other)
    assert work(other)["utterances"] == ["u_one", "u_two"]


def test_an_old_copy_is_given_up_and_ones_own_is_not(ledger: Ledger) -> None:
    other = open_ledger()
    other.apply([e.WentAlone(), *full("mine", 7)])
    ledger.apply(full("theirs", 1))
    copy(ledger, other)
    other.apply([e.CopyGivenUp()])
    assert work(other)["utterances"] == ["u_mine"]
    assert work(other)["letters"] == [7]
    ledger.apply([e.CopyGivenUp()])
    assert work(ledger)["utterances"] == ["u_theirs"], "that is no copy"


def test_a_copy_becomes_ones_own_when_one_has_the_place(ledger: Ledger) -> None:
    other = open_ledger()
    ledger.apply(full("one", 1))
    copy(ledger, other)
    other.apply([e.WentAlone()])
    other.apply([e.CopyGivenUp()])
    assert work(other)["utterances"] == ["u_one"]


def test_audio_that_is_kept_is_neither_copied_nor_given_up() -> None:
    ledger, other = open_ledger(Retention(audio=1e6)), open_ledger(Retention(audio=1e6))
    ledger.apply([e.Heard(utterance("u_kept")), e.Transcribed("u_kept")])
    other.apply([e.Heard(utterance("u_other")), e.Transcribed("u_other"), e.KeptTogether()])
    copy(ledger, other)
    assert other._db.execute("SELECT utterance_id FROM utterances").fetchall() == [("u_other",)]


def test_what_was_received_is_known_there_once(ledger: Ledger) -> None:
    other = open_ledger()
    ledger.apply([e.Received("a", "m1")])
    other.apply([e.Received("a", "m1")])
    copy(ledger, other)
    copy(ledger, other)
    assert not other.apply([e.Received("a", "m1")])


def test_the_rooms_are_counted_aright_after_a_copy(ledger: Ledger) -> None:
    other = open_ledger()
    other.apply([*full("old", 9), e.KeptTogether()])
    ledger.apply(full("one", 1))
    copy(ledger, other)
    for room, usage in other.usages.by_room.items():
        rows, size = other._db.execute(f"SELECT count(*), coalesce(sum(size), 0) FROM {room}").fetchone()
        assert (usage.rows, usage.bytes) == (rows, size), room


def test_rows_have_names_and_what_is_of_one_box_has_none() -> None:
    assert names(tuple(full("one", 1))) == (
        ("utterances", "u_one"), ("outbox", "1"), ("requests", "c_one"), ("agent_requests", "q_one"),
    )  # fmt: skip
    assert names((e.Published(1), e.Died(dead()))) == ()
    assert e.Died in OF_ONE_BOX
    assert e.Heard not in OF_ONE_BOX
