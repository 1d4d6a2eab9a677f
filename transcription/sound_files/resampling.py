"""Sound of any rate to 16 kHz as it comes: each sample the middle of a sinc over those around it, and nothing delayed.

The same comes out however it was cut. Nothing is loaded for it: PyAV's would be 40 MB.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from transcription.audio import SAMPLE_RATE
from transcription.sound_files.mixing import Mono

ZEROS: Final = 32
"""Zero crossings of the sinc on each side: 2 ms."""
PASS: Final = 0.93
"""Of half the lower rate: as loud up to 0.86 of it, and 80 dB down where aliases begin."""
_BETA: Final = 8.0
_PLACES: Final = 1_024
"""Between two samples of a rate that has nothing in common with ours. Usual rates have at most 640, all exact."""
_MOST_OF_WINDOWS: Final = 220_000
"""Numbers: a fortieth of a second of work. Odd rates beyond 48 kHz get fewer places for it."""
_STRETCH: Final = 8_000
"""Samples that are worked on at once: a megabyte or so."""

_Windows = npt.NDArray[np.float64]


class Interpolator:
    """One stretch of sound of one rate."""

    def __init__(self, rate: int) -> None:
        shared = math.gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // shared, rate // shared
        self._windows = _windows(rate)
        self._reach = self._windows.shape[1] // 2
        self._held: _Windows = np.zeros(0)
        self._begins = 1 - self._reach  # which sample is the first that is held
        self._made = 0

    def feed(self, mono: Mono) -> Mono:
        """What these settle, at 16 kHz; it may be beyond [-1, 1) a little."""
        stretches = [self._fed(mono[at : at + _STRETCH]) for at in range(0, len(mono), _STRETCH)]
        return np.concatenate([*stretches, np.zeros(0, np.float32)])

    def rest(self) -> Mono:
        """What was held back. Nothing may follow."""
        if not len(self._held):
            return np.zeros(0, np.float32)
        heard = self._begins + len(self._held)
        rest = self._fed(np.full(self._reach, self._held[-1], np.float32))
        too_many = max(0, self._made - self._due(heard))
        return rest[: len(rest) - too_many]

    def _fed(self, mono: Mono) -> Mono:
        """What lies before the first sample, and behind the last, is as they are: silence would be a pop."""
        if not len(self._held):
            self._held = np.full(self._reach - 1, mono[0], np.float64)
        self._held = np.concatenate([self._held, mono])
        ends = self._begins + len(self._held)
        return self._made_up_to(self._due(ends - self._reach))

    def _due(self, samples: int) -> int:
        """How many of ours lie before the end of so many of theirs."""
        return max(0, -(-samples * self._up // self._down))

    def _made_up_to(self, due: int) -> Mono:
        places = np.arange(self._made, max(self._made, due)) * self._down
        firsts = places // self._up - self._reach + 1 - self._begins
        windows = self._windows[places % self._up * len(self._windows) // self._up]
        around = (
            np.lib.stride_tricks.sliding_window_view(self._held, 2 * self._reach)[firsts]
            if len(firsts)
            else windows
        )
        made: Mono = np.einsum("ij,ij->i", around, windows).astype(np.float32)
        self._made += len(made)
        spent = self._made * self._down // self._up - self._reach + 1 - self._begins
        self._held, self._begins = self._held[spent:], self._begins + spent
        return made


@functools.lru_cache(maxsize=8)
def _windows(rate: int) -> _Windows:
    """What each sample around a place between two of them counts, a row for each place; a row's sum is one."""
    cutoff = PASS * min(1.0, SAMPLE_RATE / rate)
    reach = math.ceil(ZEROS / cutoff)
    places = min(SAMPLE_RATE // math.gcd(rate, SAMPLE_RATE), _PLACES, _MOST_OF_WINDOWS // (2 * reach))
    away = np.arange(1 - reach, reach + 1) - np.arange(places)[:, np.newaxis] / places
    out = np.linspace(0.0, 1.0, 4_096)  # Kaiser's window at each place itself would take ten times as long
    window = np.interp(np.abs(away) / reach, out, np.i0(_BETA * np.sqrt(1.0 - np.square(out))))
    rows = np.sinc(cutoff * away) * window
    scaled: _Windows = rows / rows.sum(axis=1, keepdims=True)
    return scaled
