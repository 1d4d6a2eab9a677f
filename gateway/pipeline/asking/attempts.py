"""Transcripts that may have outlived a gateway: given to the orchestrator inside a few times more, then to nobody.

Its function may end this process (``os._exit``, a crash, all memory taken), and what it was given comes again at the
next start. A transcript that is new costs nothing; one that is not is counted in the journal before it is tried.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from gateway.broker.base import Delivery
from gateway.contract.messages import TranscriptionMessage
from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import refused
from gateway.journal.effects import Received
from gateway.pipeline.asking.rows import received_row

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
"""So many gateways may end over a transcript after the one that was asked first."""
COUNTED = 1_000
"""Those that are remembered to be counted already: a broker may deliver one again while this gateway runs."""
GIVEN_UP = "the gateway ended each time it was to be answered"


class Attempts:
    """To be asked before each transcript is answered."""

    def __init__(self, journal: AnyJournal, is_new: Callable[[str], bool]) -> None:
        """``is_new``: whether what goes by that correlation id was asked by this gateway, and by none before it."""
        self._journal = journal
        self._is_new = is_new
        self._counted: OrderedDict[str, None] = OrderedDict()
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, delivery: Delivery, heard: TranscriptionMessage) -> AsyncIterator[bool]:
        """While it lasts, it is answered; false: it may not be, and is a dead letter.

        What may have ended two gateways is tried alone, so that what came beside it is not taken for it.
        """
        name = heard.correlation_id
        if (
            name in self._counted
            or (delivery.attempt == 1 and self._is_new(name))
            or await self._is_attempt(1, name)
        ):
            yield True
        else:
            async with self._alone:
                yield await self._is_left(name) or await self._give_up(delivery)

    async def _is_left(self, name: str) -> bool:
        for number in range(2, MAX_ATTEMPTS + 1):
            if await self._is_attempt(number, name):
                return True
        return False

    async def _is_attempt(self, number: int, name: str) -> bool:
        """Whether this is the attempt of that number; then it is written down."""
        try:
            is_new = await self._journal.commit(Received(f"attempt {number}", name))
        except JournalError:  # who cannot count tries
            return True
        if is_new:
            self._counted[name] = None
            if len(self._counted) > COUNTED:
                self._counted.popitem(last=False)
        return is_new

    async def _give_up(self, delivery: Delivery) -> bool:
        log.error("a transcript is given up", reason=GIVEN_UP, correlation_id=delivery.message.correlation_id)
        self._journal.commit(refused(received_row(delivery.message), GIVEN_UP))
        return False
