"""The library in C and the reference, given the same acts, of which the input says what each is: no difference."""

from __future__ import annotations

import random
import shutil

from tests.firmware_bridge.esp32.twins import Twins

_MOST = 400
"""Acts of one input."""


class _Drawn(random.Random):
    """Chance that is the input, and zeros after its end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self.data, self.at = data, 0

    def getrandbits(self, bits: int, /) -> int:
        size = (bits + 7) // 8
        piece = self.data[self.at : self.at + size]
        self.at += size
        return int.from_bytes(piece, "little") & ((1 << bits) - 1)

    def random(self) -> float:
        return self.getrandbits(16) / 65_536


def fuzz(data: bytes) -> None:
    if shutil.which("cc") is None:
        return
    chance = _Drawn(data)
    twins = Twins(chance)
    for _ in range(_MOST):
        if chance.at >= len(data):
            return
        twins.act()
