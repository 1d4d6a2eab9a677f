"""How often: retries, answers and reports that must not come too fast. No I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable


class Backoff:
    """Doubling delays with jitter, from ``first`` to ``most`` seconds.

    The jitter (each delay is 50 to 100 % of its nominal length) keeps a house full of devices from
    coming back in the same instant.
    """

    def __init__(self, first: float, most: float, *, chance: random.Random | None = None) -> None:
        self._first = first
        self._most = most
        self._nominal = first
        self._chance = chance or random.Random()

    def next(self) -> float:
        """Seconds to wait now; the next answer is about twice as long."""
        delay = self._nominal * self._chance.uniform(0.5, 1.0)
        self._nominal = min(self._nominal * 2, self._most)
        return delay

    def reset(self) -> None:
        """It worked: begin with the short delays again."""
        self._nominal = self._first


class Cooldown:
    """Lets each key pass once per ``seconds``; remembers at most ``most`` keys, the latest."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._passed: dict[Hashable, float] = {}

    def allows(self, key: Hashable, now: float) -> bool:
        """Whether ``key`` may pass now (and then it has)."""
        if now - self._passed.get(key, -math.inf) < self._seconds:
            return False
        self._passed.pop(key, None)
        self._passed[key] = now
        if len(self._passed) > self._most:
            del self._passed[next(iter(self._passed))]
        return True


class Allowance:
    """Lets ``burst`` pass at once, and ``per_second`` in the long run."""

    __slots__ = ("_burst", "_left", "_per_second", "_since")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._since = now

    def left(self, now: float) -> float:
        """How much may pass now; below 0, so much was taken beyond it."""
        self._left = min(self._burst, self._left + max(0.0, now - self._since) * self._per_second)
        self._since = now
        return self._left

    def spend(self, amount: float) -> None:
        """So much has passed."""
        self._left -= amount

    def take(self, now: float) -> bool:
        """Whether one more may pass now (and then it has)."""
        if self.left(now) < 1:
            return False
        self.spend(1)
        return True
