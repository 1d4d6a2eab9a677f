"""Whoever dials while a listener is closed leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from tests.servers.listener import STEPS, close_listener


@pytest.mark.parametrize("steps", range(2 * STEPS))
async def test_whoever_dials_as_it_is_closed_is_met_or_refused(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: left_open.append(str(told.exc_value)))
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as caller:
        for _ in range(steps):
            await asyncio.sleep(0)
        await close_listener(server)
        await asyncio.sleep(0)
        caller.settimeout(5.0)
        try:
            assert caller.recv(1) == b""
        except ConnectionResetError:
            assert steps < STEPS, "it was taken"
    gc.collect()
    assert not left_open
