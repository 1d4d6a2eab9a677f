"""The table in docs/reliability.md, from the results on the disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from tests.chaos.outcome import Outcome
from tests.chaos.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "chaos"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- generated: chaos -->", "<!-- end -->"


class Result(Struct, frozen=True):
    """One scenario's file."""

    name: str
    machine: dict[str, str | int]
    outcome: Outcome


def results() -> list[Result]:
    """All that there are, in the scenarios' order."""
    found = [msgspec.json.decode(path.read_bytes(), type=Result) for path in RESULTS.glob("*.json")]
    return sorted(found, key=lambda result: list(SCENARIOS).index(result.name))


def table() -> str:
    """One row for each scenario that was run."""
    lines = [
        "| what was done | times | spoken | lost | doubled | out of order | wrong | beside it |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for result in results():
        one = result.outcome
        counts = (one.times, one.spoken, one.lost, one.doubled, one.out_of_order, one.wrong)
        figures = [f"{name.replace('_', ' ')} {value:g}" for name, value in one.figures.items()]
        beside = "; ".join(words for words in (one.note, *figures) if words)
        lines.append(f"| {one.scenario} | {' | '.join(f'{count:,}' for count in counts)} | {beside} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the table as it is now."""
    before, rest = text.split(BEGIN)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


def write_table() -> None:
    """Replace the table on the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
