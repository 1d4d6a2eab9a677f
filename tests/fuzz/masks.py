"""A WebSocket's bytes: pieces change nothing, and nothing unmasked is handed on."""

from __future__ import annotations

from gateway.web.entrance.masks import REFUSED, MaskedOnly

_PIECE = 3


class _Parser:
    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        pass


def fuzz(data: bytes) -> None:
    whole, pieces = _Parser(), _Parser()
    MaskedOnly(whole).feed_data(data)
    masked = MaskedOnly(pieces)
    for at in range(0, len(data), _PIECE):
        masked.feed_data(data[at : at + _PIECE])
    assert whole.data == pieces.data
    passed = whole.data.removesuffix(REFUSED)
    assert data.startswith(passed)
    at = 0
    while at + 2 <= len(passed):
        assert passed[at + 1] & 0x80
        length = passed[at + 1] & 0x7F
        extra = {126: 2, 127: 8}.get(length, 0)
        length = int.from_bytes(passed[at + 2 : at + 2 + extra]) if extra else length
        at += 2 + extra + 4 + length
