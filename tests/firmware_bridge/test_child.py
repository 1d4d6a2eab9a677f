"""What a process of ours says on the side, and how much of it."""

from __future__ import annotations

import asyncio
import os

import pytest

from firmware_bridge.child import LONGEST_LINE, listen_to


@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 400_000])
async def test_a_line_of_any_length_does_not_end_the_listening(length: int) -> None:
    """What nobody reads any more fills its pipe, and the process stands still."""
    reader, writer = os.pipe()
    loop, stream = asyncio.get_running_loop(), asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb")
    )
    lines: list[str] = []
    listening = asyncio.create_task(listen_to(stream, lines.append))
    await asyncio.to_thread(_write, writer, b"first\n" + b"x" * length + b"\nlast\xff\n")
    async with asyncio.timeout(10.0):
        await listening
    assert lines[0] == "first"
    assert lines[-1] == "last\ufffd"
    assert all(len(line) <= LONGEST_LINE for line in lines)
    transport.close()


def _write(fd: int, data: bytes) -> None:
    with os.fdopen(fd, "wb") as file:
        file.write(data)
