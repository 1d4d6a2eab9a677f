"""A recording that has to wait for the rest of its request: its beginning in memory, what is more on the disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from types import TracebackType
from typing import IO, Self

from gateway.pipeline.recordings.refusals import NoDisk
from transcription.sound_files.decoding import spool_folder

MEMORY_BYTES = 1024 * 1024
"""Half a minute of plain sound: what is said to a program is no longer, and needs no disk."""
PIECE_BYTES = 256 * 1024


class Spool:
    """From ``async with`` to its end: first everything is put, then everything is taken, in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()  # not a list: a byte that comes alone would take fifty
        self._file: IO[bytes] | None = None
        self._writing: asyncio.Future[None] | None = None
        self.size = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.clear()
        if self._writing is not None:  # who was cancelled has not waited for it
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._file is not None:
            self._file.close()  # it has no name: that is its end

    async def put(self, piece: bytes) -> None:
        """Some more of it. Raises NoDisk."""
        self._held += piece
        self.size += len(piece)
        if len(self._held) > MEMORY_BYTES:
            await self._write()

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, once."""
        if self._file is None:
            for at in range(0, len(self._held), PIECE_BYTES):
                yield bytes(self._held[at : at + PIECE_BYTES])
            return
        await self._write()
        await asyncio.to_thread(self._file.seek, 0)
        while piece := await asyncio.to_thread(self._file.read, PIECE_BYTES):
            yield piece

    async def _write(self) -> None:
        """What is in memory, onto the disk."""
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._append, bytes(self._held)))
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            raise NoDisk(f"it has to be kept until its end, and cannot: {error.strerror}") from error
        self._held.clear()

    def _append(self, held: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=spool_folder())  # noqa: SIM115 - closed where it is left
        self._file.write(held)
        self._file.flush()
