"""``make chaos``: every scenario at full length, and the table in docs/reliability.md.

``python -m tests.chaos [--quick] [SCENARIO ...]``; exit status 1 when anything was lost, doubled or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog

from benchmarks.instruments.report import machine
from tests.chaos.outcome import Outcome
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.table import RESULTS, Result, write_table


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="as CI runs them; writes nothing")
    parser.add_argument("--table", action="store_true", help="only write the table from the results")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - SCENARIOS.keys()
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    well = True
    if not arguments.table:
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # trouble is what is wanted
        logging.disable()
        for name in arguments.names or SCENARIOS:
            outcome = _run(name, quick=arguments.quick)
            well &= outcome.ok or name.startswith("weak-")
            if not arguments.quick:
                _keep(name, outcome)
    if not arguments.quick:
        write_table()
    return 0 if well else 1


def _run(name: str, *, quick: bool) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="earshot-chaos-") as folder:
        outcome = asyncio.run(_scenario(name, Path(folder), quick=quick))
    print(outcome, flush=True)
    return outcome


async def _scenario(name: str, folder: Path, *, quick: bool) -> Outcome:
    return await SCENARIOS[name](folder, quick=quick)


def _keep(name: str, outcome: Outcome) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = Result(name=name, machine=machine(), outcome=outcome)
    text = json.dumps(msgspec.to_builtins(result), indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
