"""Whether every frame of a WebSocket's client is masked (RFC 6455, 5.1), which aiohttp does not look at. No I/O."""

from __future__ import annotations

from typing import Protocol

_MASKED = 0x80
_LENGTH = 0x7F
_LONGER = {126: 2, 127: 8}
_MASK_BYTES = 4
REFUSED = b"\xf0\x80"
"""A frame that no parser takes: it closes with 1002, as one without a mask has to."""


class Parser(Protocol):
    """What aiohttp feeds a connection's bytes to once it is a WebSocket."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take the next bytes."""

    def feed_eof(self) -> None:
        """There are no more."""


class MaskedOnly:
    """Stands before ``parser``: hands on whole heads only, and in place of an unmasked frame one that is refused."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._held = b""
        self._skip = 0
        self._refused = False
        self._frames = 0

    def count(self) -> int:
        """How many frames have begun since this was last asked."""
        frames, self._frames = self._frames, 0
        return frames

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take the next bytes."""
        if self._refused:
            return False, b""
        data, self._held = self._held + bytes(data), b""
        end = self._walk(data)
        self._held = b"" if self._refused else data[end:]
        passed = data[:end] + (REFUSED if self._refused else b"")
        return self._parser.feed_data(passed) if passed else (False, b"")

    def feed_eof(self) -> None:
        """There are no more."""
        self._parser.feed_eof()

    def _walk(self, data: bytes) -> int:
        """How far ``data`` may be handed on: to its end, to a head that is cut off, or to one without a mask."""
        at = 0
        while True:
            step = min(self._skip, len(data) - at)
            at += step
            self._skip -= step
            if len(data) - at < 2:  # within a payload, or the head is cut off
                return at
            if not data[at + 1] & _MASKED:
                self._refused = True
                return at
            extra = _LONGER.get(data[at + 1] & _LENGTH, 0)
            head = 2 + extra + _MASK_BYTES
            if len(data) - at < head:
                return at
            length = int.from_bytes(data[at + 2 : at + 2 + extra]) if extra else data[at + 1] & _LENGTH
            self._skip = head + length
            self._frames += 1
