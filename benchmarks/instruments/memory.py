"""What a process takes: resident memory, how that goes on over the hours, and processor time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def resident_mb(pid: int | None = None) -> float:
    """The resident memory of a process (of this one), in MB."""
    status = Path(f"/proc/{os.getpid() if pid is None else pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kilobytes / 1024


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Course:
    """Memory over simulated time."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []

    def note(self, seconds: float, megabytes: float) -> None:
        """So much at that time."""
        self._points.append((seconds, megabytes))

    def around(self, seconds: float, *, width: float) -> float:
        """The median over so many seconds around that time; there must be a point."""
        sizes = [size for time, size in self._points if abs(time - seconds) <= width / 2]
        return float(np.median(sizes))

    def slope_per_hour(self, *, since: float) -> float:
        """Least squares over what came ``since`` so many seconds, in MB per hour. At least two points."""
        times, sizes = np.array([point for point in self._points if point[0] >= since]).T
        slope, _ = np.polyfit(times / 3600, sizes, 1)
        return float(slope)
