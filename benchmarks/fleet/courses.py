"""What a run's looks and utterances become over time: the charts of its page, of few points each. No I/O."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.fleet.charts import Chart, Curve, Mark
from benchmarks.fleet.figures import (
    GATEWAY,
    LAG_AT_CAPACITY_MS,
    RECOGNIZER,
    STEPS,
    WINDOW_SECONDS,
    Ran,
    between,
    cores,
    losses,
    unanswered,
)
from benchmarks.fleet.scraping import Look
from benchmarks.instruments.report import percentile

MEGA = 2**-20
STAGES = ("transcribing", "recognizer", "unpublished", "asked", "undelivered")
PERCENTS = (50, 95, 99)


class Courses:
    """The figures of one run at a few hundred times."""

    def __init__(self, ran: Ran, slow: frozenset[str]) -> None:
        """``slow``: the devices that the slow agent answers; their waits say nothing of the gateway."""
        self._ran = ran
        self._slow = slow
        looks = ran.looks
        step = max(1, math.ceil(len(looks) / STEPS))
        self._at = list(range(0, len(looks), step))
        self._times = [look.at for look in looks]
        self.began = looks[0].at if looks else 0.0
        self.seconds = [looks[n].at - self.began for n in self._at]
        self._spoken = sorted(ran.spoken, key=lambda one: one.at)
        self._ends = [one.at for one in self._spoken]

    def of(self, name: str, label: str = "", scale: float = 1.0) -> Curve:
        """A figure as /metrics says it."""
        values = [self._ran.looks[n].figures.get(name) for n in self._at]
        return Curve(name=label or name, values=[None if v is None else v * scale for v in values])

    def behind(self, name: str, figure: Callable[[Sequence[Look]], float]) -> Curve:
        """What the last looks, of a window, make together."""
        found = []
        for n in self._at:
            first = bisect_left(self._times, self._times[n] - WINDOW_SECONDS)
            value = figure(self._ran.looks[first : n + 1])
            found.append(None if math.isnan(value) else value)
        return Curve(name=name, values=found)

    def waits(self, percent: int, *, reply: bool) -> Curve:
        """What speakers waited, of those in a window."""
        found: list[float | None] = []
        for n in self._at:
            here = self._times[n]
            window = self._spoken[
                bisect_left(self._ends, here - WINDOW_SECONDS) : bisect_left(self._ends, here)
            ]
            waits = (
                [one.reply_ms for one in window if one.device not in self._slow]
                if reply
                else [one.text_ms for one in window]
            )
            known = [wait for wait in waits if wait is not None]
            found.append(percentile(known, percent) if known else None)
        return Curve(name=f"p{percent}", values=found)

    def failed(self) -> Curve:
        """How many utterances had no answer, so far."""
        bad = [one.at for one in self._spoken if unanswered([one])]
        return Curve(
            name="without an answer", values=[float(bisect_left(bad, self._times[n])) for n in self._at]
        )

    def marks(self) -> list[Mark]:
        """Its phases."""
        return [
            Mark(name=one.name, begin=one.begin - self.began, end=one.end - self.began)
            for one in self._ran.stretches
        ]

    def chart(self, title: str, unit: str, *curves: Curve, limit: float | None = None) -> Chart:
        """Of these."""
        known = [curve for curve in curves if any(value is not None for value in curve.values)]
        return Chart(
            title=title, unit=unit, seconds=self.seconds, curves=known, marks=self.marks(), limit=limit
        )


def charts(ran: Ran, slow: frozenset[str]) -> list[Chart]:
    """All charts of a run's page."""
    its = Courses(ran, slow)
    everybody = Curve(name="everybody on this machine", values=its.behind("", _busy).values)
    lost = its.behind("lost", partial(_lost, ran))
    both = (GATEWAY, RECOGNIZER)
    return [
        its.chart("Speech to text", "ms", *(its.waits(p, reply=False) for p in PERCENTS)),
        its.chart("Speech to reply, of the quick agent", "ms", *(its.waits(p, reply=True) for p in PERCENTS)),
        its.chart(
            "Event loop lag",
            "ms",
            *(its.behind(f"p{percent}", partial(_lag_ms, percent)) for percent in (50, 99)),
            limit=LAG_AT_CAPACITY_MS,
        ),
        its.chart("On the way, by stage", "utterances", *(its.of(f"queue {one}", one) for one in STAGES)),
        its.chart(
            "Processor, over 30 s",
            "cores",
            *(its.behind(who, partial(_cores, who)) for who in both),
            everybody,
        ),
        its.chart("Memory", "MB", *(its.of(f"memory {who}", who, MEGA) for who in both)),
        its.chart(
            "Descriptors and tasks",
            "number",
            *(its.of(f"descriptors {who}", f"descriptors, {who}") for who in both),
            its.of("tasks", "tasks of the event loop"),
        ),
        its.chart("Lost, dropped, failed, so far", "number", lost, its.failed()),
    ]


def _lag_ms(percent: int, looks: Sequence[Look]) -> float:
    return 1000 * between(looks, "lag", percent)


def _cores(who: str, looks: Sequence[Look]) -> float:
    return cores(looks, who)


def _lost(ran: Ran, looks: Sequence[Look]) -> float:
    return losses([ran.looks[0], looks[-1]], ran)


def _busy(looks: Sequence[Look]) -> float:
    return sum(look.busy for look in looks) / len(looks)
