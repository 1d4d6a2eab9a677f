"""Whatever table has words in it: they can be erased, they grow old, and then they are in no byte of the files."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal import records as r
from gateway.journal.dead_letters import undelivered
from gateway.journal.effects import Effect
from gateway.journal.history import Belongings
from gateway.journal.records import RequestState, Room
from gateway.journal.tables.columns import COLUMNS, GOES, WITH_WORDS, Goes
from gateway.journal.tables.ledger import Ledger
from gateway.journal.tables.schema import migrate
from gateway.settings.history import HistorySettings
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import agent, letter, remembered, request, turn, utterance

WORD = "rhubarbandcustard"
SAID = f"turn off the {WORD}"
DAY = 86_400.0

SAMPLES: dict[Room, Callable[[], list[Effect]]] = {
    Room.UTTERANCES: lambda: [e.Heard(utterance("u_9", audio=SAID.encode())), e.Transcribed("u_9")],
    # A message on its way is packed; what cannot be packed smaller stands as it is.
    Room.OUTBOX: lambda: [e.Queued(letter(1, payload=SAID.encode(), correlation_id="c_9"))],
    Room.REQUESTS: lambda: [
        e.Asked(request("c_1", message=SAID.encode())),
        e.RequestEnded("c_1", RequestState.DONE, text=SAID, error=SAID, due=True),
        e.Asked(request("c_2", message=SAID.encode())),
        e.PieceCame("c_2", SAID),
    ],
    Room.AGENT_REQUESTS: lambda: [
        e.Asked(request("c_5")),
        e.AgentMoved(agent("q_5", "c_5", text=SAID, error=SAID, data=SAID.encode())),
        e.AgentMoved(agent("q_6", "c_5")),
        e.PieceCame("c_5", SAID, request_id="q_6"),
        e.Asked(request("c_7")),
        e.RequestEnded("c_7", r.RequestState.DONE),
        e.AgentMoved(agent("q_7", "c_7", state="late", error=SAID)),
    ],
    Room.DEAD_LETTERS: lambda: [undelivered(request("c_3", text=SAID), "its device has gone")],
    Room.HISTORY: lambda: [
        e.Remembered(remembered("u_4", SAID)),
        e.Answered("c_u_4", r.HistoryReply(text=SAID, agent=SAID, error=SAID)),
    ],
    Room.TURNS: lambda: [e.TurnSaid(turn("c_5", SAID), 8), e.TurnAnswered("c_5", SAID, SAID)],
}


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    settings = JournalSettings(path=str(tmp_path / "journal.db"), keep_audio=True)
    async with Journal(settings, history=HistorySettings(days=30)) as opened:
        yield opened


def bytes_of(journal: Journal) -> bytes:
    return b"".join(file.read_bytes() for file in journal.path.parent.glob("journal.db*"))


def test_every_column_says_what_it_holds() -> None:
    """A new table or column has to say so in `gateway/journal/tables/columns.py`, and this module to try it."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    found = {
        name: {column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")}
        for (name,) in db.execute(names)
    }
    db.close()
    assert found == {name: set(columns) for name, columns in COLUMNS.items()}
    assert GOES.keys() == set(Room)
    assert {room for room in Room if GOES[room] is not Goes.FACTS_ONLY} == WITH_WORDS == SAMPLES.keys()


@pytest.mark.parametrize("room", sorted(WITH_WORDS))
async def test_what_a_user_said_can_be_erased_from_it(journal: Journal, room: Room) -> None:
    await journal.commit(*SAMPLES[room]())
    if room is not Room.OUTBOX:
        assert WORD.encode() in bytes_of(journal)
    while some := await journal.history.belongings("ann", 2):
        await journal.commit(*some.effects())
    assert await journal.scrub()
    assert WORD.encode() not in bytes_of(journal)
    assert await journal.ask(lambda ledger: ledger.usages.by_room[room].rows) == 0
    assert await journal.history.belongings("ann", 2) == Belongings((), ())


@pytest.mark.parametrize("room", sorted(room for room in Room if GOES[room] is Goes.BY_AGE))
async def test_what_is_in_it_grows_old(journal: Journal, room: Room) -> None:
    await journal.commit(*SAMPLES[room]())

    def tidied(days: float) -> Callable[[Ledger], int]:
        def tidy(ledger: Ledger) -> int:
            ledger.tidy(ledger.now() + days * DAY)
            return ledger.usages.by_room[room].rows

        return tidy

    assert await journal.ask(tidied(6.9)) > 0
    assert await journal.ask(tidied(30.1)) == 0
    assert WORD.encode() not in bytes_of(journal)


async def test_a_request_that_is_over_has_no_words_any_more(journal: Journal) -> None:
    """It is remembered for late replies, which needs its ids."""
    await journal.commit(*SAMPLES[Room.REQUESTS]())
    await journal.commit(
        e.Delivered("c_1"), e.RequestEnded("c_2", RequestState.EXPIRED, text=SAID, fallback=True)
    )
    await journal.commit(e.PieceCame("c_1", SAID))
    await journal.scrub()
    assert WORD.encode() not in bytes_of(journal)
    rows = [row async for row in journal.requests()]
    assert [(row.correlation_id, row.session_id) for row in rows] == [("c_1", "s_1"), ("c_2", "s_1")]


async def test_what_a_gateway_left_that_was_killed_is_scrubbed_by_the_next(journal: Journal) -> None:
    await journal.commit(*SAMPLES[Room.REQUESTS]())
    assert await journal.ask(lambda ledger: ledger.unscrubbed), "what was before, nobody knows"


async def test_a_dead_letter_of_a_version_without_dates_is_as_old_as_the_start(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    migrate(db)
    ledger = Ledger(db, quotas={})
    db.execute("INSERT INTO dead_letters (kind, subject, size, record) VALUES ('answer', 'c_1', 1, x'')")
    began = time.time()
    ledger = Ledger(db, quotas={})
    ledger.tidy(began + 360 * DAY)
    assert db.execute("SELECT count(*) FROM dead_letters").fetchone() == (1,)
    ledger.tidy(began + 366 * DAY)
    assert db.execute("SELECT count(*) FROM dead_letters").fetchone() == (0,)
    db.close()
