"""How late the event loop is: a timer that is due every quarter of a second, and when it came."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice

from msgspec import Struct

PROBE_SECONDS = 0.25
WINDOW_SECONDS = 60.0
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LagFigures(Struct, frozen=True, kw_only=True):
    """Seconds by which the loop was late, over the last minute. ``most`` is the worst."""

    p50: float
    p99: float
    most: float


NO_LAG = LagFigures(p50=0.0, p99=0.0, most=0.0)


class LoopLag:
    """Begins with ``start``, on the loop that it is about, and goes on until ``stop``."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        """Of each bucket of ``BUCKETS`` alone, since the start; the last one has no bound."""
        self.sum = 0.0
        """Of all lags, since the start."""
        self._latest: deque[float] = deque(maxlen=int(WINDOW_SECONDS / PROBE_SECONDS))
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look at it from now on."""
        self._loop = asyncio.get_running_loop()
        self._arm()

    def stop(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def figures(self, seconds: float = WINDOW_SECONDS) -> LagFigures:
        """Over the last seconds, of the last minute at most."""
        newest = islice(reversed(self._latest), max(1, int(seconds / PROBE_SECONDS)))
        lags = sorted(newest)
        if not lags:
            return NO_LAG
        return LagFigures(p50=_nearest(lags, 50), p99=_nearest(lags, 99), most=lags[-1])

    def note(self, lag: float) -> None:
        """It was so late."""
        self._latest.append(lag)
        self.sum += lag
        for number, bound in enumerate(BUCKETS):
            if lag <= bound:
                self.counts[number] += 1
                return
        self.counts[-1] += 1

    def _arm(self) -> None:
        self._due = self._loop.time() + PROBE_SECONDS
        self._timer = self._loop.call_at(self._due, self._came)

    def _came(self) -> None:
        self.note(max(0.0, self._loop.time() - self._due))
        self._arm()


def _nearest(lags: list[float], percent: int) -> float:
    """Nearest rank, as the page has it."""
    return lags[max(0, -(-percent * len(lags) // 100) - 1)]
