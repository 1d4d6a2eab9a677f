"""What a gateway that stands by makes of the parts of a copy, in whatever order they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey
from gateway.house.copies import keeping
from gateway.house.copies.keeping import BEGINNING, CURRENT_SECONDS, CopyKeeper
from gateway.house.copies.wire import (
    COPIED_TOPIC,
    COPIES_TOPIC,
    BatchCopied,
    CopyPart,
    decode_copied,
    encode,
    pack,
)
from gateway.journal import effects as e
from gateway.journal.journal import Journal
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, stream, utterance
from tests.record import passes

KITCHEN, ATTIC = "kitchen", "attic"
FIRST = pack([(e.CopyTaken(), e.StreamOpened(stream()), e.Heard(utterance()))])
MORE = pack([(e.Transcribed("u_1"), e.Queued(letter(1)))])


class Desk:
    """A keeper, what is told to it and what it tells."""

    def __init__(self, folder: Path, **quota: int) -> None:
        self.broker = MemoryBroker()
        self.journal = Journal(JournalSettings(path=f"{folder}/attic.db", **quota))
        self.keeper = CopyKeeper(self.broker, self.journal, KITCHEN, ATTIC)
        self.told: list[BatchCopied] = []

    async def give(
        self, number: int, data: bytes, *, copy: str = "copy1", part: int = 0, parts: int = 1
    ) -> None:
        word = CopyPart(gateway=KITCHEN, copy=copy, number=number, part=part, parts=parts, data=data)
        await self.say(word)

    async def say(self, word: CopyPart) -> None:
        await self.broker.publish(COPIES_TOPIC, RoutingKey("house", KITCHEN, "journal"), encode(word))

    async def answers(self, *reasons: str) -> None:
        await passes(lambda: len(self.told) >= len(reasons))
        assert [one.reason for one in self.told] == list(reasons)

    async def hear(self) -> None:
        async with self.broker.subscribe(COPIED_TOPIC, f"device.{KITCHEN}") as copied:
            async for delivery in copied:
                self.told.append(decode_copied(delivery.message.payload))
                await delivery.ack()


@asynccontextmanager
async def desk(folder: Path, **quota: int) -> AsyncIterator[Desk]:
    one = Desk(folder, **quota)
    async with one.journal:
        tasks = [asyncio.create_task(work()) for work in (one.keeper.run, one.hear)]
        await asyncio.sleep(0.05)
        yield one
        await one.broker.close(0.1)
        await asyncio.gather(*tasks)


async def test_batch_after_batch(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        assert not one.keeper.is_current
        await one.give(1, FIRST)
        await one.give(2, pack([]))
        await one.give(3, MORE)
        await one.answers("", "", "")
        assert [row.number for row in await one.journal.letters(0, 9)] == [1]
        assert one.keeper.is_current
        assert one.keeper.batches == 3


async def test_parts_are_one_batch_once_all_are_here(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        third = len(FIRST) // 3
        pieces = [FIRST[:third], FIRST[third : 2 * third], FIRST[2 * third :]]
        await one.give(1, pieces[0], part=0, parts=3)
        await one.give(1, pieces[2], part=2, parts=3)  # the one between was lost
        for part, piece in enumerate(pieces):  # all of it is told anew
            assert one.told == []
            await one.give(1, piece, part=part, parts=3)
        await one.answers("")
        assert await one.journal.utterance("u_1")


async def test_a_copy_without_its_beginning_is_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.give(2, MORE)
        await one.give(1, MORE, copy="copy2")
        await one.answers(BEGINNING, BEGINNING)
        assert await one.journal.letters(0, 9) == []
        assert not one.keeper.is_current


async def test_another_copy_begins_anew(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.give(1, FIRST)
        await one.give(1, pack([(e.CopyTaken(),)]), copy="copy2")
        await one.give(2, MORE, copy="copy1")
        await one.answers("", "", BEGINNING)
        assert await one.journal.utterance("u_1") is None


async def test_garbage_in_a_batch_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.give(1, FIRST)
        await one.give(2, b"\xc1 garbage")
        await passes(lambda: len(one.told) == 2)
        assert one.told[1].reason
        assert await one.journal.utterance("u_1"), "what was there stays"


async def test_what_one_says_itself_is_not_taken(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.say(CopyPart(gateway=ATTIC, copy="copy1", number=1, data=FIRST))
        await one.give(1, pack([(e.CopyTaken(),)]), copy="copy2")
        await one.answers("")
        assert one.told[0].copy == "copy2"


async def test_a_journal_without_room_says_so(tmp_path: Path) -> None:
    async with desk(tmp_path, audio_mb=1) as one:
        large = [(e.Heard(utterance(f"u_{n}", start=n, audio=bytes(400_000))),) for n in range(2, 6)]
        await one.give(1, FIRST)
        await one.give(2, pack(list(large)))
        await passes(lambda: len(one.told) == 2)
        assert one.told[1].reason.startswith("its disk: the journal keeps no more utterances")
        assert not one.keeper.is_current


async def test_a_copy_of_which_nothing_is_heard_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1_000.0
    monkeypatch.setattr(keeping, "now", lambda: seconds)
    async with desk(tmp_path) as one:
        await one.give(1, FIRST)
        await one.answers("")
        seconds += CURRENT_SECONDS - 0.1
        assert one.keeper.is_current
        await one.keeper.give_up_what_is_old()
        assert await one.journal.utterance("u_1"), "it is as it was called durable"
        seconds += 0.2
        assert not one.keeper.is_current
        await one.keeper.give_up_what_is_old()
        assert await one.journal.utterance("u_1") is None


async def test_only_the_copy_that_is_meant_is_void(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.give(1, FIRST)
        await one.say(CopyPart(gateway=KITCHEN, copy="another", number=1, void=True))
        await one.give(2, pack([]))
        await one.answers("", "")
        assert one.keeper.is_current
        await one.say(CopyPart(gateway=KITCHEN, copy="copy1", number=2, void=True))
        await passes(lambda: not one.keeper.is_current)
