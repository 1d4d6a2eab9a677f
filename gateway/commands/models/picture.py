"""What models cost, as a picture: one bar for each, as long as its text takes."""

from __future__ import annotations

from html import escape

from gateway.commands.models.measuring import BUSY, SPEAKING, Cost
from transcription.models.model_hub import megabytes

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 900, 46, 150, 330, 74, 56
"""Pixels."""
INSTANT_MS, SLOW_MS = 300, 1000
"""Up to the first a person notices no wait; beyond the second it is a nuisance."""

_COLOURS = {"good": "#2e7d32", "fair": "#b26a00", "poor": "#b3261e"}
_STYLE = "text{font-family:system-ui,sans-serif;font-size:14px;fill:#222}.dim{fill:#666;font-size:12px}"


def svg(costs: list[Cost], machine: str) -> str:
    """The picture; it needs no fonts or files beside it."""
    height = TOP + ROW * len(costs) + BOTTOM
    longest = max([cost.text_ms_worst for cost in costs if not cost.failure], default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / max(longest, 1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Speech models on this machine</title><style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(20, 30, "From the end of speech to the text", size=18),
        _text(20, 52, f"{machine}; the bar is the median, the line goes to the worst", dim=True),
        *(line for number, cost in enumerate(costs) for line in _row(cost, TOP + ROW * number, scale)),
        _text(20, height - 30, f"devices: each spoken to for {SPEAKING:.0%} of the time, the recognizer "
              f"busy for at most {BUSY:.0%}", dim=True),
        _text(20, height - 12, "(estimate): the bundled model at that size; it tells the cost, not the quality",
              dim=True),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def grade(cost: Cost) -> str:
    """``good`` is instant, ``fair`` can be lived with, ``poor`` is slow or does not keep up."""
    if not cost.keeps_up or cost.text_ms_median > SLOW_MS:
        return "poor"
    return "good" if cost.text_ms_median <= INSTANT_MS else "fair"


def _row(cost: Cost, top: int, scale: float) -> list[str]:
    name = _text(20, top + 18, cost.name)
    under = [_text(20, top + 34, "(estimate)", dim=True)] if cost.estimate else []
    if cost.failure:
        return [name, *under, _text(LEFT, top + 18, cost.failure[:90], dim=True)]
    median, worst = cost.text_ms_median * scale, cost.text_ms_worst * scale
    colour = _COLOURS[grade(cost)]
    words = (
        f"{cost.text_ms_median:.0f} ms, {cost.devices} devices",
        f"{megabytes(cost.memory_bytes)}, {cost.real_time_factor:.2f} s of work for 1 s of speech",
    )
    return [
        name,
        *under,
        f'<rect x="{LEFT}" y="{top + 6}" width="{max(median, 1):.1f}" height="18" rx="2" fill="{colour}"/>',
        f'<path d="M{LEFT + median:.1f} {top + 15}H{LEFT + worst:.1f}" stroke="{colour}" stroke-width="2"/>',
        _text(WIDTH - RIGHT + 20, top + 16, words[0]),
        _text(WIDTH - RIGHT + 20, top + 32, words[1], dim=True),
    ]


def _text(x: int, y: int, words: str, *, size: int = 0, dim: bool = False) -> str:
    style = f' style="font-size:{size}px"' if size else ""
    kind = ' class="dim"' if dim else ""
    return f'<text x="{x}" y="{y}"{kind}{style}>{escape(words)}</text>'
