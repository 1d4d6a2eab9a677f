"""The page is one file that asks nobody for anything, and its pictures show what they are given."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from benchmarks.fleet.charts import Chart, Curve, Mark, ceiling, clock, figure, in_words, path, svg
from benchmarks.fleet.courses import Courses, charts
from benchmarks.fleet.page import page
from benchmarks.instruments.report import Bar
from tests.benchmarks.fleet.test_figures import look, ran, spoken

SVG = "{http://www.w3.org/2000/svg}"
WAITS = Chart(
    title="Waits", unit="ms", seconds=[0.0, 1.0, 2.0, 3.0, 4.0],
    curves=[Curve(name="p50", values=[10, None, 30, 40, 20]), Curve(name="p99 <of all>", values=[None] * 5)],
    marks=[Mark(name="half", begin=0.0, end=2.0)], limit=50.0,
)  # fmt: skip


def drawn(chart: Chart) -> ET.Element:
    return ET.fromstring(svg(chart))  # not well-formed: it raises


def test_a_picture_is_well_formed_and_says_in_words_what_it_shows() -> None:
    picture = drawn(WAITS)
    assert picture.get("role") == "img"
    assert picture.get("aria-label") == "Waits, ms: p50 10 to 40; p99 <of all> unknown"
    assert [one.findtext("title") for one in picture.iter("path") if "line" in one.get("class", "")] == [
        "p50", "p99 <of all>",
    ]  # fmt: skip
    assert "half" in [one.text for one in picture.iter("text")]


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    line = next(one for one in drawn(WAITS).iter("path") if one.get("class") == "line s1")
    assert line.get("d", "").count("M") == 2
    assert path([(1, 2), None, (3, 4), (5, 6)]) == "M1.0 2.0h0M3.0 4.0h0L5.0 6.0"
    assert path([None]) == ""


def test_higher_is_more_and_all_of_it_is_within_the_picture() -> None:
    line = next(one for one in drawn(WAITS).iter("path") if one.get("class") == "line s1")
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line.get("d", ""))]
    assert heights[2] < heights[1] < heights[3] < heights[0]
    assert all(0 < height < 220 for height in heights)


@pytest.mark.parametrize(("limit", "is_shown"), [(50.0, True), (1000.0, False)])
def test_a_bar_is_drawn_where_it_does_not_flatten_the_lines(limit: float, *, is_shown: bool) -> None:
    chart = Chart(title="", unit="", seconds=WAITS.seconds, curves=WAITS.curves, limit=limit)
    assert ("limit" in [one.get("class") for one in drawn(chart).iter("path")]) is is_shown


def test_nothing_can_be_drawn_too() -> None:
    assert drawn(Chart(title="", unit="", seconds=[], curves=[])).tag == "svg"
    assert drawn(Chart(title="", unit="", seconds=[1.0], curves=[Curve(name="", values=[0.0])])).tag == "svg"


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1.0), (0.7, 1.0), (1.0, 1.0), (1.1, 2.0), (24, 25.0), (26, 50.0), (51, 100.0), (-1, 1.0)],
)
def test_an_axis_ends_at_a_number_that_is_easily_read(value: float, top: float) -> None:
    assert ceiling(value) == top


def test_figures_and_times_are_as_a_reader_wants_them() -> None:
    assert [figure(v) for v in (0.0, 0.12345, 12.34, 1234.5, 3.0)] == ["0", "0.123", "12.3", "1,234", "3"]
    assert [clock(v) for v in (0, 61, 3600, 7384)] == ["0:00", "1:01", "1 h 00", "2 h 03"]
    assert in_words(Chart(title="t", unit="u", seconds=[], curves=[])) == "t, u: "


class _Asked(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_a_page_asks_nobody_and_runs_nothing() -> None:
    text = page(
        "Load", ["On <this> machine."], [Bar("lag", 3.0, 50.0, "at most", "ms")], {"half": {"p": 1}}, [WAITS]
    )
    asked = _Asked()
    asked.feed(text)
    assert not asked.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not asked.attributes & {"src", "href", "srcset", "action", "onload", "style"}
    assert "url(" not in text
    assert "://" not in text
    assert "@import" not in text
    assert "prefers-color-scheme:dark" in text
    assert "On &lt;this&gt; machine." in text


def test_a_page_says_first_how_many_bars_were_missed() -> None:
    bars = [Bar("lag", 60.0, 50.0, "at most", "ms"), Bar("lost", 0, 0, "at most")]
    text = page("Load", [], bars, {"half": {"a": 1}, "capacity": {"b": "some"}}, [])
    assert text.index("1 of 2 bars missed") < text.index("<table>")
    assert text.count('<td class="missed">missed</td>') == 1
    assert "all 2 bars met" in page("Load", [], [bars[1], bars[1]], {}, [])


def test_a_chart_has_some_hundred_points_however_long_a_run_was() -> None:
    looks = [look(at, memory_gateway=2**20 * at, tasks=5) for at in range(7200)]
    its = Courses(ran(looks, [], end=7200), frozenset())
    assert len(its.seconds) == 300
    assert its.of("memory gateway", "gateway", 2**-20).values[-1] == pytest.approx(7176)
    assert its.marks() == [Mark(name="capacity", begin=0.0, end=7200.0)]


def test_a_point_tells_of_those_who_spoke_in_the_window_before_it() -> None:
    looks = [look(at) for at in range(120)]
    said = [spoken(10, text_ms=100.0), spoken(50, text_ms=300.0), spoken(60, "no answer", reply_ms=None)]
    its = Courses(ran(looks, said, end=120), frozenset())
    waits = its.waits(50, reply=False).values
    assert (waits[5], waits[20], waits[45], waits[55], waits[100]) == (None, 100.0, None, 300.0, None)
    assert its.waits(50, reply=True).values[61] == 150.0
    assert its.failed().values[-1] == 1.0


def test_the_charts_of_a_run_tell_all_that_is_asked_of_it() -> None:
    looks = [
        look(at, tasks=5, queue_asked=at % 3, memory_gateway=2**20, cpu_gateway=at // 5) for at in range(60)
    ]
    found = {chart.title: chart for chart in charts(ran(looks, [spoken(10)], end=60), frozenset())}
    assert len(found) == 8
    for chart in found.values():
        drawn(chart)
    assert [curve.name for curve in found["On the way, by stage"].curves] == ["asked"]
    assert [curve.name for curve in found["Lost, dropped, failed, so far"].curves] == [
        "lost",
        "without an answer",
    ]
