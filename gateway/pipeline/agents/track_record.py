"""What an agent has done since the gateway began, in figures. No I/O, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LATENCIES = 256
"""Of so many answers, the last ones, it is known how long they took."""
ERROR_CHARACTERS = 500
"""Of the last error, more is cut off."""


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """``failed`` includes ``timed_out``. The latencies are those of the last answers, 0 where there is none."""

    asked: int = 0
    answered: int = 0
    failed: int = 0
    timed_out: int = 0
    p50_seconds: float = 0.0
    p95_seconds: float = 0.0
    last_error: str = ""


class TrackRecord:
    """One agent's."""

    def __init__(self) -> None:
        self._asked = 0
        self._answered = 0
        self._failed = 0
        self._timed_out = 0
        self._last_error = ""
        self._about: object = None
        self._latencies: deque[float] = deque(maxlen=LATENCIES)

    def asked(self) -> None:
        """Once more."""
        self._asked += 1

    def answered(self, seconds: float) -> None:
        """After so long."""
        self._answered += 1
        self._latencies.append(max(0.0, seconds))

    def failed(self, reason: str, *, timed_out: bool, about: object = None) -> None:
        """It said that it could not, or nothing in time; ``about``: what that was asked for."""
        self._failed += 1
        self._timed_out += timed_out
        self._last_error, self._about = reason[:ERROR_CHARACTERS], about

    def forget(self, is_gone: Callable[[Any], bool]) -> None:
        """What it said about these is said no more."""
        if self._about is not None and is_gone(self._about):
            self._last_error, self._about = "", None

    def figures(self) -> AgentFigures:
        """All of that now."""
        ordered = sorted(self._latencies)
        return AgentFigures(
            asked=self._asked,
            answered=self._answered,
            failed=self._failed,
            timed_out=self._timed_out,
            p50_seconds=percentile(ordered, 50),
            p95_seconds=percentile(ordered, 95),
            last_error=self._last_error,
        )


def percentile(ordered: list[float], percent: int) -> float:
    """By the nearest rank; 0 of nothing."""
    return ordered[(len(ordered) * percent + 99) // 100 - 1] if ordered else 0.0
