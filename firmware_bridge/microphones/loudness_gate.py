"""Whether somebody could be speaking, told by loudness alone, so that silence costs nothing. No I/O.

Not whether it is speech, which the gateway's voice activity finds out: this only tells the room's own noise from
whatever rises above it. The noise is the quietest that it was lately; speech has such moments between its words, a fan
has nothing else. It is looked at twice, as it is and without its low tones, so that neither hum hides a
quiet voice nor hiss does.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

MEMORY_SECONDS: Final = 15
"""So long the quietest moment counts: a fan that is switched on is noise after that."""
QUIETEST: Final = 4.0
"""Noise below (in units of PCM16, -78 dB) is taken as this loud: a muted microphone has none at all."""
RELEASE_DB: Final = 2.0
"""So far below what opens it begins what counts as quiet."""

ALWAYS_DB: Final = 6.0
"""Beyond the noise, where nothing is kept back: what is loud, for those who want to know."""

Levels = npt.NDArray[np.float32]


def levels(samples: npt.NDArray[np.int16], period: int) -> Levels:
    """Of each ``period`` of samples two: how loud it is, and how loud without its low tones. Shape (2, periods)."""
    pieces = samples.reshape(-1, period).astype(np.float32)
    edges = np.diff(pieces, axis=1)
    return np.stack([pieces.std(axis=1), edges.std(axis=1)])


class LoudnessGate:
    """Open or closed; fed the levels of each stretch of periods, in order."""

    def __init__(self, above_db: float, hold_seconds: float, period_seconds: float) -> None:
        """``above_db``: how far above the noise it opens (0: it is always open); it stays so for ``hold_seconds``."""
        self._always = self.open = above_db == 0
        self.loud = False
        """Whether it was loud to the end of what was heard last."""
        above_db = above_db or ALWAYS_DB
        self._opens = np.float32(10 ** (above_db / 20))
        self._holds = np.float32(10 ** (max(above_db - RELEASE_DB, above_db / 2) / 20))
        self._seconds: deque[Levels] = deque(maxlen=MEMORY_SECONDS)
        self._second: list[Levels] = []
        self._per_second = round(1 / period_seconds)
        self._in_second = 0
        self._hold = round(hold_seconds / period_seconds)
        self._quiet = 0

    def feed(self, heard: Levels) -> bool:
        """Whether it is open now."""
        noise = self._noise(heard)
        if not self.open and not (heard >= self._opens * noise).any():
            return False
        loud = np.flatnonzero((heard >= self._holds * noise).any(axis=0))
        periods = heard.shape[1]
        self._quiet = self._quiet + periods if not len(loud) else periods - 1 - int(loud[-1])
        self.loud = self._quiet == 0
        self.open = self._always or self._quiet < self._hold
        return self.open

    def _noise(self, heard: Levels) -> Levels:
        """The quietest that it was lately, now included. Shape (2, 1)."""
        self._second.append(heard.min(axis=1, keepdims=True))
        quietest = np.concatenate([*self._seconds, *self._second], axis=1).min(axis=1, keepdims=True)
        self._in_second += heard.shape[1]
        if self._in_second >= self._per_second:
            self._seconds.append(np.concatenate(self._second, axis=1).min(axis=1, keepdims=True))
            self._second.clear()
            self._in_second = 0
        noise: Levels = np.maximum(quietest, np.float32(QUIETEST))
        return noise
