"""Pieces of answers on their way into the journal: some at a time, so that none needs a sync of its own.

They were shown already. The broker hears that a piece was taken when the journal has it; a gateway that ends before
that gets it again, and shows it again: a listener may see a piece twice, but never in the whole answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from gateway.broker.base import BrokerError, Delivery
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import PieceCame

WRITE_SECONDS = 0.1
WRITE_PIECES = 32
"""Pieces are written after so long, or when there are so many."""
MAX_PIECES = 4096
"""Pieces that are not written yet; further ones are not taken until some are."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of an answer, as it was delivered; what is committed says which message it was."""

    delivery: Delivery
    came: PieceCame


class Pieces:
    """Those that are not written yet; ``run`` writes them."""

    def __init__(self, journal: AnyJournal, most_unsettled: int = MAX_PIECES) -> None:
        """``most_unsettled``: what the broker hands out before it wants to hear that something was taken."""
        self._journal = journal
        self._together = max(1, min(WRITE_PIECES, most_unsettled // 4))
        self._waiting: dict[str, list[Piece]] = {}
        self._count = 0
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until another one may be kept."""
        await self._room.wait()

    def keep(self, piece: Piece) -> None:
        """Write it soon, then tell the broker."""
        self._waiting.setdefault(piece.came.correlation_id, []).append(piece)
        self._counted(1)

    def take(self, correlation_id: str) -> list[Piece]:
        """What is not written yet of an answer that has its end, which says all that they say."""
        taken = self._waiting.pop(correlation_id, [])
        self._counted(-len(taken))
        return taken

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._many.wait()
            await self._write()

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        pieces = [piece for of_one in waiting.values() for piece in of_one]
        try:
            with suppress(JournalError):  # the journal's state is told once
                await self._journal.commit(*(piece.came for piece in pieces))  # one transaction, one sync
            await acknowledge(pieces)
        finally:
            self._counted(-len(pieces))

    def _counted(self, more: int) -> None:
        self._count += more
        for event, holds in (
            (self._some, self._waiting),
            (self._many, self._count >= self._together),
            (self._room, self._count < MAX_PIECES),
        ):
            event.set() if holds else event.clear()


async def acknowledge(pieces: Iterable[Piece]) -> None:
    """The broker need not keep them any more; those of a subscription that has ended come again, and are known."""
    for piece in pieces:
        with suppress(BrokerError):
            await piece.delivery.ack()
