"""Figures over time, in a bounded piece of memory: minutes in short steps, hours in long ones. No I/O."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping

from msgspec import Struct


class Course(Struct, frozen=True, kw_only=True):
    """What became of each figure. ``ends``: Unix seconds, oldest first; ``figures``: as many values of each name.

    A figure that was not there in a step is None in it.
    """

    step_seconds: float
    ends: list[float]
    figures: dict[str, list[float | None]]


class Steps:
    """The newest ``most`` steps of ``seconds`` each; the value of a step is the mean of what was noted in it."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds = seconds
        self._names: dict[str, int] = {}
        self._rows: deque[tuple[float, array[float]]] = deque(maxlen=most)
        self._sums: dict[str, tuple[float, int]] = {}
        self._began: float | None = None

    def note(self, at: float, figures: Mapping[str, float]) -> None:
        """``at``: Unix seconds, of which a clock that is set may make any; a step is what lies between two of them."""
        if self._began is None or at < self._began:
            self._began, self._sums = at, {}
        for name, value in figures.items():
            total, times = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, times + 1)
        if at - self._began >= self.seconds:
            self._close(at)

    def course(self) -> Course:
        """All steps that are complete."""
        values = {name: [_told(row, number) for _, row in self._rows] for name, number in self._names.items()}
        return Course(step_seconds=self.seconds, ends=[end for end, _ in self._rows], figures=values)

    def _close(self, at: float) -> None:
        for name in self._sums:
            self._names.setdefault(name, len(self._names))
        row = array("f", [float("nan")] * len(self._names))
        for name, (total, times) in self._sums.items():
            row[self._names[name]] = total / times
        self._rows.append((at, row))
        self._began, self._sums = at, {}


def _told(row: array[float], number: int) -> float | None:
    value = row[number] if number < len(row) else float("nan")
    return None if value != value else float(f"{value:.5g}")  # noqa: PLR0124 - which NaN alone is
