"""Lines over time as SVG, inside a page: its colours are the page's (`--series-1` and so on). No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from msgspec import Struct

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 26
TICKS = 4
ROUND = (1, 2, 2.5, 5, 10)
Values = Sequence[float | None]


class Curve(Struct, frozen=True, kw_only=True):
    """One line: as many values as the chart has times; None: nothing is known, and the line has a gap."""

    name: str
    values: Values


class Mark(Struct, frozen=True, kw_only=True):
    """Something that lasts: it is shaded, and named at its top. Seconds since the run began."""

    name: str
    begin: float
    end: float


class Chart(Struct, frozen=True, kw_only=True):
    """``seconds``: of each value, since the run began. ``limit``: a bar, drawn as a line of its own."""

    title: str
    unit: str
    seconds: Sequence[float]
    curves: Sequence[Curve]
    marks: Sequence[Mark] = ()
    limit: float | None = None


def svg(chart: Chart) -> str:
    """The picture, with what it shows in words for those who do not see it."""
    top = ceiling(_largest(chart))
    first, last = (chart.seconds[0], chart.seconds[-1]) if chart.seconds else (0.0, 1.0)
    span = max(last - first, 1e-9)

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, (at - first) / span))

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, top) / top

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(in_words(chart))}">',
        *(_mark(mark, x) for mark in chart.marks if mark.end > first and mark.begin < last),
        *(_level(top * step / TICKS, y) for step in range(TICKS + 1)),
        *(_time(first + span * step / TICKS, x) for step in range(TICKS + 1)),
    ]
    if chart.limit is not None and chart.limit <= top:
        parts.append(f'<path class="limit" d="M{LEFT} {y(chart.limit):.1f}H{WIDTH - RIGHT}"/>')
    for number, curve in enumerate(chart.curves, 1):
        points = [
            None if v is None else (x(at), y(v)) for at, v in zip(chart.seconds, curve.values, strict=True)
        ]
        parts.append(
            f'<path class="line s{number}" d="{path(points)}"><title>{escape(curve.name)}</title></path>'
        )
    return "".join([*parts, "</svg>"])


def in_words(chart: Chart) -> str:
    """The range of each line."""
    said = []
    for curve in chart.curves:
        known = [value for value in curve.values if value is not None]
        said.append(
            f"{curve.name} {figure(min(known))} to {figure(max(known))}" if known else f"{curve.name} unknown"
        )
    return f"{chart.title}, {chart.unit}: {'; '.join(said)}"


def path(points: Iterable[tuple[float, float] | None]) -> str:
    """A line through them, with gaps where there is none; a point that stands alone is a dot."""
    found, is_drawing = [], False
    for point in points:
        if point is None:
            is_drawing = False
            continue
        found.append(
            f"{'L' if is_drawing else 'M'}{point[0]:.1f} {point[1]:.1f}" + ("" if is_drawing else "h0")
        )
        is_drawing = True
    return "".join(found)


def ceiling(value: float) -> float:
    """The next number that is easily read, at least as large."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(one for one in ROUND if one * power >= value * 0.999999)


def figure(value: float) -> str:
    """As a reader wants it."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600} h {whole % 3600 // 60:02}"


def _largest(chart: Chart) -> float:
    values = [value for curve in chart.curves for value in curve.values if value is not None]
    most = max(values, default=0.0)
    near = chart.limit is not None and chart.limit <= 3 * most
    return max(most, chart.limit) if near and chart.limit is not None else most


def _mark(mark: Mark, x: Callable[[float], float]) -> str:
    left, right = x(mark.begin), x(mark.end)
    box = f'<rect class="mark" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
    return f'{box}<text class="name" x="{left + 5:.1f}" y="{TOP + 12}">{escape(mark.name)}</text>'


def _level(value: float, y: Callable[[float], float]) -> str:
    at = y(value)
    return (
        f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{figure(value)}</text>'
    )


def _time(at: float, x: Callable[[float], float]) -> str:
    return f'<text class="tick" x="{x(at):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{clock(at)}</text>'
