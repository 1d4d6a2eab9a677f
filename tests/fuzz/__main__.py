"""``python -m tests.fuzz NAME [--seconds N | --runs N]``: inputs that coverage leads to, until one breaks a promise.

``--each`` instead of a name: all of them, one after another.

The corpus is read and never written: what is new lies in ``--found`` (see ``--help``). The exit status is that of
libFuzzer: 0, 77 for an input that raised what it may not, 70 for one that took too long, 71 for too much memory.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.roster import CORPUS, TARGETS

HUNG_SECONDS = 30
"""One input; a machine that does other things, too, is slow."""
MEBIBYTES = 1_024
"""Of memory, whatever is in the input."""


def main() -> None:
    arguments = _arguments()
    if arguments.each:
        sys.exit(_each())
    target = TARGETS[arguments.name]
    resource.setrlimit(resource.RLIMIT_AS, (4 * MEBIBYTES << 20, resource.RLIM_INFINITY))
    sys.stdout = sys.stderr  # what is instrumented, by name, is of no interest
    with atheris.instrument_imports(include=list(target.modules)):
        fuzz = importlib.import_module(f"tests.fuzz.{arguments.name}").fuzz
    found = arguments.found or Path(tempfile.mkdtemp(prefix=f"earshot-fuzz-{arguments.name}-"))
    found.mkdir(parents=True, exist_ok=True)
    print(f"what is found lies in {found}", file=sys.stderr)
    options = [
        f"-artifact_prefix={found}/",
        f"-seed={arguments.seed}",
        f"-timeout={HUNG_SECONDS}",
        f"-rss_limit_mb={MEBIBYTES}",
        f"-max_len={target.longest}",
        f"-max_total_time={arguments.seconds}" if arguments.seconds else f"-runs={_runs(arguments)}",
        "-print_final_stats=1",
        "-verbosity=1" if arguments.seconds else "-verbosity=0",
    ]
    places = (
        [arguments.input]
        if arguments.input
        else [_folder(found / "inputs"), _folder(CORPUS / arguments.name)]
    )
    atheris.Setup(
        [f"tests.fuzz.{arguments.name}", *options, *map(str, places)], fuzz, enable_python_coverage=True
    )
    atheris.Fuzz()


def _each() -> int:
    """Each target in a process of its own; how many of them broke."""
    given = [one for one in sys.argv[1:] if one != "--each"]
    broken = []
    for name in TARGETS:
        print(f"{name} ...", file=sys.stderr)
        if subprocess.run((sys.executable, "-m", "tests.fuzz", name, *given), check=False).returncode:
            broken.append(name)
    print(f"broken: {', '.join(broken) or 'none'}", file=sys.stderr)
    return len(broken)


def _runs(arguments: argparse.Namespace) -> int:
    """The corpus goes first and counts."""
    return int(arguments.runs) + len(list((CORPUS / arguments.name).glob("*")))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", choices=sorted(TARGETS))
    which.add_argument("--each", action="store_true", help="all of them")
    parser.add_argument("--seconds", type=int, default=0, help="for so long")
    parser.add_argument(
        "--runs", type=int, default=10_000, help="so many inputs beyond the corpus, without --seconds"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, help="where new inputs and what broke a promise are kept")
    parser.add_argument("--input", type=Path, help="only this one")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    main()
