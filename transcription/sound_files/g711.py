"""G.711: what each of the 256 bytes of mu-law and A-law stands for, in PCM16."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.int16]


def _mu_law() -> Table:
    code = ~np.arange(256, dtype=np.uint8)
    size = (((code & 15).astype(np.int32) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _a_law() -> Table:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = (code >> 4 & 7).astype(np.int32)
    size = ((code & 15).astype(np.int32) << 4) + np.where(segment, 0x108, 8) << np.maximum(segment - 1, 0)
    return np.where(code & 0x80, size, -size).astype(np.int16)


MU_LAW: Final = _mu_law()
A_LAW: Final = _a_law()
