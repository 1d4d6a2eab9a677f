"""A file's bytes as they come: looked at before they are taken, and read once."""

from __future__ import annotations

from typing import Protocol

PIECE_BYTES = 32 * 1024


class BadSound(Exception):
    """It is no recording that can be decoded; the words are for whoever sent it."""


class Source(Protocol):
    """What is decoded, read once from its beginning."""

    def read(self, size: int) -> bytes:
        """At most so many bytes, as soon as there are some; none: the end. May block."""


class Lookahead:
    """A source whose next bytes can be seen before they are taken. Raises what the source raises."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._held = bytearray()
        self._ended = False
        self.taken = 0
        """Bytes."""

    def hold(self, least: int) -> bytes:
        """All that is here of what comes next: so many bytes, or more; fewer: the end."""
        self._fill(least)
        return bytes(self._held)

    def seen(self, size: int, at: int = 0) -> bytes:
        """So many bytes of what comes next, from there on; fewer: the end."""
        self._fill(at + size)
        return bytes(self._held[at : at + size])

    def take(self, size: int) -> bytes:
        """At most so many bytes of what is held."""
        piece = bytes(self._held[:size])
        del self._held[:size]
        self.taken += len(piece)
        return piece

    def exactly(self, size: int) -> bytes:
        """So many bytes; fewer: the end."""
        self._fill(size)
        return self.take(size)

    def skip(self, size: int) -> None:
        """Take so many bytes, and keep none of them."""
        while size > 0:
            self._fill(1)
            taken = len(self.take(size))
            if not taken:
                return
            size -= taken

    def _fill(self, least: int) -> None:
        while len(self._held) < least and not self._ended:
            piece = self._source.read(PIECE_BYTES)
            self._held += piece
            self._ended = not piece
