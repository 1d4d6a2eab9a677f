"""How loud a stream is, ten times a second, for whoever watches. No I/O and no clock: it counts audio time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples

WINDOW = SAMPLE_RATE // 10
"""Samples that one level is taken over, at least; a level ends with a piece of audio."""
SILENCE = -96
"""The level of digital silence, in dBFS: less than the quietest sample there is."""
_FULL_SCALE = 32_768.0


class LevelMeter:
    """The level of one stream, as root mean square in dBFS: 0 is as loud as PCM16 can be.

    ``is_wanted`` is asked once for each window; one that nobody wants is not measured.
    """

    __slots__ = ("_energy", "_is_wanted", "_measures", "_samples")

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._energy = 0.0
        self._samples = 0
        self._measures = False

    def feed(self, samples: Samples) -> int | None:
        """The next audio. A level when a window has ended with it that somebody wanted."""
        if not self._samples:
            self._measures = self._is_wanted()
        if self._measures:
            loud = samples.astype(np.float32)
            self._energy += float(np.dot(loud, loud))
        self._samples += len(samples)
        if self._samples < WINDOW:
            return None
        level = _dbfs(self._energy / self._samples) if self._measures else None
        self._energy, self._samples = 0.0, 0
        return level


def _dbfs(mean_square: float) -> int:
    if mean_square < 1.0:
        return SILENCE
    return round(10 * math.log10(mean_square / _FULL_SCALE**2))
