"""What one answer of a Redis server may take in memory, whatever length it says that it has.

redis-py reads a string whole, and an entry's may have 512 MB. Here the beginning of a long one is kept, which is enough
to refuse it, and the rest is thrown away as it comes. Of an answer that is too large in all, the rest is ``CUT``.
"""

from __future__ import annotations

from asyncio import IncompleteReadError
from collections.abc import Sequence
from typing import Any, Final

from gateway.contract.messages import MESSAGE_BYTES

KEPT_BYTES = MESSAGE_BYTES + 1
"""Of one string: more than any message may have."""
ANSWER_BYTES = 32 * 1024 * 1024
"""Of one answer in all."""
ELEMENT_BYTES = 100
"""What each part of an answer counts for, however little is in it."""
MOST_ELEMENTS = 100_000
"""Of one list. The connection ends over a longer one."""
PIECE_BYTES = 64 * 1024

CUT: Final = bytes(bytearray(b"cut"))  # one object, which nothing else is
"""In place of every string for which there was no room any more."""


class Bounded:
    """Goes before redis-py's parser of RESP 2 for asyncio among the bases of a class."""

    _buffer: bytes
    _pos: int
    _stream: Any
    _taken = 0

    async def read_response(self, *options: Any, **more: Any) -> Any:
        """As there."""
        self._taken = 0
        return await super().read_response(*options, **more)  # type: ignore[misc]

    async def _readline(self) -> bytes:
        line: bytes = await super()._readline()  # type: ignore[misc]
        self._taken += ELEMENT_BYTES
        if line[:1] == b"*" and int(line[1:]) > MOST_ELEMENTS:
            raise OSError(f"an answer is a list of {int(line[1:])}, and {MOST_ELEMENTS} are the most")
        return line

    async def _read(self, length: int) -> bytes:
        self._taken += min(length, KEPT_BYTES)
        if self._taken > ANSWER_BYTES:
            await self._pass_over(length + 2)
            return CUT
        if length <= KEPT_BYTES:
            whole: bytes = await super()._read(length)  # type: ignore[misc]
            return whole
        beginning = await self._next(KEPT_BYTES)
        await self._pass_over(length + 2 - KEPT_BYTES)
        return beginning

    async def _pass_over(self, size: int) -> None:
        while size:
            piece = min(size, PIECE_BYTES)
            await self._next(piece)
            size -= piece

    async def _next(self, size: int) -> bytes:
        """What was read ahead is first."""
        ahead: bytes = self._buffer[self._pos : self._pos + size]
        self._pos += size
        try:
            return ahead + bytes(await self._stream.readexactly(size - len(ahead)))
        except IncompleteReadError as error:
            raise ConnectionResetError("the connection ended within an answer") from error


def whole(read: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The entries of an answer for which there was room; the rest is to be asked for again, fewer at once.

    One that is too large for an answer alone has a body that is too large for a message.
    """
    found: list[tuple[Any, Any]] = []
    for entry_id, fields in read:
        if entry_id is CUT:
            break
        if fields and any(name is CUT or value is CUT for name, value in fields.items()):
            if not found:
                found.append((entry_id, {b"key": fields.get(b"key", b""), b"body": bytes(KEPT_BYTES)}))
            break
        found.append((entry_id, fields))
    return found
