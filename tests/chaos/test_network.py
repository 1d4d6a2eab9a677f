"""The bad network does what it says, to both directions, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import socket
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from tests.chaos.network import DELAY_SECONDS, TROUBLES, BadNetwork, Trouble, spells
from tests.record import passes
from tests.servers.process import free_port

PATIENCE = 10.0


class Echo:
    """A server that says everything back, and counts who is there."""

    def __init__(self) -> None:
        self.here = 0
        self.heard = bytearray()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.here += 1
        try:
            while data := await reader.read(1000):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.here -= 1
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, BadNetwork]]:
    server = Echo()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with BadNetwork(listening.sockets[0].getsockname()[1]) as network:
        yield server, network
    await passes(lambda: not server.here)
    listening.close()


class Caller:
    """Somebody who says something and waits for it to come back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, words: bytes, within: float = PATIENCE) -> None:
        self.writer.write(words)
        await self.hears(words, within)

    async def hears(self, words: bytes, within: float = PATIENCE) -> None:
        assert await asyncio.wait_for(self.reader.readexactly(len(words)), within) == words


async def call(network: BadNetwork) -> Caller:
    return Caller(*await asyncio.open_connection("127.0.0.1", network.port))


async def test_a_healthy_network_carries_everything(echo: tuple[Echo, BadNetwork]) -> None:
    _, network = echo
    caller, other = await call(network), await call(network)
    words = random.Random(1).randbytes(300_000)
    await asyncio.gather(caller.says(words), other.says(words[::-1]))
    assert network.accepted == 2
    caller.writer.close()
    other.writer.close()


async def test_delay_is_both_ways_and_ends_with_it(echo: tuple[Echo, BadNetwork]) -> None:
    _, network = echo
    caller = await call(network)
    await caller.says(b"before")
    await network.begin(Trouble.DELAY)
    began = monotonic()
    await caller.says(b"slow")
    assert monotonic() - began >= 2 * DELAY_SECONDS
    await network.heal()
    await caller.says(b"after")
    caller.writer.close()


async def test_what_dribbles_arrives_whole_and_in_pieces_of_one_byte(echo: tuple[Echo, BadNetwork]) -> None:
    _, network = echo
    caller = await call(network)
    await caller.says(b"before")
    await network.begin(Trouble.DRIBBLE)
    caller.writer.write(b"drop by drop")
    assert await asyncio.wait_for(caller.reader.read(1000), PATIENCE) == b"d"
    await caller.hears(b"rop by drop")
    caller.writer.close()


async def test_what_stalls_arrives_when_it_is_healed(echo: tuple[Echo, BadNetwork]) -> None:
    server, network = echo
    caller = await call(network)
    await caller.says(b"before")
    await network.begin(Trouble.STALL)
    with pytest.raises(TimeoutError):
        await caller.says(b" and after", within=0.1)
    assert server.heard == b"before"
    await network.heal()
    await caller.hears(b" and after")
    caller.writer.close()


async def test_of_half_open_connections_neither_end_is_told(echo: tuple[Echo, BadNetwork]) -> None:
    server, network = echo
    caller = await call(network)
    await caller.says(b"before")
    await network.begin(Trouble.HALF_OPEN)
    with pytest.raises(TimeoutError):
        await caller.says(b"void", within=0.05)
    later = await call(network)
    with pytest.raises(TimeoutError):
        await later.says(b"new", within=0.05)
    await network.heal()
    await later.hears(b"new")
    with pytest.raises(TimeoutError):
        await caller.says(b"still void", within=0.05)
    caller.writer.close()
    await later.says(b"that its end")
    assert server.here == 2, "the dead one's end is not told that the other has hung up"
    assert server.heard == b"beforenewthat its end"
    later.writer.close()


async def test_cut_ends_connections_and_refuses_new_ones_until_healed(echo: tuple[Echo, BadNetwork]) -> None:
    server, network = echo
    caller = await call(network)
    await caller.says(b"before")
    await network.begin(Trouble.CUT)
    assert await asyncio.wait_for(caller.reader.read(), PATIENCE) == b""
    await passes(lambda: server.here == 0)
    with pytest.raises(ConnectionRefusedError):
        await call(network)
    await network.heal()
    again = await call(network)
    await again.says(b"after")
    again.writer.close()
    caller.writer.close()


async def test_reset_is_a_reset_for_old_and_new(echo: tuple[Echo, BadNetwork]) -> None:
    server, network = echo
    caller = await call(network)
    await caller.says(b"before")
    await network.begin(Trouble.RESET)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(caller.reader.read(), PATIENCE)
    await passes(lambda: server.here == 0)
    new = await call(network)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(new.reader.read(), PATIENCE)
    await network.heal()
    again = await call(network)
    await again.says(b"after")
    again.writer.close()


async def test_where_nobody_listens_connections_end_at_once() -> None:
    async with BadNetwork(free_port()) as network:
        caller = await call(network)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(caller.reader.read(), PATIENCE)


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("trouble", [Trouble.NONE, Trouble.CUT])
async def test_whoever_dials_as_it_ends_or_is_cut_leaves_nothing_open(
    steps: int, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: left_open.append(str(told.exc_value)))
    async with BadNetwork(free_port()) as network:
        with socket.create_connection(("127.0.0.1", network.port)):
            for _ in range(steps):
                await asyncio.sleep(0)
            await network.begin(trouble)
    gc.collect()
    assert not left_open


def test_spells_are_the_same_for_a_seed_and_have_every_trouble() -> None:
    def first(seed: int) -> list[object]:
        return list(itertools.islice(spells(seed, 0.5, 2.0), 2 * len(TROUBLES)))

    once = first(7)
    assert once == first(7) != first(8)
    assert {spell.trouble for spell in once[: len(TROUBLES)]} == set(TROUBLES)
    assert all(0.5 <= spell.seconds <= 2.0 for spell in once)
