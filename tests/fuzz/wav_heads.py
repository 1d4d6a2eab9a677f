"""Files in a chain, split by us before FFmpeg sees any: BadSound or parts, the same however slowly the bytes come."""

from __future__ import annotations

import re

from transcription.sound_files.chain import parts
from transcription.sound_files.lookahead import BadSound, Lookahead
from transcription.sound_files.parts import BEGINNING

_AT_ONCE = 1 << 20
_MOST = 64
_BEGINNINGS = re.compile(b"(?=" + BEGINNING.pattern + b")", re.DOTALL)


class _Source:
    def __init__(self, data: bytes, piece: int) -> None:
        self._data = data
        self._piece = piece

    def read(self, size: int) -> bytes:
        taken = self._data[: min(size, self._piece)]
        self._data = self._data[len(taken) :]
        return taken


def _split(data: bytes, piece: int) -> list[tuple[str, bytes, str]]:
    found = []
    try:
        for part in parts(Lookahead(_Source(data, piece))):
            out, why = b"", ""
            try:
                while read := part.read(4096):
                    out += read
            except BadSound as error:
                why = str(error)
            found.append((part.name, out, why))
            assert len(out) <= 4 * len(data) + _MOST
    except BadSound as error:
        found.append(("", b"", str(error)))
    return found


def fuzz(data: bytes) -> None:
    at_once, slowly = _split(data, _AT_ONCE), _split(data, 61)
    begin = [one.start() for one in _BEGINNINGS.finditer(data)]
    if begin == [one.start() for one in BEGINNING.finditer(data)]:  # no two lie over one another
        assert [one[0] for one in at_once] == [one[0] for one in slowly]
