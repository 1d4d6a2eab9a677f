"""The journal of a gateway that stands by: what the one that serves tells of its own is written here."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from gateway.broker.base import BrokerError, MessageBroker, RoutingKey
from gateway.contract.messages import BadMessage
from gateway.house.copies.wire import (
    COPIED_TOPIC,
    COPIES_TOPIC,
    BatchCopied,
    CopyPart,
    decode_part,
    encode,
    unpack,
)
from gateway.house.row.tenure import LEASE_SECONDS, now
from gateway.house.row.wire import MSGPACK
from gateway.journal.effects import CopyGivenUp, CopyTaken, Effect
from gateway.journal.errors import JournalError, NotDurable, RoomFull
from gateway.journal.journal import Journal

log = structlog.get_logger(__name__)

CURRENT_SECONDS = LEASE_SECONDS + 3.0
"""A copy of which nothing was heard for longer when its gateway's place was free, is one that it had given up."""
BEGINNING = "the beginning of this copy is not here"


class CopyKeeper:
    """Takes copies, and tells when they are on the disk."""

    def __init__(self, broker: MessageBroker, journal: Journal, place: str, name: str) -> None:
        """``place``: whose journal it is. ``name``: who this one is."""
        self.batches = 0
        """Taken since the start."""
        self._broker = broker
        self._journal = journal
        self._place = place
        self._name = name
        self._copy = ""
        self._number = 0
        self._heard_at = float("-inf")
        self._parts: list[bytes] = []
        self._of = ("", 0)

    @property
    def is_current(self) -> bool:
        """Whether all that was called durable is here."""
        return bool(self._copy) and now() - self._heard_at < CURRENT_SECONDS

    async def run(self) -> None:
        """Until the broker is closed."""
        async with self._broker.subscribe(COPIES_TOPIC, f"device.{self._place}") as copies:
            async for delivery in copies:
                try:
                    part = decode_part(delivery.message.payload)
                except BadMessage as error:
                    log.warning("a copy of a journal cannot be read", reason=str(error))
                else:
                    await self._take(part)
                with suppress(BrokerError):
                    await delivery.ack()

    async def give_up_what_is_old(self) -> None:
        """Before this one takes the place: what its gateway has gone on with alone is for that one to end.

        Raises JournalError.
        """
        if not self.is_current:
            await self._journal.commit(CopyGivenUp())

    async def _take(self, part: CopyPart) -> None:
        if part.gateway == self._name:
            return
        if part.void:
            if part.copy == self._copy:
                self._copy = ""
            return
        if part.copy == self._copy and part.number <= self._number:
            await self._tell(part, "")  # again: the word that it is here was lost
            return
        if (part.copy, part.number) != self._of or part.part == 0:
            self._of, self._parts = (part.copy, part.number), []
        if part.part != len(self._parts):
            return  # some of it was lost: it is told anew
        self._parts.append(part.data)
        if len(self._parts) == part.parts:
            data, self._parts = b"".join(self._parts), []
            await self._tell(part, await self._write(part, data))

    async def _write(self, part: CopyPart, data: bytes) -> str:
        """Why it is not here; empty: it is."""
        try:
            commits = unpack(data)
        except BadMessage as error:
            return str(error)[:500]
        is_first = part.number == 1 and bool(commits) and isinstance(commits[0][0], CopyTaken)
        if not is_first and (part.copy, part.number) != (self._copy, self._number + 1):
            self._copy = ""
            return BEGINNING
        reason = await self._commit(commits)
        if reason:
            self._copy = ""
            return reason
        self._copy, self._number, self._heard_at = part.copy, part.number, now()
        self.batches += 1
        return ""

    async def _commit(self, commits: list[tuple[Effect, ...]]) -> str:
        results = await asyncio.gather(
            *(self._journal.commit(*effects) for effects in commits if effects), return_exceptions=True
        )
        for result in results:
            if isinstance(result, NotDurable | RoomFull):
                return f"its disk: {result}"[:500]
            if isinstance(result, BaseException) and not isinstance(result, JournalError):
                raise result
        return ""

    async def _tell(self, part: CopyPart, reason: str) -> None:
        told = BatchCopied(gateway=self._name, copy=part.copy, number=part.number, reason=reason)
        key = RoutingKey("house", self._place, self._name)
        with suppress(BrokerError):  # it is asked again
            await self._broker.publish(COPIED_TOPIC, key, encode(told), content_type=MSGPACK)
