"""Which part of a firmware image is next for whom: newest wishes alone, at a pace that leaves others room. No I/O.

Whoever asks for more than there is, for ever, or byte by byte, gets no more than others do.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from firmware_bridge.link.frames import FETCH_MOST

BURST: Final = 4
"""Frames that a device gets at a time."""
PAUSE: Final = 0.02
"""Seconds between two turns of a device, at least."""
HOUSE_BYTES_PER_SECOND: Final = 2_000_000.0
"""For all devices together."""


@dataclass(slots=True)
class _Wish:
    image: int
    offset: int
    end: int


@dataclass(slots=True)
class _Reader:
    """One device. ``piece``: bytes of an image in one frame; ``rate``: bytes in a second."""

    piece: int
    rate: float
    wish: _Wish | None = None
    due_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Helping:
    """What a device is to get now: bytes from ``offset`` to ``end``, ``piece`` at a time."""

    device_id: str
    image: int
    offset: int
    end: int
    piece: int


class ImageServing:
    """To be told what devices ask for, and asked what is due."""

    def __init__(self) -> None:
        self._readers: OrderedDict[str, _Reader] = OrderedDict()
        self._house_at = 0.0

    def admit(self, device_id: str, *, piece: int, rate: float) -> None:
        """This device may ask; what it asked for before is forgotten."""
        before = self._readers.get(device_id)
        self._readers[device_id] = _Reader(piece, rate, due_at=before.due_at if before else 0.0)

    def dismiss(self, device_id: str) -> None:
        """It may not any more."""
        self._readers.pop(device_id, None)

    def ask(self, device_id: str, image: int, offset: int, length: int, size: int) -> bool:
        """A device wants this of an image of ``size`` bytes. False: there is nothing there, or it may not ask."""
        reader = self._readers.get(device_id)
        if reader is None or not length or offset >= size:
            return False
        reader.wish = _Wish(image, offset, min(offset + min(length, FETCH_MOST), size))
        return True

    def due(self, now: float) -> list[Helping]:
        """What is to be sent now; whoever got something waits behind those who did not."""
        helpings: list[Helping] = []
        for device_id, reader in list(self._readers.items()):
            if self._house_at > now:
                break
            if reader.wish is None or reader.due_at > now:
                continue
            helpings.append(self._helping(device_id, reader, reader.wish, now))
            self._readers.move_to_end(device_id)
        return helpings

    def _helping(self, device_id: str, reader: _Reader, wish: _Wish, now: float) -> Helping:
        start, stop = wish.offset, min(wish.offset + BURST * reader.piece, wish.end)
        wish.offset = stop
        if stop == wish.end:
            reader.wish = None
        reader.due_at = now + max(PAUSE, (stop - start) / reader.rate)
        self._house_at = max(self._house_at, now) + (stop - start) / HOUSE_BYTES_PER_SECOND
        return Helping(device_id, wish.image, start, stop, reader.piece)

    def next_deadline(self) -> float:
        """When something is due; infinity: not before somebody asks."""
        due = min((one.due_at for one in self._readers.values() if one.wish is not None), default=math.inf)
        return max(due, self._house_at)
