"""HTTP requests by method, route and kind of answer, and how long they took. No I/O.

Bounded: a route is one that the router has, whatever the path; a method is one that HTTP knows.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from gateway.observing.metrics.family import Family, Histogram, Kind, counter

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
"""A method of nobody's, and a route that is not there."""


class HttpRequests:
    """Since the start."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        """By method, route and class of status (``2xx``)."""
        self._durations: dict[tuple[str, str], Histogram] = {}

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """One more. ``route``: the router's template; empty: none. ``seconds``: until its answer was ready, or open."""
        method, route = method if method in METHODS else OTHER, route or OTHER
        self.counts[method, route, f"{status // 100}xx"] += 1
        durations = self._durations.get((method, route))
        if durations is None:
            durations = self._durations[method, route] = Histogram(_NAME, _SAYS, SECONDS)
        durations.note(seconds)

    def families(self) -> list[Family]:
        """As they are now; of what nobody has asked for there is nothing."""
        requests = counter("http_requests", "HTTP requests by method, route and class of status.")
        for (method, route, status), count in self.counts.items():
            requests.add(count, method=method, route=route, status=status)
        durations = Family(name=_NAME, kind=Kind.HISTOGRAM, says=_SAYS)
        for (method, route), histogram in self._durations.items():
            durations.samples += histogram.family(method=method, route=route).samples
        return [requests, durations]


_NAME: Final = "http_request_duration_seconds"
_SAYS: Final = "How long HTTP requests took until their answer was ready, or a stream or socket open."
