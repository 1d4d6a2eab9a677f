"""What somebody wants forgotten: here at once, in the whole house, and long after it was wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.contract.events import Subscribe
from gateway.journal import Journal
from gateway.journal import effects as e
from gateway.journal.history import Selection
from gateway.journal.records import DeadLetterRow, HistoryReply, LetterKind
from gateway.pipeline import forgetting
from gateway.pipeline.forgetting import Forgetting
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import dead, letter, remembered, request, turn, utterance
from tests.gateway.works import Works, loud, open_works

NOW = time.time()
LONG_AGO, THEN, SINCE = NOW - 9_000, NOW - 5_000, NOW - 1_000


class Place:
    """A gateway, with what is to be forgotten in it."""

    def __init__(self, works: Works, *, everywhere: bool) -> None:
        self.works = works
        assert isinstance(works.journal, Journal)
        self.journal = works.journal
        self.forgetting = Forgetting(self.journal, works.pipeline.erasing, works.hub, everywhere=everywhere)

    async def names(self) -> list[str]:
        return [row.utterance_id for row in await self.journal.history.page(Selection(), 100)]

    async def wishes(self) -> list[tuple[str, str]]:
        return [(kind, subject) for kind, subject, _ in await self.journal.history.erasures()]


def dead_of(name: str, **fields: Any) -> DeadLetterRow:
    """A message of ann's that nobody took."""
    record = msgspec.msgpack.encode(letter(9))
    return dead(name, kind=LetterKind.OUTGOING, record=record, **fields)


@asynccontextmanager
async def place(folder: Path, *, everywhere: bool = False) -> AsyncIterator[Place]:
    async with open_works(journal=folder / "journal.db") as works:
        yield Place(works, everywhere=everywhere)


@pytest.mark.parametrize("everywhere", [False, True])
async def test_one_utterance_is_forgotten_here_and_wanted_forgotten_elsewhere_where_it_is_shared(
    tmp_path: Path, *, everywhere: bool
) -> None:
    async with place(tmp_path, everywhere=everywhere) as one:
        await one.journal.commit(e.Remembered(remembered("u_1")), e.Remembered(remembered("u_2")))
        await one.forgetting.utterance("u_1", "c_u_1")
        assert await one.names() == ["u_2"]
        assert await one.wishes() == ([("utterance", "u_1")] if everywhere else [])


async def test_an_utterance_that_only_others_have_heard_is_wanted_forgotten_too(tmp_path: Path) -> None:
    async with place(tmp_path, everywhere=True) as one:
        await one.forgetting.utterance("u_9", "c_u_9")
        assert await one.wishes() == [("utterance", "u_9")]


async def test_a_user_is_forgotten_with_all_that_waits(tmp_path: Path) -> None:
    async with place(tmp_path, everywhere=True) as one:
        await one.journal.commit(
            e.Remembered(remembered("u_1")),
            e.Remembered(remembered("u_bob", user_id="bob")),
            e.Died(dead_of("u_1")),
            e.Asked(request("c_2")),
        )
        assert (await one.forgetting.user("ann")).total >= 2
        assert await one.names() == ["u_bob"]
        assert await one.wishes() == [("user", "ann")]
        assert not await one.journal.history.belongings("ann", 10)


async def test_what_others_were_asked_is_not_asked_of_them_again(tmp_path: Path) -> None:
    async with place(tmp_path, everywhere=True) as one:
        await one.journal.commit(e.Remembered(remembered("u_1")), e.Remembered(remembered("u_2")))
        await one.forgetting.as_asked("utterance", "u_1", 0.0, just_now=False)
        await one.forgetting.as_asked("utterance", "u_9", 0.0, just_now=False)
        assert await one.names() == ["u_2"]
        await one.forgetting.as_asked("user", "ann", 0.0, just_now=True)
        assert (await one.names(), await one.wishes()) == ([], [])


@pytest.mark.parametrize(
    ("seconds_ago", "just_now", "left"),
    [
        (5_000, False, ["u_since"]),
        (5_000, True, []),
        (9_001, False, ["u_since", "u_before"]),
        (-forgetting.JUST_NOW, False, []),
    ],
)
async def test_a_gateway_that_was_away_forgets_up_to_when_it_was_wanted(
    tmp_path: Path, seconds_ago: float, left: list[str], *, just_now: bool
) -> None:
    async with place(tmp_path) as one:
        await one.journal.commit(e.Remembered(remembered("u_before", spoken_at=LONG_AGO)))
        await one.journal.commit(e.Remembered(remembered("u_since", spoken_at=SINCE)))
        await one.forgetting.as_asked("user", "ann", NOW - seconds_ago, just_now=just_now)
        assert await one.names() == left


async def test_many_are_forgotten_some_at_a_time(tmp_path: Path) -> None:
    async with place(tmp_path) as one:
        count = 2 * forgetting.AT_ONCE + 3
        for number in range(count):
            one.journal.commit(e.Remembered(remembered(f"u_{number}", spoken_at=LONG_AGO)))
        await one.journal.commit(e.Remembered(remembered("u_bob", user_id="bob", spoken_at=LONG_AGO)))
        await one.forgetting.as_asked("user", "ann", THEN, just_now=False)
        assert await one.names() == ["u_bob"]


async def test_listeners_who_come_later_are_not_shown_what_others_wanted_forgotten(tmp_path: Path) -> None:
    async with place(tmp_path) as one, one.works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await one.works.result()
        await one.works.reply(heard, "yes")
        await saying
        await one.works.idle()
        await one.works.settled()
        hub = one.works.hub

        async def shown() -> str:
            texts = []
            with hub.attach(Subscribe(epoch=hub.epoch, seq=0)) as outbox:
                while outbox.pending or outbox._first:
                    texts.append((await anext(outbox)).text)
            return "".join(texts)

        assert '"yes"' in await shown()
        await one.forgetting.as_asked("utterance", heard.utterance_id, 0.0, just_now=True)
        assert '"yes"' not in await shown()


# -- what the journal says belongs to a user until then


async def test_what_belongs_to_somebody_until_then_is_what_is_that_old(tmp_path: Path) -> None:
    settings = JournalSettings(path=str(tmp_path / "journal.db"), keep_audio=True)
    async with Journal(settings) as journal:
        for start, (name, at) in enumerate((("old", LONG_AGO), ("new", SINCE))):
            await journal.commit(
                e.Heard(utterance(f"u_{name}_waits", start=start * 1_000, heard_at=at)),
                e.Heard(utterance(f"u_{name}_done", start=start * 1_000 + 500, heard_at=at)),
                e.Remembered(remembered(f"u_{name}", spoken_at=at)),
                e.Died(dead_of(f"m_{name}", died_at=at)),
                e.Asked(request(f"c_{name}", asked_at=at)),
                e.TurnSaid(turn(f"c_{name}_turn", timestamp=at), 10),
                e.Queued(letter(1 if name == "old" else 2, queued_at=at)),
            )
            await journal.commit(e.Transcribed(f"u_{name}_done"))
        found = await journal.history.belongings_until("ann", 10, THEN)
        assert found.utterances == ("u_old", "u_old_done")
        assert found.speech == ("u_old_waits",)
        assert found.requests == ("c_old", "c_old_turn")
        assert (len(found.dead_letters), len(found.letters)) == (1, 1)
        assert len(await journal.history.belongings_until("ann", 1, THEN)) == 5
        assert not await journal.history.belongings_until("bob", 10, THEN)
        await journal.commit(*found.effects())
        assert not await journal.history.belongings_until("ann", 10, THEN)
        left = await journal.history.belongings_until("ann", 10, time.time())
        assert left.utterances == ("u_new", "u_new_done")


async def test_it_is_told_which_can_be_heard(tmp_path: Path) -> None:
    settings = JournalSettings(path=str(tmp_path / "journal.db"), keep_audio=True)
    async with Journal(settings) as journal:
        await journal.commit(e.Heard(utterance("u_1")), e.Heard(utterance("u_2", start=160)))
        await journal.commit(e.Transcribed("u_1"), e.Remembered(remembered("u_1")))
        assert await journal.history.with_audio(["u_1", "u_2", "u_9"]) == {"u_1"}


async def test_an_answer_that_comes_after_it_was_forgotten_brings_nothing_back(tmp_path: Path) -> None:
    async with place(tmp_path) as one:
        await one.journal.commit(e.Remembered(remembered("u_1")))
        await one.forgetting.as_asked("utterance", "u_1", 0.0, just_now=True)
        await one.journal.commit(e.Answered("c_u_1", HistoryReply(text="late")))
        assert await one.names() == []
