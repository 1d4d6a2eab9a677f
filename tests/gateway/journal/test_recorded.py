"""Journals that older versions have written, as they were recorded then, and what becomes of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.contract.messages import decode_transcription
from gateway.journal import Journal
from gateway.journal.file import copy_of_version
from gateway.journal.history import Selection
from gateway.journal.records import RequestState
from gateway.journal.tables.schema import VERSION
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.recording import FOLDER, TEXTS, recorded
from tests.record import passes
from tests.system.process import run

FIRST = 2
"""No journal of version 1 was ever kept."""
VERSIONS = range(FIRST, VERSION + 1)


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def path(version: int, tmp_path: Path) -> Path:
    return recorded(version, tmp_path / "journal.db")


def test_every_version_so_far_was_recorded() -> None:
    """`python -m tests.gateway.journal.recording` does it."""
    names = {f"version-{number}.db.gz" for number in VERSIONS}
    assert {file.name for file in FOLDER.iterdir()} == names


def test_it_is_of_that_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (version,)


async def test_what_was_said_and_answered_is_remembered(path: Path) -> None:
    async with Journal(JournalSettings(path=str(path))) as journal:
        rows = await journal.history.page(Selection(), 10)
        assert [row.text for row in reversed(rows)] == [*TEXTS, TEXTS[0]]
        replies = {row.text: row.reply.text for row in rows if row.reply is not None}
        assert replies.keys() == set(TEXTS[:2])
        assert replies[TEXTS[1]].endswith("The office lights are off.")
        (found,) = await journal.history.page(Selection(text="eight seven"), 10)
        assert (found.device_id, found.success, found.audio.seconds > 0.3) == ("attic", True, True)
        (first, second) = await journal.history.page(Selection(device_id="kitchen"), 10)
        assert first.number > second.number


async def test_what_was_on_its_way_still_is(path: Path) -> None:
    async with Journal(JournalSettings(path=str(path))) as journal:
        letters = await journal.letters(0, 10)
        said = [decode_transcription(letter.payload).text for letter in letters]
        assert said == [TEXTS[2], TEXTS[0]]
        waiting = [row async for row in journal.requests() if row.state is RequestState.OPEN]
        assert [row.device_id for row in waiting] == ["attic", "attic"]
        assert {row.correlation_id for row in waiting} == {letter.correlation_id for letter in letters}
        streams = [row async for row in journal.streams()]
        assert {row.device_id for row in streams} >= {"attic"}
        assert journal.next_number() > max(letter.number for letter in letters)


async def test_it_is_erased_like_what_is_said_today(path: Path, version: int) -> None:
    async with Journal(JournalSettings(path=str(path))) as journal:
        assert copy_of_version(path, version).exists() == (version < VERSION)
        while some := await journal.history.belongings("home", 50):
            await journal.commit(*some.effects())
        await journal.scrub()
        await journal.drop_copies()
    for word in ("office", "garden", "eight"):
        for file in path.parent.iterdir():
            assert word.encode() not in file.read_bytes(), f"{word} in {file.name}"


@pytest.mark.parametrize("version", [FIRST, VERSION - 1])
async def test_a_gateway_of_today_goes_on_with_it(version: int, tmp_path: Path) -> None:
    """What waited for a broker is published, once."""
    path = recorded(version, tmp_path / "journal.db")

    def left(table: str) -> int:
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    assert left("outbox") == 2
    async with run(tmp_path, journal={"path": str(path)}) as gateway:
        await passes(lambda: left("outbox") == 0)
        await gateway.terminate()
    assert left("history") == 4
    assert left("dead_letters") == 0
