"""Many channels into one, as loud as the loudest of them, and never against each other.

What the channels are called is not asked: a third one may be a microphone as well as a subwoofer. All of them are
added, each the way round in which it agrees with the others (a balanced line has its second channel inverted), and
what comes out is as strong as the strongest was: one that is silent takes nothing from the others.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import numpy.typing as npt

MAX_CHANNELS: Final = 16
CLEAR: Final = 0.9
"""Of a correlation that counts at once."""
QUIET: Final = 1e-3
"""A channel with less than so much of the strongest one's power is not asked."""

Planes = npt.NDArray[np.float32]
"""Channels by samples, in [-1, 1)."""
Mono = npt.NDArray[np.float32]

BLOCK_SECONDS: Final = 0.1
"""So much is looked at before it is mixed."""
MEMORY_SECONDS: Final = 5.0
"""After so long, what the channels had in common counts half; it is a matter of wires, and hardly changes."""
RAMP_SECONDS: Final = 0.01
RISE_SECONDS: Final = 0.0003
"""Channels are compared by how they rise in so much: without offset, hum and rumble, which may be the same on all."""
AGREEMENT: Final = 0.2
"""Of a correlation; channels that have less to do with each other stay as they are."""


class Mixer:
    """Channels of one rate, as they come."""

    def __init__(self, channels: int, rate: int) -> None:
        self._channels = channels
        self._block = max(1, int(rate * BLOCK_SECONDS))
        self._ramp = max(1, int(rate * RAMP_SECONDS))
        self._lag = max(1, int(rate * RISE_SECONDS))
        self._keep = 0.5 ** (BLOCK_SECONDS / MEMORY_SECONDS)
        self._common = np.zeros((channels, channels))
        self._signs = np.ones(channels)
        self._weights: npt.NDArray[np.float64] | None = None
        self._waiting: list[Planes] = []
        self._waits = 0

    def mixed(self, planes: Planes) -> Mono:
        """What can be mixed by now."""
        if self._channels == 1:
            only: Mono = planes[0]
            return only
        self._waiting.append(planes)
        self._waits += planes.shape[1]
        if self._waits < self._block:
            return np.zeros(0, np.float32)
        here = np.concatenate(self._waiting, axis=1)
        whole = self._waits - self._waits % self._block
        self._waiting, self._waits = [here[:, whole:]], self._waits - whole
        blocks = [self._mix(here[:, at : at + self._block]) for at in range(0, whole, self._block)]
        return np.concatenate(blocks)

    def rest(self) -> Mono:
        """What was still waiting."""
        if not self._waits:
            return np.zeros(0, np.float32)
        here = np.concatenate(self._waiting, axis=1)
        self._waiting, self._waits = [], 0
        return self._mix(here)

    def _mix(self, block: Planes) -> Mono:
        rises = (block[:, self._lag :] - block[:, : -self._lag]).astype(np.float64)
        now = rises @ rises.T
        self._common = self._common * self._keep + now
        if self._turned(now):
            self._common = now
        self._agree()
        weights = self._signs * self._gain(block, now)
        before = weights if self._weights is None else self._weights
        self._weights = weights
        mono = weights @ block
        ramp = min(self._ramp, block.shape[1])
        share = np.arange(1, ramp + 1) / (ramp + 1)
        mono[:ramp] = share * mono[:ramp] + (1 - share) * (before @ block[:, :ramp])
        return mono.astype(np.float32)

    def _turned(self, now: npt.NDArray[np.float64]) -> bool:
        """Whether a channel is clearly against what it agreed with until now: somebody changed the wires."""
        strength = np.sqrt(np.outer(now.diagonal(), now.diagonal()))
        against = np.outer(self._signs, self._signs) * now < -CLEAR * strength
        loud = now.diagonal() > now.diagonal().max() * QUIET
        return bool(np.any(against & np.outer(loud, loud)))

    def _agree(self) -> None:
        """Turn round what is against the stronger ones."""
        order = [int(one) for one in np.argsort(-np.diag(self._common), kind="stable")]
        for place, this in itertools.islice(enumerate(order), 1, None):
            others = np.zeros(self._channels)
            others[order[:place]] = self._signs[order[:place]]
            strength = np.sqrt(self._common[this, this] * (others @ self._common @ others))
            along = self._common[this] @ others
            if strength > 0 and abs(along) > AGREEMENT * strength:
                self._signs[this] = np.sign(along)

    def _gain(self, block: Planes, now: npt.NDArray[np.float64]) -> float:
        """With which the sum is as strong as the strongest channel, and no louder anywhere."""
        total = float(self._signs @ now @ self._signs)
        peak = float(np.abs(self._signs @ block).max())
        if total <= 0 or peak <= 0:
            return 1.0 / self._channels if self._weights is None else float(np.abs(self._weights).max())
        return min(1.0, float(np.sqrt(now.diagonal().max() / total)), float(np.abs(block).max()) / peak)
