"""A recording that waits for the rest of its request: little of it in memory, all of it back, and nothing left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.pipeline.recordings import spool as spools
from gateway.pipeline.recordings.refusals import NoDisk
from gateway.pipeline.recordings.spool import MEMORY_BYTES, Spool


async def back(spool: Spool) -> bytes:
    return b"".join([piece async for piece in spool.pieces()])


def nameless() -> int:
    """Open files without a name."""
    count = 0
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # of what lists them
            link = str(one.readlink())
            count += link.endswith("(deleted)") and "/tmp/" in link
    return count


@pytest.mark.parametrize("size", [0, 1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES + 7])
async def test_everything_comes_back(size: int) -> None:
    data = bytes(at % 251 for at in range(1_000)) * (size // 1_000 + 1)
    before = nameless()
    async with Spool() as spool:
        for at in range(0, size, 50_001):
            await spool.put(data[at : min(at + 50_001, size)])
            assert len(spool._held) <= MEMORY_BYTES
        assert spool.size == size
        assert nameless() - before == (size > MEMORY_BYTES)
        assert await back(spool) == data[:size]
    assert nameless() == before


async def test_a_disk_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "spool_folder", lambda: "/proc/self")
    async with Spool() as spool:
        with pytest.raises(NoDisk, match="cannot"):
            await spool.put(bytes(MEMORY_BYTES + 1))


async def test_whoever_is_cancelled_in_the_middle_of_writing_leaves_nothing_open() -> None:
    before = nameless()

    async def put() -> None:
        async with Spool() as spool:
            await spool.put(bytes(8 * MEMORY_BYTES))

    for turns in range(4):
        putting = asyncio.create_task(put())
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
    assert nameless() == before
