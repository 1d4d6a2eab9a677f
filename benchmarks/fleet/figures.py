"""From looks and utterances to percentiles, slopes and bars. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from benchmarks.fleet.devices import Spoken
from benchmarks.fleet.scraping import Look
from benchmarks.instruments.report import Bar, percentile

GATEWAY, RECOGNIZER = "gateway", "recognizer"
WINDOW_SECONDS = 30.0
"""Of utterances, and of the event loop's lags, behind one point of a plot."""
STEPS = 300
"""Points of a plot, at most."""
LAG_AT_CAPACITY_MS, LAG_AT_HALF_MS = 50.0, 10.0
SLOPE_MB_PER_HOUR = 0.5
ERRORS_PERCENT = 0.1
FLAT = 4
"""Descriptors and tasks by which the last quarter may differ from the second, in the median."""
Line = list[float | None]


class Stretch(Struct, frozen=True, kw_only=True):
    """A phase as it was: from when to when, in Unix seconds."""

    name: str
    duty: float
    begin: float
    end: float

    def holds(self, at: float) -> bool:
        """Whether that time lies in it."""
        return self.begin <= at < self.end


class Ran(Struct, frozen=True, kw_only=True):
    """What a run has given. ``compressed``: simulated seconds of a real one."""

    stretches: tuple[Stretch, ...]
    looks: tuple[Look, ...]
    spoken: tuple[Spoken, ...]
    listeners: dict[str, Any]
    scrape_failures: int
    compressed: float = 1.0

    def looks_in(self, stretch: Stretch) -> list[Look]:
        """Of that phase."""
        return [look for look in self.looks if stretch.holds(look.at)]

    def spoken_in(self, stretch: Stretch) -> list[Spoken]:
        """Of that phase."""
        return [one for one in self.spoken if stretch.holds(one.at)]


def from_buckets(buckets: Mapping[float, float], percent: float) -> float:
    """A percentile of a cumulative histogram, linear within its bucket, in the bounds' unit; NaN: nothing was counted.

    What lies above the last finite bound counts as that.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return math.nan
    wanted, low, before = total * percent / 100, 0.0, 0.0
    for bound in bounds:
        if math.isinf(bound):
            break
        if buckets[bound] >= wanted:
            inside = buckets[bound] - before
            return low + (bound - low) * ((wanted - before) / inside if inside else 1.0)
        low, before = bound, buckets[bound]
    return low


def counted(name: str, first: Look, last: Look) -> dict[float, float]:
    """What a histogram counted between two looks, by bound."""
    prefix = f"{name} "
    return {
        float(key.removeprefix(prefix)): value - first.figures.get(key, 0.0)
        for key, value in last.figures.items()
        if key.startswith(prefix)
    }


def grown(name: str, first: Look, last: Look) -> float:
    """How much a counter grew; 0 where there is none."""
    return last.figures.get(name, 0.0) - first.figures.get(name, 0.0)


def between(looks: Sequence[Look], name: str, percent: float) -> float:
    """That percentile of what came between the first look and the last, in seconds."""
    return from_buckets(counted(name, looks[0], looks[-1]), percent) if len(looks) > 1 else math.nan


def cores(looks: Sequence[Look], process: str) -> float:
    """How many cores it was busy on; its figures are renewed each 5 s, so the first and last renewal count."""
    name = f"cpu {process}"
    renewed = [
        look
        for look, before in zip(looks[1:], looks, strict=False)
        if look.figures.get(name) != before.figures.get(name)
    ]
    if len(renewed) < 2:
        return math.nan
    return grown(name, renewed[0], renewed[-1]) / (renewed[-1].at - renewed[0].at)


def slope_per_hour(looks: Sequence[Look], name: str, *, compressed: float = 1.0, scale: float = 1.0) -> float:
    """Least squares of a figure over the (simulated) hours; NaN: too few looks to say."""
    points = [(look.at, look.figures[name] * scale) for look in looks if name in look.figures]
    if len(points) < 10:
        return math.nan
    at, values = np.array(points).T
    return float(np.polyfit((at - at[0]) / 3600 * compressed, values, 1)[0])


def drift(looks: Sequence[Look], name: str) -> float:
    """By how much the median of the last quarter lies above that of the second: what stays flat has none."""
    values = [look.figures[name] for look in looks if name in look.figures]
    quarter = len(values) // 4
    if not quarter:
        return math.nan
    return float(np.median(values[-quarter:]) - np.median(values[quarter : 2 * quarter]))


def unanswered(spoken: Iterable[Spoken]) -> dict[str, int]:
    """Utterances whose speaker did not get what somebody said, by what became of them."""
    found: dict[str, int] = {}
    for one in spoken:
        if one.outcome != "answered":
            found[one.outcome] = found.get(one.outcome, 0) + 1
    return found


def losses(looks: Sequence[Look], ran: Ran) -> float:
    """Whatever was lost, dropped, or ended by a mistake of ours, while that lasted."""
    if len(looks) < 2:
        return math.nan
    names = (
        "lost answers",
        "lost messages",
        "mishaps",
        "events dropped",
        "listeners evicted",
        "utterances failed",
    )
    return sum(grown(name, looks[0], looks[-1]) for name in names) + float(ran.listeners.get("closed", 0))


def waits(spoken: Sequence[Spoken], slow: frozenset[str] = frozenset()) -> dict[str, float | int | str]:
    """What people waited. ``slow``: the devices that the slow agent answers."""
    text = [one.text_ms for one in spoken if one.text_ms is not None]
    quick = [one.reply_ms for one in spoken if one.reply_ms is not None and one.device not in slow]
    late = [one.reply_ms for one in spoken if one.reply_ms is not None and one.device in slow]
    found: dict[str, float | int | str] = {}
    for what, values in (
        ("speech to text", text),
        ("speech to reply", quick),
        ("speech to the slow agent's reply", late),
    ):
        if values:
            found |= {
                f"{what}, p{percent}_ms": round(percentile(values, percent), 1) for percent in (50, 95, 99)
            }
    return found


def metrics_of(ran: Ran, stretch: Stretch, slow: frozenset[str]) -> dict[str, float | int | str]:
    """All figures of a phase."""
    looks, spoken = ran.looks_in(stretch), ran.spoken_in(stretch)
    seconds = stretch.end - stretch.begin
    bad = unanswered(spoken)
    delivered = grown("events delivered", looks[0], looks[-1]) if looks else 0.0
    found: dict[str, float | int | str] = {
        "duty_%": 100 * stretch.duty,
        "seconds": round(seconds),
        "utterances": len(spoken),
        "utterances_per_s": round(len(spoken) / seconds, 2),
        "mean speech_s": round(float(np.mean([one.seconds for one in spoken])), 2) if spoken else 0.0,
        **waits(spoken, slow),
        "event loop lag, p50_ms": 1000 * between(looks, "lag", 50),
        "event loop lag, p99_ms": 1000 * between(looks, "lag", 99),
        "events to listeners_per_s": delivered / seconds,
        "gateway, cores": cores(looks, GATEWAY),
        "recognizer, cores": cores(looks, RECOGNIZER),
        "the machine's cores that anybody kept busy": round(float(np.mean([look.busy for look in looks])), 2),
        "recognizer's queue, most": max(
            (look.figures.get("queue recognizer", 0.0) for look in looks), default=0.0
        ),
        "at the broker's server, most": max(
            (look.figures.get("at the broker's server", 0.0) for look in looks), default=0.0
        ),
        "/metrics, p95_ms": percentile([look.took_ms for look in looks], 95) if looks else math.nan,
        "lost": losses(looks, ran),
        "utterances without an answer": sum(bad.values()),
        "frames that a device's ring had no room for": sum(one.overrun_frames for one in spoken),
    }
    found |= {f"utterances: {what}": count for what, count in sorted(bad.items())}
    return {
        key: value for key, value in found.items() if not (isinstance(value, float) and math.isnan(value))
    }


def load_bars(ran: Ran) -> list[Bar]:
    """[load]: the event loop at capacity and at half of it, and that nothing is lost."""
    bars = []
    for stretch, limit in zip(ran.stretches, _limits(ran), strict=True):
        looks, spoken = ran.looks_in(stretch), ran.spoken_in(stretch)
        lag = 1000 * between(looks, "lag", 99)
        bars.append(Bar(f"{stretch.name}: event loop lag, p99", lag, limit, "at most", "ms"))
        bars.append(Bar(f"{stretch.name}: lost", losses(looks, ran), 0, "at most"))
        bars.append(
            Bar(
                f"{stretch.name}: utterances without an answer",
                _bad_percent(spoken),
                ERRORS_PERCENT,
                "at most",
                "%",
            )
        )
    return bars


def soak_bars(ran: Ran) -> list[Bar]:
    """[soak]: memory, descriptors and tasks of the last stretch, and errors in all of it."""
    looks = ran.looks_in(ran.stretches[-1])
    bars = [
        Bar(
            f"memory, {who}",
            slope_per_hour(looks, f"memory {who}", compressed=ran.compressed, scale=2**-20),
            SLOPE_MB_PER_HOUR, "at most", "MB/h",
        )
        for who in (GATEWAY, RECOGNIZER)
    ]  # fmt: skip
    bars += [
        Bar(f"{what}, last quarter above the second", drift(looks, name), FLAT, "at most")
        for what, name in (
            ("descriptors, gateway", f"descriptors {GATEWAY}"),
            ("descriptors, recognizer", f"descriptors {RECOGNIZER}"),
            ("tasks", "tasks"),
        )
    ]
    bars.append(Bar("lost", losses(looks, ran), 0, "at most"))
    bars.append(
        Bar(
            "utterances without an answer",
            _bad_percent(ran.spoken_in(ran.stretches[-1])),
            ERRORS_PERCENT,
            "at most",
            "%",
        )
    )
    return bars


def _limits(ran: Ran) -> list[float]:
    """The last phase is capacity; those before it are at most half of it."""
    return [LAG_AT_HALF_MS] * (len(ran.stretches) - 1) + [LAG_AT_CAPACITY_MS]


def _bad_percent(spoken: Sequence[Spoken]) -> float:
    return 100 * sum(unanswered(spoken).values()) / len(spoken) if spoken else math.nan
