"""What is kept of one user beside the history: all of it, in order, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.journal import Journal, JournalError
from gateway.journal import effects as e
from gateway.journal.dead_letters import refused
from gateway.journal.records import RequestState
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, remembered, request, turn, utterance


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with Journal(JournalSettings(path=str(tmp_path / "journal.db"))) as one:
        yield one


async def fill(journal: Journal, user: str) -> None:
    """Two of everything."""
    for number in range(2):
        name = f"{user}_{number}"
        await journal.commit(
            e.Heard(utterance(f"u_{name}", session=f"s_{user}", start=number * 160, user_id=user)),
            e.TurnSaid(
                turn(f"t_{name}", f"{user} says {number}", user_id=user, device_id=f"board-{user}"), 9
            ),
            e.Asked(request(f"r_{name}", user_id=user)),
            e.Queued(letter(journal.next_number(), message_id=f"m_{name}", user_id=user)),
            refused(letter(0, message_id=f"d_{name}", user_id=user), "no such thing"),
        )


async def test_all_of_it_in_order_and_nothing_of_others(journal: Journal) -> None:
    for user in ("ann", "bob"):
        await fill(journal, user)
    ann = await journal.history.of_user("ann")
    assert [one.text for one in ann.turns] == ["ann says 0", "ann says 1"]
    assert [one.correlation_id for one in ann.requests] == ["r_ann_0", "r_ann_1"]
    assert [one.message_id for one in ann.letters] == ["m_ann_0", "m_ann_1"]
    assert [one.subject for one in ann.dead_letters] == ["d_ann_0", "d_ann_1"]
    assert ann.unheard == ("u_ann_0", "u_ann_1")


async def test_of_somebody_unknown_there_is_nothing(journal: Journal) -> None:
    await fill(journal, "ann")
    nobody = await journal.history.of_user("nobody")
    assert not any((nobody.turns, nobody.requests, nobody.letters, nobody.dead_letters, nobody.unheard))


async def test_what_is_over_is_history_and_no_part_of_it(journal: Journal) -> None:
    await fill(journal, "ann")
    await journal.commit(
        e.Transcribed("u_ann_0"),
        e.Remembered(remembered("u_ann_0")),
        e.RequestEnded("r_ann_0", RequestState.DONE, "yes", None, fallback=False, due=False),
    )
    ann = await journal.history.of_user("ann")
    assert ann.unheard == ("u_ann_1",)
    assert [one.correlation_id for one in ann.requests] == ["r_ann_1"]


async def test_an_answer_that_nobody_took_is_there(journal: Journal) -> None:
    await journal.commit(
        e.Asked(request("r_1")),
        e.RequestEnded("r_1", RequestState.DONE, "yes", None, fallback=False, due=True),
    )
    assert len((await journal.history.of_user("ann")).requests) == 1


async def test_two_users_of_one_device_have_each_their_own(journal: Journal) -> None:
    for user in ("ann", "bob"):
        said = turn(f"t_{user}", f"{user} says", user_id=user, device_id="hall", conversation_id="v_1")
        await journal.commit(e.TurnSaid(said, 9))
    assert [one.text for one in (await journal.history.of_user("ann")).turns] == ["ann says"]


async def test_once_it_is_erased_there_is_nothing(journal: Journal) -> None:
    await fill(journal, "ann")
    while some := await journal.history.belongings("ann", 50):
        await journal.commit(*some.effects())
    ann = await journal.history.of_user("ann")
    assert not any((ann.turns, ann.requests, ann.letters, ann.dead_letters, ann.unheard))


async def test_a_journal_that_cannot_be_read_is_an_error(journal: Journal) -> None:
    journal.history._path = journal.path.with_name("gone.db")
    with pytest.raises(JournalError):
        await journal.history.of_user("ann")
    journal.history._path = journal.path
