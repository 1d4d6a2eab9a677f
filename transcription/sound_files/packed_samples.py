"""Samples with fewer bits than the place they stand in, as 32 bits.

The WAV format wants them at the upper end of their place, ALSA's S24_LE and many converters have them at the lower one,
and the head says the same for both. So the samples are looked at: what stands above and below them tells.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_WIDE = 32
_FLOAT_BITS, _FLOAT_PLACE = 24, 4
_FLOAT_ONE: Final = 1 << 23
_Wide = npt.NDArray[np.int32]


class PackedSamples:
    """``valid`` bits in ``place`` bytes, in ``order`` (< or >). ``is_left``: at the upper end until something tells."""

    def __init__(self, valid: int, place: int, order: str, *, is_left: bool) -> None:
        self._place = place
        self._order = order
        self._shift = 8 * place - valid
        self._low = ((1 << self._shift) - 1) << (_WIDE - 8 * place)
        self._is_left = is_left
        self._is_float = False
        self._may_be_float = not is_left and (valid, place) == (_FLOAT_BITS, _FLOAT_PLACE)
        self._is_certain = False
        self._rest = b""

    def unpacked(self, data: bytes) -> bytes:
        """As many as are whole, 32 bits, little-endian."""
        data = self._rest + data
        whole = len(data) - len(data) % self._place
        self._rest = data[whole:]
        samples = self._widened(data[:whole])
        if not self._is_certain:
            self._look(samples)
        if self._is_float:
            scaled = np.nan_to_num(samples.view(np.float32)).astype(np.float64) / _FLOAT_ONE
            samples = (np.clip(scaled, -1, 1 - 2**-24) * (1 << 31)).astype(np.int32)
        elif not self._is_left:
            samples = samples << self._shift
        return bytes(samples.astype("<i4").tobytes())

    def _widened(self, data: bytes) -> _Wide:
        """Each at the upper end of 32 bits."""
        bytes_of_each = np.frombuffer(data, np.uint8).reshape(-1, self._place)
        if self._order == ">":
            bytes_of_each = bytes_of_each[:, ::-1]
        wide = np.zeros((len(bytes_of_each), _WIDE // 8), np.uint8)
        wide[:, _WIDE // 8 - self._place :] = bytes_of_each
        return wide.view("<i4")[:, 0].astype(np.int32)

    def _look(self, samples: _Wide) -> None:
        """Quiet samples with nothing below may stand at either end; they decide nothing."""
        if self._may_be_float and _are_floats(samples):
            self._is_float = self._is_certain = True
            return
        above = samples >> (_WIDE - self._shift - 1)  # with the sign: the same bit over and over, or nothing
        is_low = bool(np.all((above == 0) | (above == -1)) or np.all(samples >> (_WIDE - self._shift) == 0))
        has_below = bool(np.any(samples & self._low))
        if has_below == is_low:
            self._is_left, self._is_certain = not is_low, bool(samples.size)


def _are_floats(samples: _Wide) -> bool:
    """Adobe's 24 bits in floating point, which have the same head."""
    values = np.abs(samples[samples != 0].view(np.float32))
    return values.size > 0 and bool(np.all((values > 2**-10) & (values <= 2**24)))
