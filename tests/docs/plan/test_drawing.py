"""The floor plan as a picture."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from docs.plan.drawing import LEAVES, MARGIN, PICTURE, PUBLIC, WIDTH, house, place
from docs.plan.house import PACKAGES, ROOT, sources

pytestmark = pytest.mark.xdist_group("architecture")
"""What it reads, tests/test_architecture.py has parsed."""
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> ET.Element:
    return ET.fromstring(PICTURE.read_text(encoding="utf-8"))


def boxes(drawn: ET.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the rooms that lie in no other."""
    sides = [
        [float(one.attrib[name]) for name in ("x", "y", "width", "height")]
        for one in drawn.iter(f"{SVG}rect")
    ]
    return [(x, y, x + width, y + height) for x, y, width, height in sides if height > 24]


def test_no_two_rooms_are_in_the_same_place(drawn: ET.Element) -> None:
    for (left, top, right, bottom), (x, y, to_x, to_y) in combinations(boxes(drawn), 2):
        assert right <= x or to_x <= left or bottom <= y or to_y <= top


def test_nothing_stands_beyond_the_edge(drawn: ET.Element) -> None:
    height = float(drawn.attrib["height"])
    for left, top, right, bottom in boxes(drawn):
        assert MARGIN - 0.1 <= left < right <= WIDTH - MARGIN + 0.1
        assert MARGIN - 0.1 <= top < bottom <= height - MARGIN + 0.5


def test_every_folder_is_drawn(drawn: ET.Element) -> None:
    shown = [text.text for text in drawn.iter(f"{SVG}text") if text.attrib["class"] != "said"]
    folders = {path.parent for path in sources(*PACKAGES).values()} - {ROOT / "gateway"}
    assert sorted(shown) == sorted([*(folder.name for folder in folders), "app.py", PUBLIC])


def test_the_leaf_packages_ask_nobody() -> None:
    _, asks = house()
    assert all(asks[leaf] == set() for leaf in LEAVES)


@pytest.mark.parametrize(
    ("module", "box"),
    [
        ("gateway.hub.hub", ("hub", "")),
        ("gateway.hub", ("hub", "")),
        ("gateway.pipeline.asking.outbox", ("pipeline", "asking")),
        ("gateway.pipeline.asking", ("pipeline", "asking")),
        ("gateway.app", ("app.py", "")),
        ("gateway.listener", (PUBLIC, "")),
        ("gateway.__main__", ("", "")),
        ("firmware_bridge.bridge", ("firmware_bridge", "")),
        ("firmware_bridge.link.link", ("firmware_bridge", "link")),
    ],
)
def test_where_a_module_lies(module: str, box: tuple[str, str]) -> None:
    assert place(module) == box
