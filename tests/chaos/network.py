"""A bad network: a TCP proxy that does to connections what cables, switches and routers do.

It stands between somebody and a server on the loopback. Trouble begins and ends at a word; what the
trouble is comes from a seed, so that a run can be had again.
"""

from __future__ import annotations

import asyncio
import enum
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

from msgspec import Struct

from tests.servers.listener import close_listener
from tests.servers.process import free_port

CHUNK = 64 * 1024
DELAY_SECONDS = 0.15
DRIBBLE_SECONDS = 0.0002
"""The pause between two bytes that dribble."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset."""


class Trouble(enum.StrEnum):
    """What the network does until it is healed."""

    NONE = "none"
    DELAY = "delay"
    """Everything arrives late."""
    DRIBBLE = "dribble"
    """Everything arrives byte by byte, each in a packet of its own."""
    STALL = "stall"
    """Nothing arrives; when it is healed, all of it does."""
    HALF_OPEN = "half-open"
    """Open connections are dead for ever, and neither end is told; new ones wait until it is healed."""
    CUT = "cut"
    """Open connections end, new ones are refused."""
    RESET = "reset"
    """Open connections are reset, new ones as soon as they are there."""


TROUBLES = tuple(trouble for trouble in Trouble if trouble is not Trouble.NONE)
FLOWING = {Trouble.NONE, Trouble.DELAY, Trouble.DRIBBLE}


class Spell(Struct, frozen=True):
    """A time of trouble."""

    trouble: Trouble
    seconds: float


def spells(seed: int, shortest: float, longest: float) -> Iterator[Spell]:
    """Times of trouble without an end: each kind once in every round, in random order."""
    chance = random.Random(seed)
    while True:
        for trouble in chance.sample(TROUBLES, len(TROUBLES)):
            yield Spell(trouble, chance.uniform(shortest, longest))


class BadNetwork:
    """The way to a port of the loopback; ``port`` is its near end. Healthy until ``begin``."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.trouble = Trouble.NONE
        self.accepted = 0
        """Connections so far."""
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def begin(self, trouble: Trouble) -> None:
        """From now on, until ``heal``."""
        self.trouble = trouble
        self._flows.set() if trouble in FLOWING else self._flows.clear()
        match trouble:
            case Trouble.CUT:
                await self._refuse()
                self._end_links()
            case Trouble.RESET:
                self._end_links(reset=True)
            case Trouble.HALF_OPEN:
                for link in self._links:
                    link.dead = True

    async def heal(self) -> None:
        """All is well; what is dead stays dead."""
        self.trouble = Trouble.NONE
        if self._server is None:
            await self._listen()
        self._flows.set()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, start_serving=False
        )  # else whoever is cancelled here leaves it open
        await self._server.start_serving()

    async def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await close_listener(server)

    def _end_links(self, *, reset: bool = False) -> None:
        for link in self._links:
            link.end(reset=reset)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its near end's dialling to its end."""
        link = _Link(writer)
        self._links.add(link)
        try:
            if self.trouble in {Trouble.RESET, Trouble.CUT}:
                link.end(reset=True)
                return
            await self._flows.wait()
            await link.open(self._target_port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, link.far_writer, link))
                both.create_task(self._pump(link.far_reader, writer, link))
        except OSError:  # nobody listens there
            link.end(reset=True)
        finally:
            self._links.discard(link)
            link.end()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._pass(data, sink, link)
        if link.dead:
            await asyncio.Event().wait()  # neither end is told of the other's
        link.end()

    async def _pass(self, data: bytes, sink: asyncio.StreamWriter, link: _Link) -> None:
        await self._flows.wait()
        if link.dead:
            return
        if self.trouble is Trouble.DELAY:
            await asyncio.sleep(DELAY_SECONDS)
        while data and self.trouble is Trouble.DRIBBLE:
            sink.write(data[:1])
            data = data[1:]
            await asyncio.sleep(DRIBBLE_SECONDS)
            await self._flows.wait()
        if not link.dead:
            sink.write(data)
            await sink.drain()


class _Link:
    """Both ends of one connection."""

    far_reader: asyncio.StreamReader
    far_writer: asyncio.StreamWriter

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.dead = False
        self._ends = [near]

    async def open(self, port: int) -> None:
        """Raises OSError."""
        self.far_reader, self.far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._ends.append(self.far_writer)

    def end(self, *, reset: bool = False) -> None:
        """Close both ends. Idempotent."""
        for end in self._ends:
            near = end.get_extra_info("socket")
            if reset and near is not None and near.fileno() >= 0:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.transport.abort()
            end.close()
