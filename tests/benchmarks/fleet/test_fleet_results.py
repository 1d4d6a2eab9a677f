"""What was measured and committed: figures and page of the same run, bars as they were judged, a table that is made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.fleet.__main__ import DOCUMENT, RESULTS, costs_of_a_fleet
from benchmarks.fleet.capacity import BEGIN, END, filled, table
from benchmarks.instruments.report import Bar

KINDS = sorted(path.stem for path in RESULTS.glob("*.json"))
MISSED = {"load": 0, "soak": 2}
"""How many bars each misses, as docs/load.md says: with fewer take one away, more is a step back."""
MOST_PAGE_BYTES = 150_000


def kept(kind: str) -> dict[str, Any]:
    """A committed result."""
    found: dict[str, Any] = json.loads((RESULTS / f"{kind}.json").read_text())
    return found


def test_a_load_and_a_soak_were_measured() -> None:
    assert KINDS == ["load", "soak"]
    assert {path.stem for path in RESULTS.glob("*.html")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_its_bars_are_judged_as_they_stand(kind: str) -> None:
    bars = kept(kind)["bars"]
    assert len(bars) >= 6
    for bar in bars:
        judged = Bar(bar["what"], bar["value"], bar["limit"], bar["sense"], bar["unit"])
        assert bar["ok"] == judged.ok, f"{bar['what']}: written by hand?"
    assert {bar["what"]: bar["ok"] for bar in bars if bar["what"].endswith("lost")} == dict.fromkeys(
        [bar["what"] for bar in bars if bar["what"].endswith("lost")], True
    ), "whatever the machine did beside, nothing is to be lost"
    assert sum(not bar["ok"] for bar in bars) == MISSED[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_its_page_shows_that_run_and_asks_nobody(kind: str) -> None:
    page = (RESULTS / f"{kind}.html").read_text()
    assert len(page) < MOST_PAGE_BYTES
    assert "://" not in page
    assert page.count("<svg") == 8
    for bar in kept(kind)["bars"]:
        assert bar["what"] in page
    missed = sum(not bar["ok"] for bar in kept(kind)["bars"])
    assert page.count('<td class="missed">') == missed


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_on_what_machine_and_beside_whom(kind: str) -> None:
    words = " ".join(kept(kind)["words"])
    assert "the machine's load was" in words
    assert kept(kind)["machine"]["cpu"] in words
    wanted = kept(kind)["wanted"]
    assert (wanted["serial"], wanted["mqtt"], wanted["websocket"], wanted["listeners"]) == (20, 200, 20, 200)


def test_the_recognizer_of_the_load_took_what_the_capacity_model_says() -> None:
    predictions = kept("load")["predictions"]
    assert predictions.keys() >= {
        "half, gateway",
        "half, recognizer",
        "capacity, gateway",
        "capacity, recognizer",
    }
    at_capacity = predictions["capacity, recognizer"]
    assert at_capacity["measured"] == pytest.approx(at_capacity["predicted"], rel=0.5)


def test_the_table_in_the_docs_is_made_of_the_costs() -> None:
    text = DOCUMENT.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert filled(text, costs_of_a_fleet()) == text, "python -m benchmarks.fleet table"
    rows = table(costs_of_a_fleet()).splitlines()
    assert len(rows) == 2 + 3 * 2
    assert len({row.count("|") for row in rows}) == 1
