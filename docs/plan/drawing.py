"""The floor plan as a picture: rooms as boxes on floors, an arrow where one asks another.

No two rooms ask each other, and an arrow that another way makes superfluous is left out. All is read from the
imports; equal code gives equal bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from docs.plan.house import PACKAGES, ROOT, imports, sentence, sources
from docs.plan.layers import Corridor, arranged, floors, reduced

PICTURE = ROOT / "docs" / "architecture.svg"
LEAVES = ("firmware_bridge", "transcription")
PUBLIC = "public names"

WIDTH, MARGIN, GAP, STOREY, CORRIDOR = 1000, 10, 14, 30, 18
"""Of the picture, around it, between rooms, between floors, and of the way past a room."""
PAD, LINE, CHARACTER = 12, 15, 6.5
CHIP, CHIP_LINE, CHIP_SIDE, CHIP_CHARACTER = 24, 32, 22, 6.6
COLOURS = {"firmware_bridge": ("#f8e7cb", "#b9812f"), "transcription": ("#d9eeda", "#4f9159")}
GATEWAY = ("#dde8f6", "#4c7bb3")
STYLE = (
    "text{font-family:-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1b2733;font-size:12px}"
    ".name{font-size:15px;font-weight:600}.said{fill:#40515f}.chip{text-anchor:middle}"
    ".way{fill:none;stroke:#7d8b99;stroke-width:1.6;marker-end:url(#head)}.on{marker-end:none}"
)
HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0.5 8 4 0 7.5z" fill="#7d8b99"/></marker>'
)


@dataclass(slots=True)
class Box:
    """A room in the picture; ``columns`` are the rooms within it, and ``steps`` the arrows between those."""

    name: str
    said: str = ""
    inner: dict[str, set[str]] = field(default_factory=dict)
    columns: list[list[str]] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    left: float = 0
    top: float = 0
    width: float = 0
    height: float = 0

    def arrange(self) -> None:
        """The rooms within it, each to the left of those that it asks; side by side when none asks another."""
        if any(self.inner.values()):
            inner = reduced(self.inner)
            self.columns, self.steps = arranged(inner, floors(inner))
        else:
            self.columns = [[name] for name in sorted(self.inner)]

    @property
    def widths(self) -> list[float]:
        """Of the columns."""
        return [18 + CHIP_CHARACTER * max(len(n) for n in names if n in self.inner) for names in self.columns]

    @property
    def least(self) -> float:
        """How narrow it may be."""
        return max(120.0, 2 * PAD + sum(self.widths) + CHIP_SIDE * (len(self.columns) - 1))

    @property
    def lines(self) -> list[str]:
        """What it says of itself, as it fits."""
        return textwrap.wrap(self.said, int((self.width - 2 * PAD) / CHARACTER))

    @property
    def needed(self) -> float:
        """How high it has to be."""
        return 35 + LINE * len(self.lines) + CHIP_LINE * max(map(len, self.columns), default=0)


def place(module: str) -> tuple[str, str]:
    """The box that a module lies in, and the one within that; empty where there is none."""
    package, *rest = module.split(".")
    folders = [*rest[:-1], *(rest[-1:] if (ROOT / module.replace(".", "/")).is_dir() else ())]
    if package == "gateway" and not folders:
        return {"gateway": "", "gateway.__main__": "", "gateway.app": "app.py"}.get(module, PUBLIC), ""
    way = [*((package,) if package in LEAVES else ()), *folders, ""]
    return way[0], way[1]


def house() -> tuple[dict[str, Box], dict[str, set[str]]]:
    """Every box, and who asks whom."""
    modules = sources(*PACKAGES)
    boxes: dict[str, Box] = {}
    asks: dict[str, set[str]] = {}
    for module, path in modules.items():
        name, inner = place(module)
        box = boxes.setdefault(name, Box(name))
        box.said = box.said or sentence(path).removeprefix(f"{name}: ").replace("``", "")
        if inner:
            box.inner.setdefault(inner, set())
        for asked, within in (place(one) for one in imports(path, modules) if one in modules):
            if asked != name:
                asks.setdefault(name, set()).add(asked)
            elif inner and within not in {"", inner}:
                box.inner[inner].add(within)
    del boxes[""]
    boxes[PUBLIC].said = "For programs of others: thin faces of what lies in the rooms"
    for box in boxes.values():
        box.arrange()
    return boxes, reduced({name: asks.get(name, set()) - {""} for name in boxes})


def picture() -> str:
    """The picture, as SVG."""
    boxes, asks = house()
    rows, steps = arranged(asks, floors(asks, ground=LEAVES))
    ends: dict[str, tuple[float, float, float, float]] = {}
    top = float(MARGIN)
    for row in rows:
        sides = _spread(row, boxes)
        height = max(boxes[name].needed for name in row if name in boxes)
        for name in row:
            ends[name] = (*sides[name], top, top + height)
            if name in boxes:
                boxes[name].top, boxes[name].height = top, height
        top += height + STOREY
    drawn = [line for name in sorted(boxes) for line in _drawn(boxes[name])]
    drawn += (_way(asker, asked, ends) for asker, asked in steps)
    size = f'width="{WIDTH}" height="{top - STOREY + MARGIN:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {top - STOREY + MARGIN:.0f}">',
            "<title>The rooms of Earshot, and who asks whom</title>",
            f"<style>{STYLE}</style><defs>{HEAD}</defs>",
            *drawn,
            "</svg>\n",
        ]
    )


def _spread(row: list[str], boxes: dict[str, Box]) -> dict[str, tuple[float, float]]:
    """A floor's rooms side by side over its whole width; and between where and where an arrow may reach each."""
    here = [boxes[name] for name in row if name in boxes]
    taken = GAP * (len(row) - 1) + CORRIDOR * (len(row) - len(here)) + sum(box.least for box in here)
    more = (WIDTH - 2 * MARGIN - taken) / len(here)
    left = float(MARGIN)
    sides = {}
    for name in row:
        if name in boxes:
            boxes[name].left, boxes[name].width = left, boxes[name].least + more
            sides[name] = (left + PAD, left + boxes[name].width - PAD)
            left += boxes[name].width + GAP
        else:
            sides[name] = (left + CORRIDOR / 2, left + CORRIDOR / 2)
            left += CORRIDOR + GAP
    return sides


def _drawn(box: Box) -> Iterator[str]:
    fill, line = COLOURS.get(box.name, GATEWAY)
    x, y = box.left + PAD, box.top + 22
    yield (
        f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="6"'
        f' fill="{fill}" stroke="{line}"/>'
    )
    yield f'<text class="name" x="{x:.1f}" y="{y:.1f}">{escape(box.name)}</text>'
    for said in box.lines:
        y += LINE
        yield f'<text class="said" x="{x:.1f}" y="{y + 3:.1f}">{escape(said)}</text>'
    yield from _within(box, x, y + 13, line)


def _within(box: Box, x: float, top: float, line: str) -> Iterator[str]:
    ends: dict[str, tuple[float, float, float]] = {}
    for names, width in zip(box.columns, box.widths, strict=True):
        for number, name in enumerate(names):
            y = top + number * CHIP_LINE
            ends[name] = (x, x + width, y + CHIP / 2)
            if name in box.inner:
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{CHIP}" rx="4" fill="#fff"'
                    f' fill-opacity="0.75" stroke="{line}" stroke-width="0.8"/>'
                )
                yield f'<text class="chip" x="{x + width / 2:.1f}" y="{y + 16:.1f}">{escape(name)}</text>'
        x += width + CHIP_SIDE
    for asker, asked in box.steps:
        (left, right, y), (to_x, _, to_y) = ends[asker], ends[asked]
        begin = f"M{left:.1f} {y:.1f}H{right:.1f}" if isinstance(asker, Corridor) else f"M{right:.1f} {y:.1f}"
        bend = f"C{right + 11:.1f} {y:.1f} {to_x - 11:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        yield f'<path class="way{" on" if isinstance(asked, Corridor) else ""}" d="{begin}{bend}"/>'


def _way(asker: str, asked: str, ends: dict[str, tuple[float, float, float, float]]) -> str:
    """An arrow from one floor to the next, straight down where that leads there."""
    (left, right, top, y), (to_left, to_right, to_y, _) = ends[asker], ends[asked]
    x = min(max((max(left, to_left) + min(right, to_right)) / 2, left), right)
    to_x = min(max(x, to_left), to_right)
    begin = f"M{x:.1f} {top:.1f}V{y:.1f}" if isinstance(asker, Corridor) else f"M{x:.1f} {y:.1f}"
    middle = (y + to_y) / 2
    bend = f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
    return f'<path class="way{" on" if isinstance(asked, Corridor) else ""}" d="{begin}{bend}"/>'
