"""The journal as the gateway uses it: what is committed is there in the next life, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal, JournalError, JournalInUse, JournalState, NotDurable
from gateway.journal import effects as e
from gateway.journal.jobs import Query
from gateway.journal.records import RequestState, Room
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import dead, letter, request, stream, utterance


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Journal]:
    async with Journal(JournalSettings(path=str(folder / "journal.db"), **settings)) as journal:
        yield journal


async def listed(rows: AsyncIterator[Any]) -> list[Any]:
    return [row async for row in rows]


async def test_the_next_gateway_finds_what_this_one_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.commit(e.StreamOpened(stream()))
        await journal.commit(e.Heard(utterance("u_1", start=0)))
        await journal.commit(e.Heard(utterance("u_2", start=160)))
        await journal.commit(
            e.Transcribed("u_1"), e.Queued(letter(journal.next_number())), e.Asked(request("c_1"))
        )
        await journal.commit(e.Died(dead()))
    async with opened(tmp_path) as journal:
        (spoken,) = await listed(journal.streams())
        assert (spoken.session_id, spoken.heard_to) == ("s_1", 320)
        assert [row.utterance_id for row in await listed(journal.utterances())] == ["u_2"]
        assert await journal.letters(0, 10) == [letter(1)]
        assert [row.state for row in await listed(journal.requests())] == [RequestState.OPEN]
        assert [row.subject for row in await listed(journal.dead_letters())] == ["m_1"]
        assert journal.next_number() == 2
        assert journal.state == JournalState(durable=True)


async def test_numbers_go_on_where_they_were_also_when_everything_was_published(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert [journal.next_number() for _ in range(3)] == [1, 2, 3]
        await journal.commit(e.Queued(letter(3)), e.Published(3))
    async with opened(tmp_path) as journal:
        assert journal.next_number() == 4


async def test_commits_are_in_the_order_of_their_calls(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.commit(e.Asked(request()))
        pieces = [f"{i} " for i in range(300)]
        await asyncio.gather(*(journal.commit(e.PieceCame("c_1", piece)) for piece in pieces))
        (row,) = await listed(journal.requests())
        assert row.text == "".join(pieces)
        counters = journal.stats().counters
        assert counters.commits == 301
        assert counters.transactions < 150, "what waits is committed together"


async def test_a_group_has_a_bound(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await asyncio.gather(*(journal.commit(e.Queued(letter(i))) for i in range(1, 321)))
        assert journal.stats().counters.transactions >= 10


async def test_a_question_sees_what_was_committed_before_it_and_nothing_after(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        before = asyncio.ensure_future(journal.commit(e.Queued(letter(1))))
        asking = asyncio.ensure_future(journal.letters(0, 10))
        await asyncio.sleep(0)
        after = asyncio.ensure_future(journal.commit(e.Queued(letter(2))))
        assert [row.number for row in await asking] == [1]
        assert await asyncio.gather(before, after) == [True, True]


async def test_more_rows_than_a_page_are_all_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await asyncio.gather(*(journal.commit(e.Heard(utterance(f"u_{i}", start=i))) for i in range(100)))
        names = [row.utterance_id for row in await listed(journal.utterances())]
        assert names == [f"u_{i}" for i in range(100)]
        assert [row.number for row in await journal.letters(0, 5)] == []


async def test_a_known_message_is_told_by_the_commit_and_by_asking(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert not await journal.knows("replies", "m_1")
        assert await journal.commit(e.Received("replies", "m_1"))
        assert not await journal.commit(e.Received("replies", "m_1"))
    async with opened(tmp_path) as journal:
        assert await journal.knows("replies", "m_1")
        assert not await journal.commit(e.Received("replies", "m_1"), e.Queued(letter()))
        assert await journal.letters(0, 10) == []


async def test_a_cancelled_caller_has_it_committed_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        committing = asyncio.ensure_future(journal.commit(e.Queued(letter(1))))
        await asyncio.sleep(0)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert [row.number for row in await journal.letters(0, 10)] == [1]


async def test_what_is_committed_last_is_written_before_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        last = asyncio.ensure_future(journal.commit(e.Queued(letter(9))))
        await asyncio.sleep(0)
    assert await last
    async with opened(tmp_path) as journal:
        assert [row.number for row in await journal.letters(0, 10)] == [9]


async def test_one_bad_commit_harms_nobody_beside_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        good = [asyncio.ensure_future(journal.commit(e.Queued(letter(i)))) for i in (1, 2)]
        huge = asyncio.ensure_future(journal.commit(e.Queued(letter(1 << 70))))
        with pytest.raises(JournalError, match="cannot be written"):
            await huge
        assert await asyncio.gather(*good) == [True, True]
        assert journal.state.durable
        assert len(await journal.letters(0, 10)) == 2


async def test_two_gateways_do_not_share_a_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        with pytest.raises(JournalInUse, match=r"in use by process \d+.*journal.path of its own"):
            async with opened(tmp_path):
                raise AssertionError
        assert await first.commit(e.Queued(letter()))
    async with opened(tmp_path) as second:
        assert await second.letters(0, 10) == [letter()]


async def test_dead_letters_are_found_by_their_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for name in ("m_1", "m_2", "m_3"):
            await journal.commit(e.Died(dead(name)))
        found = await journal.dead_letter(2)
        assert found is not None
        assert (found.number, found.subject) == (2, "m_2")
        assert await journal.dead_letter(4) is None
        await journal.commit(e.LetterTaken(2))
        assert await journal.dead_letter(2) is None


async def test_kept_audio_stays_and_makes_no_work(tmp_path: Path) -> None:
    async with opened(tmp_path, keep_audio=True) as journal:
        await journal.commit(e.Heard(utterance()))
        await journal.commit(e.Transcribed("u_1"))
    async with opened(tmp_path, keep_audio=True) as journal:
        assert await listed(journal.utterances()) == []
        assert journal.stats().rooms[Room.UTTERANCES].rows == 1


async def test_a_journal_that_cannot_be_opened_is_a_state(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    states: list[JournalState] = []
    settings = JournalSettings(path=str(in_the_way / "journal.db"))
    async with Journal(settings, on_state=states.append) as journal:
        with pytest.raises(NotDurable):
            await journal.commit(e.Queued(letter(journal.next_number())))
        with pytest.raises(NotDurable):
            await journal.letters(0, 1)
        assert not journal.state.durable
        in_the_way.unlink()
        assert await journal.commit(e.Queued(letter(journal.next_number())))
        first, second = [row.number for row in await journal.letters(0, 10)]
        assert second == first + 1, "the first was not forgotten"
        assert first > 1 << 48, "it cannot be a number that the file had"
        assert journal.state == JournalState(durable=True)
    await asyncio.sleep(0)
    assert [state.durable for state in states] == [False, True]
    assert "cannot be written" in states[0].reason
    assert states[0].remedy


async def test_the_thread_answers_what_it_is_asked_even_when_the_answer_is_an_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:

        def broken(_ledger: object) -> None:
            raise JournalError("no such thing")

        ticket = asyncio.get_running_loop().create_future()
        journal._writer.submit(Query(broken, ticket))
        with pytest.raises(JournalError, match="no such thing"):
            await ticket
