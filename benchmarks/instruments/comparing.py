"""Today's results beside the committed ones: ratios with their spread over several runs, and which of them are worse.

A machine is never as quick twice. A bar counts as worse when all runs of today are worse than the committed figure by
more than they differ among each other, and by more than a tenth. Times are compared on the same processor only.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

TOLERANCE = 0.1
"""What a figure may differ that is the same, however little the runs of one day differ."""
RELATIVE_UNITS = ("x", "%", "")
"""Shares and counts, which carry over from one machine to another."""

Verdict = Literal["as before", "better", "worse", "missed", "new", "another machine"]
BAD: tuple[Verdict, ...] = ("worse", "missed")


class Comparison(Struct, frozen=True):
    """One bar: its ``values`` of today's runs, each at least one, and what was committed."""

    benchmark: str
    what: str
    values: tuple[float, ...]
    committed: float | None
    sense: Literal["at most", "at least"]
    limit: float
    unit: str
    same_machine: bool

    @property
    def today(self) -> float:
        """The median of the runs."""
        return statistics.median(self.values)

    @property
    def ratio(self) -> float | None:
        """Of the committed figure; None where there is none, or it is 0."""
        return self.today / self.committed if self.committed else None

    @property
    def spread(self) -> float:
        """How far apart the runs are, as a share of the committed figure, or of today's."""
        return (max(self.values) - min(self.values)) / (abs(self.committed or self.today) or 1.0)

    @property
    def verdict(self) -> Verdict:
        """What to make of it."""
        best = min(self.values) if self.sense == "at most" else max(self.values)
        if self._misses(best) and not (self.committed is not None and self._misses(self.committed)):
            return "missed"
        if self.committed is None:
            return "new"
        if not self.same_machine and self.unit not in RELATIVE_UNITS:
            return "another machine"
        return self._beside(self.committed)

    def _misses(self, value: float) -> bool:
        return value > self.limit if self.sense == "at most" else value < self.limit

    def _beside(self, committed: float) -> Verdict:
        """A figure of 0 has no shares: more than 0 is worse where less is better."""
        slack = max(TOLERANCE, self.spread) * abs(committed)
        lower, higher = max(self.values) < committed - slack, min(self.values) > committed + slack
        if not (lower or higher):
            return "as before"
        return "better" if lower == (self.sense == "at most") else "worse"

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:6.2f} x, "
        committed = "-" if self.committed is None else f"{self.committed:.4g}"
        return (
            f"{self.verdict:<16} {self.benchmark}: {self.what}: {ratio}spread {100 * self.spread:.0f} % "
            f"({committed} -> {self.today:.4g} {self.unit}, {self.sense} {self.limit:.4g})"
        )


def compared(committed: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> Iterator[Comparison]:
    """The bars of a benchmark's runs of today, beside those of its committed result; both as JSON documents."""
    before = {bar["what"]: bar["value"] for bar in committed.get("bars", ())}
    same = all(run["machine"]["cpu"] == committed.get("machine", {}).get("cpu") for run in runs)
    for bar in runs[0]["bars"]:
        values = tuple(
            float(one["value"]) for run in runs for one in run["bars"] if one["what"] == bar["what"]
        )
        yield Comparison(
            runs[0]["name"], bar["what"], values, before.get(bar["what"]), bar["sense"], bar["limit"],
            bar["unit"], same,
        )  # fmt: skip
