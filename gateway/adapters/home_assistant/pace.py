"""Whose state is to be told when: at once, but only once in so many seconds, and then the newest. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator


class TellingPace:
    """Of many things, each by its name."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told: dict[str, float] = {}
        self._waiting: dict[str, float] = {}

    def changed(self, name: str, now: float) -> None:
        """There is something to be told of it."""
        self._waiting.setdefault(name, max(now, self._told.get(name, -math.inf) + self._seconds))

    def forget(self, name: str) -> None:
        """There is no such thing any more."""
        self._told.pop(name, None)
        self._waiting.pop(name, None)

    def due(self, now: float) -> Iterator[str]:
        """Those to be told now, one after the other; each is told then."""
        for name in [name for name, at in self._waiting.items() if at <= now]:
            if self._waiting.pop(name, None) is not None:
                self._told[name] = now
                yield name

    def rest(self, now: float) -> float | None:
        """Seconds until the next is to be told; None: nobody waits."""
        if not self._waiting:
            return None
        return max(0.0, min(self._waiting.values()) - now)
