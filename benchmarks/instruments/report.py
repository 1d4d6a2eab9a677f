"""What every benchmark returns, and how it is written down."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class Bar(Struct, frozen=True):
    """A bar that was set beforehand: ``value`` must be at most (or at least) ``limit``."""

    what: str
    value: float
    limit: float
    sense: Literal["at most", "at least"]
    unit: str = ""

    @property
    def ok(self) -> bool:
        """Whether the bar is met."""
        return self.value <= self.limit if self.sense == "at most" else self.value >= self.limit


class Result(Struct, frozen=True):
    """What was measured: plain figures by name (with the unit in the name), and the bars."""

    metrics: dict[str, float | int | str]
    bars: list[Bar]


def machine() -> dict[str, str | int]:
    """The machine, in the words a reader needs to judge a figure."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def scheduling() -> str:
    """How this process, and those that it starts, come by the processor: on a busy machine a figure needs that."""
    ordinary = os.sched_getscheduler(0) == os.SCHED_OTHER
    return "ordinary" if ordinary else "real time, on a busy machine"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of ``values`` lie (inclusive method)."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(percent * 10) - 1]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - /proc
            return file.readlines()
    except OSError:
        return []
