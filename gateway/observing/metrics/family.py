"""Families of figures as Prometheus has them: a name, what it says, and a value for each set of labels. No I/O."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

PREFIX: Final = "earshot_"


class Kind(enum.StrEnum):
    """What becomes of the values of a family over time. The value of an INFO is in its labels."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class Exemplar(Struct, frozen=True):
    """One of those that were counted: the trace in which it can be looked at. ``at``: Unix seconds."""

    trace_id: str
    value: float
    at: float


class Sample(Struct, frozen=True):
    """One value. ``suffix``: what stands behind the family's name (``_bucket``, ``_total``)."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    exemplar: Exemplar | None = None


class Family(Struct, kw_only=True):
    """Values of one kind. ``name``: without ``PREFIX``, ``_total`` and ``_info``; ``says``: one sentence."""

    name: str
    kind: Kind
    says: str
    samples: list[Sample] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One more value."""
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        self.samples.append(Sample(float(value), tuple(labels.items()), suffix))


def gauge(name: str, says: str, value: float | None = None) -> Family:
    """What goes up and down; with a value, there is one without labels."""
    return _family(name, Kind.GAUGE, says, value)


def counter(name: str, says: str, value: float | None = None) -> Family:
    """What only goes up, since the start."""
    return _family(name, Kind.COUNTER, says, value)


def by_label(family: Family, label: str, values: Mapping[str, float]) -> Family:
    """The family with a value for each name of ``label``; names have underscores where people write spaces."""
    for name, value in values.items():
        family.add(value, **{label: name.replace(" ", "_")})
    return family


class Histogram:
    """How often something took how long, in buckets that are always the same."""

    def __init__(self, name: str, says: str, bounds: Iterable[float]) -> None:
        """``bounds``: the upper ones, rising; above the last there is one more bucket."""
        self.name, self.says = name, says
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Of each bucket alone."""
        self.sum = 0.0
        self._exemplars: dict[int, Exemplar] = {}

    def note(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Once more. ``exemplar``: takes the place of the one that its bucket had."""
        number = bisect_left(self.bounds, value)
        self.counts[number] += 1
        self.sum += value
        if exemplar is not None:
            self._exemplars[number] = exemplar

    def family(self, **labels: str) -> Family:
        """As it stands in a text, with these labels: each bucket holds those below it, too."""
        family, with_labels = (
            Family(name=self.name, kind=Kind.HISTOGRAM, says=self.says),
            tuple(labels.items()),
        )
        so_far = 0
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        for number, (bound, count) in enumerate(zip(bounds, self.counts, strict=True)):
            so_far += count
            family.samples.append(
                Sample(float(so_far), (*with_labels, ("le", bound)), "_bucket", self._exemplars.get(number))
            )
        family.samples.append(Sample(float(so_far), with_labels, "_count"))
        family.samples.append(Sample(self.sum, with_labels, "_sum"))
        return family


def _family(name: str, kind: Kind, says: str, value: float | None) -> Family:
    family = Family(name=name, kind=kind, says=says)
    if value is not None:
        family.add(value)
    return family
