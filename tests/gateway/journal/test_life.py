"""An utterance wherever the journal has something of it, read beside its writer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.journal import Journal, JournalError
from gateway.journal.effects import Asked, Erased, Heard, Published, Queued, Remembered, Transcribed
from gateway.journal.life import MOST_LIVES, Life
from gateway.journal.visiting import lives_of
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, remembered, request, utterance


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    async with Journal(JournalSettings(path=str(path))) as opened:
        yield opened


async def lives(path: Path, name: str) -> list[Life]:
    return await asyncio.to_thread(lives_of, path, name)


async def test_an_utterance_is_followed_from_room_to_room(journal: Journal, path: Path) -> None:
    row = utterance("u_1", correlation_id="c_1", audio=b"\1\2" * 160)
    await journal.commit(Heard(row))
    [heard] = await lives(path, "c_1")
    assert heard.unheard is not None
    assert heard.unheard.audio == b""  # megabytes that nobody looks at
    await journal.commit(
        Transcribed("u_1"),
        Remembered(remembered("u_1", correlation_id="c_1")),
        Queued(letter(1, correlation_id="c_1")),
        Asked(request("c_1", utterance_id="u_1")),
    )
    for name in ("u_1", "c_1"):
        [asked] = await lives(path, name)
        assert (asked.utterance_id, asked.correlation_id, asked.unheard) == ("u_1", "c_1", None)
        assert asked.remembered is not None
        assert asked.request is not None
        assert [one.number for one in asked.letters] == [1]
    await journal.commit(Published(1))
    [published] = await lives(path, "u_1")
    assert published.letters == ()


async def test_what_is_erased_is_not_known(journal: Journal, path: Path) -> None:
    await journal.commit(Remembered(remembered("u_1", correlation_id="c_1", causation_id="r_1")))
    assert len(await lives(path, "r_1")) == 1
    await journal.commit(Erased("u_1"))
    assert await lives(path, "u_1") == await lives(path, "c_1") == await lives(path, "r_1") == []


@pytest.mark.parametrize("name", ["", "u_2", "%", "u_%", "' OR 1=1 --", "c_\0", "\udcff", "x" * 10_000])
async def test_nobodys_name_finds_nothing(journal: Journal, path: Path, name: str) -> None:
    await journal.commit(Remembered(remembered("u_1", correlation_id="", causation_id="")))
    assert await lives(path, name) == []


async def test_of_a_request_that_caused_too_much_some_is_read(journal: Journal, path: Path) -> None:
    rows = [Remembered(remembered(f"u_{number}", causation_id="r_1")) for number in range(MOST_LIVES + 5)]
    await journal.commit(*rows)
    assert [one.utterance_id for one in await lives(path, "r_1")] == [f"u_{n}" for n in range(MOST_LIVES)]


async def test_two_messages_of_one_utterance_are_one_life(journal: Journal, path: Path) -> None:
    await journal.commit(
        Queued(letter(1, correlation_id="c_1")), Queued(letter(2, correlation_id="c_1", agent="a"))
    )
    [found] = await lives(path, "c_1")
    assert [one.number for one in found.letters] == [1, 2]


async def test_no_journal_and_no_database_are_told(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        await lives(path, "u_1")
    await asyncio.to_thread(path.write_bytes, b"no database at all" * 100)
    with pytest.raises(JournalError):
        await lives(path, "u_1")
