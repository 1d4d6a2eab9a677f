"""What was measured and committed: whole runs, bars that hold, a table that says so; and today's held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from benchmarks import __main__ as program
from benchmarks.__main__ import RESULTS, TABLE, names
from benchmarks.instruments.comparing import Comparison, Verdict, compared
from benchmarks.instruments.report import Bar

DOCUMENTS: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
MISSED: dict[str, int] = {"devices": 2, "dictation": 1, "plan": 4}
"""How many bars each misses, as docs/benchmarks.md shows: with fewer take one away, more is a step back."""
UNMEASURED = {"observing"}
"""Those of which there is no whole run yet."""
SHORT = {"conversations", "correlation"}
"""Those that are measured no longer than `--quick` does."""


def test_every_benchmark_has_a_committed_result_of_a_whole_run() -> None:
    assert DOCUMENTS.keys() == set(names()) - UNMEASURED
    assert {name for name, document in DOCUMENTS.items() if document["quick"]} == SHORT


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_its_bars_hold(name: str) -> None:
    bars = DOCUMENTS[name]["bars"]
    assert bars
    for bar in bars:
        judged = Bar(bar["what"], bar["value"], bar["limit"], bar["sense"], bar["unit"])
        assert bar["ok"] == judged.ok, f"{bar['what']}: written by hand?"
    assert sum(not bar["ok"] for bar in bars) == MISSED.get(name, 0)


def test_the_table_in_the_docs_is_made_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TABLE", tmp_path / "table.md")
    program.write_table()
    assert (tmp_path / "table.md").read_text() == TABLE.read_text(), "python -m benchmarks --table"


LESS_IS_MORE = Comparison("hub", "wait", (10.0,), 10.0, "at most", 50.0, "ms", same_machine=True)
MORE_IS_MORE = Comparison("hub", "share", (0.9,), 0.9, "at least", 0.5, "x", same_machine=True)


@pytest.mark.parametrize(
    ("before", "values", "verdict"),
    [
        (LESS_IS_MORE, (10.0, 10.5, 10.9), "as before"),
        (LESS_IS_MORE, (11.5, 11.6, 11.7), "worse"),
        (LESS_IS_MORE, (9.0, 12.0, 15.0), "as before"),  # nobody knows, when runs differ so much
        (LESS_IS_MORE, (6.0, 6.1, 6.2), "better"),
        (LESS_IS_MORE, (51.0, 60.0, 52.0), "missed"),
        (LESS_IS_MORE, (51.0, 49.0, 52.0), "worse"),  # one run of three holds the bar
        (MORE_IS_MORE, (0.7, 0.71, 0.72), "worse"),
        (MORE_IS_MORE, (1.2, 1.21, 1.19), "better"),
        (MORE_IS_MORE, (0.4, 0.45, 0.3), "missed"),
    ],
)
def test_what_is_worse_is_worse_in_every_run_by_more_than_they_differ(
    before: Comparison, values: tuple[float, ...], verdict: Verdict
) -> None:
    assert structs.replace(before, values=values).verdict == verdict


def test_a_bar_that_was_missed_before_is_not_missed_anew() -> None:
    known = structs.replace(LESS_IS_MORE, committed=60.0, values=(61.0, 62.0))
    assert known.verdict == "as before"
    assert structs.replace(known, values=(80.0, 81.0)).verdict == "worse"


def test_a_count_of_none_stays_none() -> None:
    lost = Comparison("hub", "lost", (0.0, 0.0), 0.0, "at most", 5.0, "", same_machine=True)
    assert (lost.verdict, lost.ratio, lost.spread) == ("as before", None, 0.0)
    assert structs.replace(lost, values=(2.0, 1.0)).verdict == "worse"


def test_times_of_another_machine_say_nothing_and_shares_do() -> None:
    elsewhere = structs.replace(LESS_IS_MORE, values=(30.0,), same_machine=False)
    assert elsewhere.verdict == "another machine"
    assert structs.replace(elsewhere, values=(60.0,)).verdict == "missed"
    assert structs.replace(MORE_IS_MORE, values=(0.6,), same_machine=False).verdict == "worse"


def test_runs_are_put_beside_what_was_committed() -> None:
    before = DOCUMENTS["hub"]
    new = {**before["bars"][0], "what": "a bar of today", "value": 0}
    runs = [{**before, "bars": [*before["bars"], new]}, {**before, "bars": [*before["bars"], new]}]
    verdicts = {one.what: one.verdict for one in compared(before, runs)}
    assert verdicts.pop("a bar of today") == "new"
    assert set(verdicts.values()) == {"as before"}
    first = next(compared(before, runs))
    assert (first.benchmark, len(first.values)) == ("hub", 2)
    assert str(first).startswith("as before")
