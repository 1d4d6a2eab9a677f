"""Whose a place is: of a gateway and those that stand by for it, one at a time serves its devices.

The broker's lease says who, where it knows leases. Whoever cannot have renewed it by the end of its time has it no
more, by a clock that goes on while the process is stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from gateway.broker.base import BrokerClosed, BrokerError, Leases, NoLeases

log = structlog.get_logger(__name__)

LEASE_SECONDS = 4.0
"""A place is free so long after nothing was heard of who has it."""
RENEW_SECONDS = 0.5
LISTEN_LOOKS = 5
"""Where there are no leases, a place that was not this one's is free when nobody was seen there at so many looks."""


def now() -> float:
    """In seconds; it goes on while the process, or the machine, sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Tenure:
    """What one process knows of it."""

    def __init__(self, broker: Leases, place: str, holder: str, is_taken: Callable[[], bool]) -> None:
        """``holder``: who this one is. ``is_taken``: where there are no leases, whether somebody is seen there."""
        self.over = asyncio.Event()
        """Whether this one is to leave it: another has it already, or is to have it back."""
        self.is_lost = False
        """Whether another has it, who once was this one."""
        self.is_gone = False
        """Whether this one will not have it again."""
        self.is_forbidden = True
        """Whether the broker forbids that two have it."""
        self.place = place
        self.holder = holder
        self._broker = broker
        self._is_taken = is_taken
        self._until = -1.0
        self._free_looks = 0

    @property
    def holds(self) -> bool:
        """Whether it is this one's for sure."""
        return now() < self._until

    @property
    def is_own(self) -> bool:
        """Whether this one is who the place is named after."""
        return self.place == self.holder

    async def look(self) -> bool:
        """Have it, or go on having it, if nobody else has it. Raises BrokerError."""
        asked_at = now()
        try:
            holder = await self._broker.lease(self.place, self.holder, LEASE_SECONDS)
        except NoLeases:
            self.is_forbidden = False
            holder = "" if self._seems_taken() else self.holder
        except BrokerError:
            self._free_looks = 0
            raise
        if holder == self.holder:
            self._until = asked_at + LEASE_SECONDS
            return True
        self._until = -1.0
        return False

    def _seems_taken(self) -> bool:
        """Whoever was not heard for a while may have been replaced meanwhile, and listens first."""
        if self._until >= 0 and not self.holds:  # it was asleep: what it has seen is of the time before
            self._free_looks = 0
        self._free_looks = 0 if self._is_taken() else self._free_looks + 1
        return self._free_looks == 0 or not (self.holds or self._free_looks > LISTEN_LOOKS)

    async def until_had(self) -> None:
        """Wait until it is this one's. Raises BrokerClosed."""
        while True:
            try:
                if await self.look():
                    return
            except BrokerClosed:
                raise
            except BrokerError as error:
                log.debug("nobody knows whose place it is", place=self.place, reason=str(error))
            await asyncio.sleep(RENEW_SECONDS)

    async def keep(self) -> None:
        """Renew it until somebody else has it, or it is given up."""
        while not self.is_gone:
            try:
                if not await self.look() and self._is_anothers():
                    log.warning("another gateway has the place of this one", place=self.place)
                    self.is_lost = self.is_gone = True
                    self.over.set()
                    return
            except BrokerClosed:
                return
            except BrokerError as error:
                log.debug("the place cannot be kept", place=self.place, reason=str(error))
            await asyncio.sleep(RENEW_SECONDS)

    def _is_anothers(self) -> bool:
        """Without leases, not to be sure yet is no reason to go."""
        return self.is_forbidden or self._free_looks == 0

    async def give_up(self) -> None:
        """Whoever waits for it may have it at once. Raises BrokerError."""
        self.is_gone = True
        self.over.set()
        self._until = -1.0
        if not self.is_lost:
            await self._broker.release(self.place, self.holder)
