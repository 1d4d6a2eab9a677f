"""The last turns of conversations: written with what they belong to, bounded, and gone with their conversation."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.history import Selection
from gateway.journal.records import RequestState, Room, TurnRow
from gateway.journal.tables.ledger import Ledger
from gateway.journal.tables.quotas import Quota, Retention
from gateway.journal.tables.schema import MIGRATIONS, migrate
from gateway.journal.tables.tables import encode
from gateway.settings.journal import JournalSettings
from gateway.settings.sessions import SessionSettings
from tests.gateway.journal.rows import remembered, request, turn

WINDOW = 60.0
DAY = 86_400.0


class Clock:
    """By which the rows are dated."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Iterator[Ledger]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    quotas = {room: Quota(6 if room is Room.TURNS else 1_000, 1 << 20) for room in Room}
    kept = Ledger(db, quotas, Retention(conversations=WINDOW, history=30 * DAY), clock)
    db.execute("BEGIN")
    yield kept
    db.close()


def turns(ledger: Ledger) -> list[TurnRow]:
    return [row for _, row in ledger.turns(0, 100)]


def names(ledger: Ledger) -> list[str]:
    return [row.correlation_id for row in turns(ledger)]


def tidy(ledger: Ledger) -> None:
    ledger._db.execute("COMMIT")
    ledger.tidy(ledger.now())
    ledger._db.execute("BEGIN")


def test_a_turn_is_there_with_its_last_answer_and_its_age(ledger: Ledger, clock: Clock) -> None:
    ledger.apply([e.TurnSaid(turn(), 8)])
    clock.now += 5
    assert turns(ledger) == [turn(age=5.0)]
    for reply, agent in (("perhaps", "quick"), ("It is on.", "slow")):
        ledger.apply([e.TurnAnswered("c_1", reply, agent)])
    clock.now += 2
    assert turns(ledger) == [turn(reply="It is on.", agent="slow", age=2.0)]
    used = ledger.usages.by_room[Room.TURNS]
    counted = ledger._db.execute("SELECT count(*), sum(size) FROM turns").fetchone()
    assert (used.rows, used.bytes) == counted


def test_the_end_of_a_request_is_the_end_of_its_turn_however_it_ended(ledger: Ledger, clock: Clock) -> None:
    ledger.apply([e.Asked(request()), e.TurnSaid(turn(), 8)])
    clock.now += 30
    ledger.apply([e.RequestEnded("c_1", RequestState.EXPIRED, fallback=True)])
    assert [row.age for row in turns(ledger)] == [0.0]


def test_only_the_last_turns_of_a_device_and_only_one_conversation_of_it_are_kept(ledger: Ledger) -> None:
    for number in range(1, 5):
        ledger.apply([e.TurnSaid(turn(f"c_{number}"), 2)])
    ledger.apply([e.TurnSaid(turn("c_9", device_id="garden", conversation_id="v_2"), 2)])
    assert names(ledger) == ["c_3", "c_4", "c_9"]
    ledger.apply([e.TurnSaid(turn("c_5", conversation_id="v_3"), 2)])
    assert names(ledger) == ["c_9", "c_5"]
    ledger.apply([e.TurnSaid(turn("c_9", "again", device_id="garden", conversation_id="v_2"), 2)])
    assert [(row.correlation_id, row.text) for row in turns(ledger)] == [
        ("c_5", "turn on the light"),
        ("c_9", "again"),
    ]


def test_of_all_devices_the_oldest_turns_make_room(ledger: Ledger) -> None:
    for number in range(9):
        ledger.apply(
            [e.TurnSaid(turn(f"c_{number}", device_id=f"d{number}", conversation_id=f"v_{number}"), 8)]
        )
    assert names(ledger) == [f"c_{number}" for number in range(3, 9)]


def test_a_conversation_goes_as_a_whole_when_nothing_was_said_or_answered_in_it(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.apply([e.TurnSaid(turn("c_1"), 8), e.TurnSaid(turn("c_2"), 8)])
    clock.now += WINDOW
    ledger.apply([e.TurnAnswered("c_2", "yes", "house")])
    clock.now += WINDOW
    tidy(ledger)
    assert names(ledger) == ["c_1", "c_2"]
    clock.now += 1
    tidy(ledger)
    assert names(ledger) == []


def test_a_conversation_in_which_an_answer_is_awaited_stays(ledger: Ledger, clock: Clock) -> None:
    ledger.apply([e.Asked(request("c_1")), e.TurnSaid(turn("c_1"), 8)])
    clock.now += 10 * WINDOW
    tidy(ledger)
    assert names(ledger) == ["c_1"]
    ledger.apply([e.RequestEnded("c_1", RequestState.DONE)])
    clock.now += WINDOW + 1
    tidy(ledger)
    assert names(ledger) == []


def test_no_turn_is_older_than_the_history_may_be(ledger: Ledger, clock: Clock) -> None:
    ledger.apply([e.TurnSaid(turn("c_1"), 8)])
    clock.now += 31 * DAY
    ledger.apply([e.TurnSaid(turn("c_2"), 8)])
    tidy(ledger)
    assert names(ledger) == ["c_2"]


@pytest.mark.parametrize(
    "effect",
    [
        e.Erased("u_c_1"),
        e.Withdrawn("c_1"),
    ],
)
def test_what_is_erased_takes_its_turn_with_it_and_no_answer_brings_it_back(
    ledger: Ledger, effect: e.Effect
) -> None:
    """Also where no history is kept."""
    ledger.apply([e.TurnSaid(turn("c_1"), 8), e.TurnSaid(turn("c_2"), 8)])
    ledger.apply([effect, e.TurnAnswered("c_1", "secret", "house")])
    assert names(ledger) == ["c_2"]


async def test_a_journal_has_room_for_the_turns_of_all_conversations_and_keeps_them_for_the_window(
    tmp_path: Path,
) -> None:
    sessions = SessionSettings(max_sessions=2, conversation_turns=3, hints_seconds=WINDOW)
    settings = JournalSettings(path=str(tmp_path / "journal.db"))
    async with Journal(settings, sessions=sessions) as journal:
        for number in range(4):
            for device in range(3):
                one = turn(f"c_{device}{number}", device_id=f"d{device}", conversation_id=f"v_{device}")
                await journal.commit(e.TurnSaid(one, 3))
        said = [row async for row in journal.turns()]
        assert [row.correlation_id for row in said] == ["c_02", "c_12", "c_22", "c_03", "c_13", "c_23"]
        assert replace(said[0], age=0.0) == turn("c_02", device_id="d0", conversation_id="v_0")

        for seconds, rows in ((WINDOW + 60, 6), (WINDOW + 121, 0)):
            await journal.ask(lambda ledger, later=seconds: ledger.tidy(ledger.now() + later))  # type: ignore[misc]
            assert journal.stats().rooms[Room.TURNS].rows == rows


async def test_the_history_is_found_by_conversation(tmp_path: Path) -> None:
    async with Journal(JournalSettings(path=str(tmp_path / "journal.db"))) as journal:
        for name, conversation_id in (("u_1", "v_1"), ("u_2", "v_2"), ("u_3", "v_1")):
            await journal.commit(e.Remembered(remembered(name, conversation_id=conversation_id)))
        found = await journal.history.page(Selection(conversation_id="v_1"), 9)
        assert [(row.utterance_id, row.conversation_id) for row in found] == [("u_3", "v_1"), ("u_1", "v_1")]


def test_a_journal_of_a_version_without_conversations_is_taken_over(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    migrate(db, MIGRATIONS[:5])
    db.execute(
        "INSERT INTO history (utterance_id, correlation_id, session_id, user_id, device_id, spoken_at, words, size,"
        " record) VALUES ('u_1', '', '', '', '', 0, '', 0, ?)",
        (encode(remembered("u_1")),),
    )
    migrate(db)
    assert db.execute("SELECT conversation_id FROM history").fetchall() == [("",)]
    assert db.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    db.close()
