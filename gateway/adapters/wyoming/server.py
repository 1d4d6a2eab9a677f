"""The server for programs that speak Wyoming, on TCP and on Unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeAlias

import structlog

from firmware_bridge.pacing import Allowance, Backoff
from gateway.adapters.doors import AdapterDoor, NotLetIn
from gateway.adapters.wyoming.connection import CLOSE_SECONDS, READ_BYTES, ProgramConnection
from gateway.adapters.wyoming.events import ErrorReport
from gateway.adapters.wyoming.places import CannotTakePlace, ListeningPlace, taken
from gateway.adapters.wyoming.respondents import Service
from gateway.adapters.wyoming.way_back import WayBack
from gateway.process.ending import until_done
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 2.0
LATEST_AGAIN_SECONDS = 60.0
"""A place that cannot be had is tried again after so long, doubling."""
LOGGED_AT_ONCE = 10
LOGGED_PER_SECOND = 1 / 60
"""Of those who were not let in."""


WhileOpen: TypeAlias = Callable[[Sequence[ListeningPlace]], AbstractAsyncContextManager[None]]


class WyomingServer:
    """Whoever comes is let in or told why not, and served until they leave."""

    def __init__(
        self,
        places: Sequence[str],
        services: Sequence[Service],
        door: AdapterDoor,
        mishaps: Mishaps,
        *,
        while_open: WhileOpen = lambda _places: nullcontext(),
    ) -> None:
        """``places``: as in ``adapters.wyoming.listen``. ``while_open``: what is to be done while all are there."""
        self._wanted = places
        self._services = services
        self._door = door
        self._mishaps = mishaps
        self._while_open = while_open
        self._connections: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._logged = Allowance(LOGGED_AT_ONCE, LOGGED_PER_SECOND, loop.time())
        self.places: list[ListeningPlace] = []
        """Where it listens."""

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            await self._open_all()
            async with self._while_open(self.places):
                await asyncio.get_running_loop().create_future()
        finally:
            for place in self.places:
                await place.close()
            self._door.close()
            await until_done(self._connections)

    async def _open_all(self) -> None:
        """Each place as soon as it can be had."""
        missing = list(self._wanted)
        backoff = Backoff(AGAIN_SECONDS, LATEST_AGAIN_SECONDS)
        while missing:
            try:
                self.places.append(await taken(missing[0], self._come, READ_BYTES))
            except CannotTakePlace as error:
                self._door.failed(str(error), error.remedy, works=bool(self.places))
                await asyncio.sleep(backoff.next())
                missing.append(missing.pop(0))
            else:
                missing.pop(0)
        self._door.opened(", ".join(place.url for place in self.places))

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody has come."""
        task = asyncio.create_task(self._contained(reader, writer), name="wyoming connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _contained(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What goes wrong on a connection is its own end, and nobody else's."""
        with self._mishaps.contained("wyoming connection"):
            await self._serve(reader, writer, _address(writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        try:
            with self._door.admitted(address) as name:
                line = WayBack(writer, name, f"wyoming {address}".strip())
                await ProgramConnection(reader, line, self._services).run()
        except NotLetIn as error:
            if self._logged.take(asyncio.get_running_loop().time()):
                log.warning("a program was not let in", adapter="wyoming", reason=str(error))
            line = WayBack(writer, address, "")
            line.put(ErrorReport(str(error), "not-allowed"))
            await line.close(CLOSE_SECONDS)


def _address(writer: asyncio.StreamWriter) -> str:
    """Of the other side; empty on a Unix socket."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
