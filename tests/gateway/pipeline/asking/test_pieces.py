"""Pieces are acknowledged when the journal has them, many at a time, and not taken without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey, Subscription
from gateway.contract.messages import REPLIES_TOPIC
from gateway.journal import Journal
from gateway.journal.effects import PieceCame
from gateway.pipeline.asking.pieces import MAX_PIECES, WRITE_PIECES, Piece, Pieces, acknowledge
from gateway.settings.journal import JournalSettings
from tests.record import passes
from tests.system.house import running

KEY = RoutingKey("home", "kitchen", "s_1")


class Desk:
    """Pieces, the journal behind them, and the broker that they come from."""

    def __init__(self, journal: Journal, broker: MemoryBroker, replies: Subscription) -> None:
        self.journal = journal
        self.pieces = Pieces(journal)
        self._broker = broker
        self._replies = replies

    async def piece(self, number: int, correlation_id: str = "c_1") -> Piece:
        await self._broker.publish(REPLIES_TOPIC, KEY, b"")
        delivery = await anext(aiter(self._replies))
        name = f"{correlation_id}/m_{number}"
        return Piece(delivery, PieceCame(correlation_id, f"{number} ", "agent", name))

    async def keep(self, count: int, correlation_id: str = "c_1") -> None:
        for number in range(count):
            self.pieces.keep(await self.piece(number, correlation_id))

    @property
    def acknowledged(self) -> int:
        (topic,) = self._broker.stats()
        return topic.acknowledged


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    broker = MemoryBroker()
    async with (
        Journal(JournalSettings(path=str(tmp_path / "journal.db"))) as journal,
        broker.subscribe(REPLIES_TOPIC) as replies,
    ):
        yield Desk(journal, broker, replies)
    await broker.close()


async def test_pieces_are_written_together_and_acknowledged_then(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.journal.commit()
        await one.keep(10)
        before = one.journal.stats().counters.transactions
        assert one.acknowledged == 0
        with running(one.pieces.run()):
            await passes(lambda: one.acknowledged == 10)
        assert one.journal.stats().counters.transactions - before == 1
        assert [await one.journal.knows("agent", f"c_1/m_{number}") for number in (0, 9, 10)] == [
            True,
            True,
            False,
        ]


async def test_what_has_its_end_is_not_written_and_is_acknowledged_with_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.keep(3)
        await one.keep(2, "c_2")
        taken = one.pieces.take("c_1")
        assert [piece.came.text for piece in taken] == ["0 ", "1 ", "2 "]
        assert one.pieces.take("c_1") == []
        await acknowledge(taken)
        assert one.acknowledged == 3
        with running(one.pieces.run()):
            await passes(lambda: one.acknowledged == 5)
        assert not await one.journal.knows("agent", "c_1/m_0")
        assert await one.journal.knows("agent", "c_2/m_0")


async def test_many_do_not_wait_for_their_time_and_too_many_are_not_taken(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.keep(WRITE_PIECES)
        assert one.pieces._many.is_set()
        await one.keep(MAX_PIECES - WRITE_PIECES)
        waiting = asyncio.create_task(one.pieces.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        with running(one.pieces.run()):
            await waiting
            await passes(lambda: one.acknowledged == MAX_PIECES)


async def test_a_broker_that_hands_out_little_hears_soon(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.pieces = Pieces(one.journal, 8)
        await one.keep(1)
        assert not one.pieces._many.is_set()
        await one.keep(1)
        assert one.pieces._many.is_set()


async def test_a_piece_of_a_subscription_that_has_ended_is_no_failure(tmp_path: Path) -> None:
    broker = MemoryBroker()
    async with Journal(JournalSettings(path=str(tmp_path / "journal.db"))) as journal:
        async with broker.subscribe(REPLIES_TOPIC) as replies:
            one = Desk(journal, broker, replies)
            await one.keep(1)
        with running(one.pieces.run()):
            await passes(lambda: one.pieces._count == 0)
        assert one.acknowledged == 0
    await broker.close()
