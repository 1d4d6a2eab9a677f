"""Whether sound is being spoken as it comes, or is a recording: told by how long it takes to come. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

PACE_SECONDS: Final = 2.0
"""Of the latest sound: by how long this took to come it is told whether somebody speaks now."""
SPOKEN_PACE: Final = 0.5
"""Seconds that one second of what is spoken now takes to come at least; a network may have held some of it up."""
STEP_SECONDS: Final = 0.01
"""Of sound between what is kept of two arrivals: pieces may be as small as they like, and have nothing in them."""


class SoundPace:
    """How long the latest sound took to come, but for what we took over it ourselves."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ours = 0.0
        self._came_at = 0.0
        self._marks: deque[tuple[float, float]] = deque()

    def came(self, heard_seconds: float) -> None:
        """More sound, behind so much of it."""
        self._came_at = self._now()
        if len(self._marks) > 1 and heard_seconds - self._marks[-2][0] < STEP_SECONDS:
            self._marks.pop()
        self._marks.append((heard_seconds, self._came_at - self._ours))
        while len(self._marks) > 1 and self._marks[1][0] <= heard_seconds - PACE_SECONDS:
            self._marks.popleft()

    def taken(self) -> None:
        """It was listened to."""
        self._ours += self._now() - self._came_at

    def is_spoken(self, heard_seconds: float) -> bool:
        """Whether it may be spoken now, and is no recording."""
        if not self._marks:
            return False
        (since, first), (_, last) = self._marks[0], self._marks[-1]
        return last - first >= SPOKEN_PACE * (heard_seconds - since)
