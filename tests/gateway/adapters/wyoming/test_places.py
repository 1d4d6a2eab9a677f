"""Taking a place: whoever is cancelled while they do leaves nobody listening there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.adapters.wyoming.places import taken
from tests.record import passes
from tests.servers.process import free_port


@pytest.mark.parametrize("steps", range(5))
async def test_a_place_that_is_wanted_no_more_is_free_again(steps: int) -> None:
    port = free_port()
    taking = asyncio.create_task(taken(f"tcp://127.0.0.1:{port}", lambda *_: None))
    for _ in range(steps):
        await asyncio.sleep(0)
    if taking.done():
        await taking.result().close()
    taking.cancel()
    await asyncio.wait([taking])
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize("steps", [1, 2, 3, 100])
async def test_nor_is_a_socket_left_lying_there(steps: int, tmp_path: Path) -> None:
    path = tmp_path / "wyoming.sock"
    taking = asyncio.create_task(taken(f"unix://{path}", lambda *_: None))
    for _ in range(steps):
        await asyncio.sleep(0)
    if not taking.cancel():
        await taking.result().close()
    await asyncio.wait([taking])
    await asyncio.get_running_loop().shutdown_default_executor()
    await passes(lambda: not path.exists())
