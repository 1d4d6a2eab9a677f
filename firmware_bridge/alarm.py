"""One timer for many deadlines, on the event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

STEP_SECONDS = 0.005
"""The finest step: what is due sooner, or is overdue, comes then."""


class Alarm:
    """Calls ``ring`` when the earliest of the times it was set to has come, once."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Ring at loop time ``when``, or earlier if it was set so; infinity is never."""
        if when == math.inf:
            return
        when = max(when, self._loop.time() + STEP_SECONDS)
        if self._timer is None or when < self._timer.when():
            self.cancel()
            self._timer = self._loop.call_at(when, self._fire)

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._ring()
