"""The history: what is remembered, how it is found again, and that what is erased is gone from the disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.journal import Journal, JournalError
from gateway.journal import effects as e
from gateway.journal.dead_letters import not_transcribed, refused
from gateway.journal.history import History, Selection
from gateway.journal.records import HistoryReply, RequestState, Room
from gateway.journal.tables.ledger import FORGOTTEN_AT_ONCE, Ledger
from gateway.journal.tables.quotas import Quota
from gateway.journal.tables.schema import MIGRATIONS, migrate
from gateway.journal.tables.search_words import folded, terms
from gateway.journal.tables.tables import encode
from gateway.settings.history import HistorySettings
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, remembered, request, utterance
from tests.gateway.machine import Machine

WORD = "zanzibar"
"""Said by nobody else in these files."""


def journal_in(folder: Path, *, keep_audio: bool = True, **history: Any) -> Journal:
    settings = JournalSettings(path=str(folder / "journal.db"), keep_audio=keep_audio)
    return Journal(settings, history=HistorySettings(**history))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with journal_in(tmp_path) as one:
        yield one


async def found(journal: Journal, limit: int = 100, **wanted: Any) -> list[str]:
    return [row.utterance_id for row in await journal.history.page(Selection(**wanted), limit)]


def on_disk(folder: Path, what: str) -> bool:
    """Whether it stands anywhere in the journal's files, used or not."""
    files = list(folder.glob("journal.db*"))
    assert files
    return any(what.encode() in file.read_bytes() for file in files)


# -- what is remembered


async def test_an_utterance_is_remembered_from_its_text_to_its_delivery(journal: Journal) -> None:
    row = remembered("u_1")
    await journal.commit(e.Transcribed("u_1"), e.Remembered(row))
    (first,) = await journal.history.page(Selection(), 10)
    assert first == replace(row, number=1)
    reply = HistoryReply(text="The light is on.", agent="home", text_to_reply_ms=40.0)
    await journal.commit(e.PublishedIn("c_u_1", 3.0), e.Answered("c_u_1", reply))
    await journal.commit(e.HandedOver("c_u_1", 470.0))
    whole = await journal.history.utterance("u_1")
    assert whole == replace(row, number=1, reply=reply, publish_ms=3.0, speech_to_reply_ms=470.0)


async def test_a_second_answer_changes_nothing_and_one_to_nothing_does_no_harm(journal: Journal) -> None:
    await journal.commit(e.Remembered(remembered("u_1")))
    for text in ("first", "second"):
        await journal.commit(e.Answered("c_u_1", HistoryReply(text=text)))
    await journal.commit(e.Answered("c_of_nobody", HistoryReply(text="x")), e.HandedOver("c_of_nobody", 1.0))
    row = await journal.history.utterance("u_1")
    assert row is not None
    assert row.reply == HistoryReply(text="first")
    assert await found(journal, text="second") == []


async def test_what_is_transcribed_again_is_remembered_as_it_is_now(journal: Journal) -> None:
    await journal.commit(e.Remembered(remembered("u_1", "", success=False, error="no engine")))
    await journal.commit(e.Answered("c_u_1", HistoryReply(text="sorry")))
    await journal.commit(e.Remembered(remembered("u_2")))
    await journal.commit(e.Remembered(remembered("u_1", "turn it off")))
    rows = await journal.history.page(Selection(), 10)
    assert [(row.utterance_id, row.text, row.reply) for row in rows] == [
        ("u_1", "turn it off", None), ("u_2", "turn on the light", None),
    ]  # fmt: skip


async def test_nothing_is_known_of_an_utterance_that_never_was(journal: Journal) -> None:
    assert await journal.history.utterance("u_9") is None
    assert await journal.history.audio("u_9") is None
    assert not await journal.history.belongings("nobody", 10)


async def test_it_outlives_the_gateway(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await journal.commit(e.Remembered(remembered("u_1")))
    async with journal_in(tmp_path) as journal:
        assert await found(journal) == ["u_1"]


# -- how it is found


async def test_pages_go_back_without_a_gap_also_when_more_is_said_meanwhile(journal: Journal) -> None:
    await journal.commit(*(e.Remembered(remembered(f"u_{i}")) for i in range(10)))
    first = await journal.history.page(Selection(), 4)
    await journal.commit(e.Remembered(remembered("u_new")), e.Erased("u_5"))
    second = await journal.history.page(Selection(before=first[-1].number), 4)
    third = await journal.history.page(Selection(before=second[-1].number), 4)
    names = [row.utterance_id for page in (first, second, third) for row in page]
    assert names == [f"u_{i}" for i in (9, 8, 7, 6, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("light", ["u_1"]),
        ("LIGHT  turn", ["u_1"]),
        ("lig", ["u_1"]),
        ("light table", []),
        ("kuche", ["u_2"]),
        ("KÜCHE", ["u_2"]),
        ("straße", ["u_2"]),
        ("done", ["u_2"]),
        ("100%", ["u_3"]),
        ("%", ["u_3"]),
        ("_", ["u_3"]),
        ("'", ["u_3"]),
        ('"', ["u_3"]),
        ("", ["u_3", "u_2", "u_1"]),
        ("  ", ["u_3", "u_2", "u_1"]),
    ],
)
async def test_words_are_found_in_what_was_said_and_answered(
    journal: Journal, query: str, expected: list[str]
) -> None:
    await journal.commit(e.Remembered(remembered("u_1", "Turn on the light")))
    await journal.commit(e.Remembered(remembered("u_2", "Küche, Hauptstrasse")))
    await journal.commit(e.Answered("c_u_2", HistoryReply(text="It is Done.")))
    await journal.commit(e.Remembered(remembered("u_3", "100% _ ' \" OR 1=1 --")))
    assert await found(journal, text=query) == expected


async def test_a_word_does_not_reach_from_what_was_said_into_the_answer(journal: Journal) -> None:
    await journal.commit(e.Remembered(remembered("u_1", "turn on")))
    await journal.commit(e.Answered("c_u_1", HistoryReply(text="line")))
    assert await found(journal, text="online") == []


async def test_rows_are_found_by_whose_they_are_and_nobody_sees_beyond_their_scope(journal: Journal) -> None:
    for i, (user, device, session) in enumerate(
        [
            ("ann", "kitchen", "s_1"),
            ("ann", "hall", "s_2"),
            ("bob", "attic", "s_3"),
            ("bob", "kitchen", "s_4"),
        ]
    ):
        row = remembered(f"u_{i}", user_id=user, device_id=device, session_id=session)
        await journal.commit(e.Remembered(row))
    assert await found(journal, user_id="bob") == ["u_3", "u_2"]
    assert await found(journal, device_id="kitchen") == ["u_3", "u_0"]
    assert await found(journal, session_id="s_2") == ["u_1"]
    assert await found(journal, users=frozenset({"ann"})) == ["u_1", "u_0"]
    assert await found(journal, users=frozenset({"ann"}), user_id="bob") == []
    assert await found(journal, users=frozenset({"bob", "eve"}), devices=frozenset({"kitchen", "hall"})) == [
        "u_3"
    ]


@given(st.text(st.characters()))
def test_folded_words_are_found_in_folded_words(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    for term in terms(text):
        assert term in folded(text)


def test_a_search_has_so_many_words_and_no_more() -> None:
    assert terms("a b c d e f g h i j") == list("abcdefgh")
    assert terms(" \t\n") == []


async def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="history cannot be read"):
        await History(tmp_path / "nothing.db").page(Selection(), 1)
    assert not (tmp_path / "nothing.db").exists()


# -- bounds


async def test_the_oldest_make_room(tmp_path: Path) -> None:
    async with journal_in(tmp_path, utterances=3) as journal:
        await journal.commit(*(e.Remembered(remembered(f"u_{i}")) for i in range(5)))
        assert await found(journal) == ["u_4", "u_3", "u_2"]
        assert journal.stats().rooms[Room.HISTORY].evicted == 2


async def test_long_words_and_answers_are_counted(tmp_path: Path) -> None:
    async with journal_in(tmp_path, mb=1) as journal:
        for i in range(20):
            await journal.commit(e.Remembered(remembered(f"u_{i}", "x" * 40_000)))
            await journal.commit(e.Answered(f"c_u_{i}", HistoryReply(text="y" * 40_000)))
        usage = journal.stats().rooms[Room.HISTORY]
        assert usage.rows < 10
        assert usage.bytes < 1_300_000, "an answer may go over it, until the next row"


async def test_what_is_older_than_its_days_is_forgotten_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine().install(monkeypatch)
    async with journal_in(tmp_path, days=1.0, audio_days=0.5) as journal:
        old, young = remembered("u_old", f"{WORD} one"), remembered("u_young", "tomorrow")
        for row in (old, young):
            audio = row.utterance_id.encode() * 99
            spoken = utterance(row.utterance_id, session=row.utterance_id, audio=audio)
            machine.pass_by(6_500)
            await journal.commit(e.Heard(spoken))
            await journal.commit(e.Transcribed(row.utterance_id), e.Remembered(row))
        assert [row.has_audio for row in await journal.history.page(Selection(), 9)] == [True, True]
        assert on_disk(tmp_path, WORD)
        machine.pass_by(80_000)
        await journal.ask(lambda ledger: ledger.tidy(ledger.now()))
        assert [(row.utterance_id, row.has_audio) for row in await journal.history.page(Selection(), 9)] == [
            ("u_young", False)
        ]
        assert not on_disk(tmp_path, WORD)
        assert not on_disk(tmp_path, "u_oldu_old")
        assert on_disk(tmp_path, "tomorrow")


async def test_forgetting_is_done_in_pieces_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    count = 2 * FORGOTTEN_AT_ONCE + 1
    async with journal_in(tmp_path, days=1.0) as journal:
        rows = [e.Remembered(remembered(f"u_{i}")) for i in range(count)]
        await journal.commit(*rows)
        left = []
        for _ in range(3):
            await journal.ask(lambda ledger: ledger.tidy(ledger.now() + 86_500))
            left.append(journal.stats().rooms[Room.HISTORY].rows)
        assert left == [count - FORGOTTEN_AT_ONCE, 1, 0]


async def test_speech_that_waits_for_its_text_is_not_forgotten(tmp_path: Path) -> None:
    async with journal_in(tmp_path, audio_days=0.5) as journal:
        await journal.commit(e.Heard(utterance("u_1")))
        await journal.ask(lambda ledger: ledger.tidy(ledger.now() + 86_500))
        assert await journal.utterance("u_1") is not None


# -- speech


async def test_speech_is_kept_if_that_is_wanted_once_it_has_its_text(tmp_path: Path) -> None:
    for keep in (True, False):
        async with journal_in(tmp_path / str(keep), keep_audio=keep) as journal:
            await journal.commit(e.Heard(utterance("u_1", audio=b"\1\2" * 160)))
            assert await journal.history.audio("u_1") is None, "it is not in the history yet"
            await journal.commit(e.Transcribed("u_1"), e.Remembered(remembered("u_1")))
            assert await journal.history.audio("u_1") == (b"\1\2" * 160 if keep else None)
            (row,) = await journal.history.page(Selection(), 1)
            assert row.has_audio is keep


# -- erasing


async def test_what_is_erased_is_gone_from_every_table_and_every_file(
    journal: Journal, tmp_path: Path
) -> None:
    audio = WORD.encode() * 5_000  # over many pages
    spoken = utterance("u_1", audio=audio)
    await journal.commit(e.Heard(spoken))
    await journal.commit(e.Transcribed("u_1"), e.Remembered(remembered("u_1", f"{WORD} please")))
    await journal.commit(e.Asked(request("c_u_1", message=WORD.encode())))
    await journal.commit(e.RequestEnded("c_u_1", RequestState.DONE, text=f"no {WORD}"))
    await journal.commit(e.Answered("c_u_1", HistoryReply(text=f"no {WORD}")))
    await journal.commit(*not_transcribed(spoken, "later"))
    await journal.commit(refused(letter(3, payload=WORD.encode(), correlation_id="c_u_1"), "no reply"))
    await journal.commit(e.Remembered(remembered("u_2", "stays")))
    assert on_disk(tmp_path, WORD)
    await journal.commit(e.Erased("u_1"))
    assert await journal.scrub()
    assert not on_disk(tmp_path, WORD)
    assert await found(journal) == ["u_2"]
    assert await journal.history.audio("u_1") is None
    await journal.commit(e.Erased("u_1"))


async def test_of_what_is_on_its_way_only_speech_without_a_text_is_not_erased(journal: Journal) -> None:
    await journal.commit(e.Heard(utterance("u_1")))
    await journal.commit(e.Remembered(remembered("u_2")), e.Asked(request("c_u_2")))
    await journal.commit(e.Remembered(remembered("u_3")), e.Asked(request("c_u_3")))
    await journal.commit(e.RequestEnded("c_u_3", RequestState.DONE, text="yes", due=True))
    await journal.commit(e.Queued(letter(1, correlation_id="c_u_3")))
    await journal.commit(e.Erased("u_1"), e.Erased("u_2"), e.Erased("u_3"))
    assert await journal.utterance("u_1") is not None, "it has no text yet"
    assert [row async for row in journal.requests()] == []
    assert await journal.letters(0, 9) == []
    assert await found(journal) == []


async def test_all_of_a_user_is_found_in_pieces(journal: Journal) -> None:
    for i, user in enumerate(["ann", "bob", "ann", "ann"]):
        await journal.commit(e.Remembered(remembered(f"u_{i}", user_id=user)))
    alone = utterance("u_9", session="s_9", user_id="ann")
    await journal.commit(e.Heard(alone), e.Transcribed("u_9"))
    await journal.commit(refused(letter(1, user_id="ann"), "no reply"))
    rounds = 0
    while some := await journal.history.belongings("ann", 2):
        await journal.commit(*map(e.Erased, some.utterances), *map(e.LetterTaken, some.dead_letters))
        rounds += 1
    assert rounds == 2
    assert await found(journal) == ["u_1"]
    assert await journal.history.audio("u_9") is None
    assert [row async for row in journal.dead_letters()] == []


async def test_somebody_who_reads_delays_the_cleaning_and_not_the_writer(
    journal: Journal, tmp_path: Path
) -> None:
    await journal.commit(e.Remembered(remembered("u_1", WORD)))
    reader = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM history").fetchall()
    await journal.commit(e.Erased("u_1"))
    began = time.monotonic()
    assert not await journal.scrub()
    assert time.monotonic() - began < 2.0
    assert await journal.commit(e.Remembered(remembered("u_2")))
    reader.close()
    assert await journal.scrub()
    assert not on_disk(tmp_path, WORD)


# -- files of before


def test_a_journal_of_version_1_is_taken_over_with_what_is_in_it(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    migrate(db, MIGRATIONS[:1])
    spoken, dead = utterance("u_1", user_id="bob", heard_at=5.0), not_transcribed(utterance("u_2"), "no")[1]
    db.execute(
        "INSERT INTO utterances (utterance_id, session_id, start, attempts, done, size, record)"
        " VALUES ('u_1', 's_1', 0, 0, 1, 9, ?)",
        (encode(spoken),),
    )
    db.execute(
        "INSERT INTO dead_letters (kind, subject, size, record) VALUES ('utterance', 'u_2', 9, ?)",
        (encode(dead.letter),),
    )
    migrate(db)
    assert db.execute("SELECT user_id, heard_at FROM utterances").fetchall() == [("bob", 5.0)]
    assert db.execute("SELECT user_id, correlation_id FROM dead_letters").fetchall() == [("ann", "c_u_2")]
    assert db.execute("SELECT count(*) FROM history").fetchone() == (0,)
    ledger = Ledger(db, dict.fromkeys(Room, Quota(1000, 1 << 30)))
    db.execute("BEGIN")
    assert ledger.apply([e.Remembered(remembered("u_3"))])
    db.close()
