"""What stands behind a connection: the port of those who answer what programs say on it."""

from __future__ import annotations

from typing import Protocol

from gateway.adapters.wyoming.events import WyomingEvent
from gateway.adapters.wyoming.info import Info
from gateway.adapters.wyoming.way_back import WayBack


class Respondent(Protocol):
    """Answers some of the events of one connection, which it is given in order."""

    @property
    def is_busy(self) -> bool:
        """Whether the program waits for us, so that it may well be silent."""

    def takes(self, event: WyomingEvent) -> bool:
        """Whether this event is its own."""

    async def take(self, event: WyomingEvent) -> None:
        """An event of its own.

        While this waits nothing more is read, not even that the program has left: what takes long is a task, which
        ``close`` cancels.
        """

    def close(self) -> None:
        """The connection is over: nobody wants any more of it. Idempotent."""


class Service(Protocol):
    """Something that the gateway does for whoever speaks Wyoming."""

    async def info(self) -> Info:
        """What it says of itself, as it is now."""

    def begin(self, line: WayBack) -> Respondent:
        """Its part of a connection that has just been opened."""
