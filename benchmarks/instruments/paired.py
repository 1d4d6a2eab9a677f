"""Two ways of recognizing the same clips: how many points of word error lie between them, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

TIMES = 4000


class Difference(Struct, frozen=True):
    """In points of word error, with the interval in which it lies with 95 %: other clips would give another one."""

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.points:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def difference(errors: Sequence[int], others: Sequence[int], words: Sequence[int]) -> Difference:
    """Of one way's errors and the other's, clip by clip; the interval by drawing as many clips again and again."""
    more, total = np.subtract(errors, others), np.asarray(words)
    drawn = np.random.default_rng(0).integers(0, len(total), (TIMES, len(total)))
    points = 100 * more[drawn].sum(1) / np.maximum(total[drawn].sum(1), 1)
    low, high = np.percentile(points, [2.5, 97.5])
    return Difference(float(100 * more.sum() / max(total.sum(), 1)), float(low), float(high))
