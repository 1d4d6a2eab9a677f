"""How fast a device's clock goes, told by when its samples arrive: its true rate, and its drift in ppm. No I/O.

A sample cannot arrive before it was recorded, but it may come late by any time: a ring that catches up, Wi-Fi, a busy
machine. So only the earliest arrivals count: of each short while the sample that was least late is kept, and the line
that lies just below all of these is the device's clock against ours. What is late, however much of it, does not move
it; only a stretch that came late as a whole (a ring sent in one go) tells nothing, and has too few seconds to count.
"""

from __future__ import annotations

from typing import Final

from firmware_bridge.link.events import SAMPLE_RATE

BINS: Final = 64
"""So many earliest arrivals are kept of a stretch, however long it is."""
BIN_SECONDS: Final = 0.25
"""Each of so long a while, at first; twice as long each time that all are taken."""
RATE_SECONDS: Final = 1.5
"""A shorter stretch tells no rate."""
DRIFT_SECONDS: Final = 10.0
"""A shorter one tells no drift: a millisecond of 10 s is 100 ppm."""

_Point = tuple[float, float]


class ClockDrift:
    """One stretch of audio: feed it the position behind each piece that has arrived, and when that was.

    ``rate``: what the device says it records at, in the samples that positions are counted in.
    """

    __slots__ = ("_began", "_bins", "_last", "_rate", "_width")

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._began: float | None = None
        self._width = BIN_SECONDS
        self._bins: dict[int, _Point] = {}
        self._last = 0.0

    def heard(self, position: int, now: float) -> None:
        """All samples before ``position`` are here ``now``: seconds of a monotonic clock."""
        if self._began is None:
            self._began = now
        at = now - self._began
        self._last = max(self._last, at)
        late = at - position / self._rate
        number = int(at / self._width)
        kept = self._bins.get(number)
        if kept is None or late < kept[1]:
            self._bins[number] = (at, late)
            if len(self._bins) > BINS:
                self._widen()

    @property
    def seconds(self) -> float:
        """How long the stretch has been, on our clock."""
        return self._last

    @property
    def samples_per_second(self) -> float | None:
        """How many samples the device really records in a second of ours; None as long as that is not known."""
        if self._last < RATE_SECONDS or len(self._bins) < 2:
            return None
        return self._rate * (1 - _slope_below(list(self._bins.values())))

    @property
    def ppm(self) -> float | None:
        """By how many millionths the device's clock is fast (below 0: slow); None as long as that is not known."""
        measured = self.samples_per_second if self._last >= DRIFT_SECONDS else None
        return None if measured is None else (measured / self._rate - 1) * 1e6

    def _widen(self) -> None:
        self._width *= 2
        bins: dict[int, _Point] = {}
        for number, point in self._bins.items():
            wide = number // 2
            if wide not in bins or point[1] < bins[wide][1]:
                bins[wide] = point
        self._bins = bins


def _slope_below(points: list[_Point]) -> float:
    """Of the line that lies under all points and as near to them as one can, in all."""
    hull: list[_Point] = []
    for point in points:  # in the order of their times
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    middle = sum(at for at, _ in points) / len(points)
    right = next(i for i, (at, _) in enumerate(hull) if i and (at >= middle or i == len(hull) - 1))
    (x0, y0), (x1, y1) = hull[right - 1], hull[right]
    return (y1 - y0) / (x1 - x0)


def _turns_right(a: _Point, b: _Point, c: _Point) -> bool:
    """Whether b lies on or above the way from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) <= (c[0] - a[0]) * (b[1] - a[1])
