"""``python -m tests.fuzz.c [NAME] [--seconds N | --runs N]``: the library in C, sanitizers watching; no name: each.

Where AFL++ is, it goes on for as long as libFuzzer did. The exit status is how many harnesses broke.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.c.harnesses import HARNESSES, build, write_seeds

LONGEST = 4096
AFL = {
    "AFL_SKIP_CPUFREQ": "1",
    "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
    "AFL_NO_UI": "1",
    "AFL_NO_AFFINITY": "1",
    "AFL_FAST_CAL": "1",
}


def main() -> int:
    """Say what each did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.c", description=__doc__)
    parser.add_argument("name", nargs="?", choices=HARNESSES)
    parser.add_argument("--seconds", type=int, default=0, help="for so long each, by libFuzzer and by AFL++")
    parser.add_argument("--runs", type=int, default=10_000, help="so many inputs, without --seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, help="where new inputs and what broke a promise are kept")
    arguments = parser.parse_args()
    found = arguments.found or Path(tempfile.mkdtemp(prefix="earshot-fuzz-c-"))
    broken = [
        name
        for name in ([arguments.name] if arguments.name else HARNESSES)
        if not _holds(name, arguments, found)
    ]
    print(f"broken: {', '.join(broken) or 'none'}; what is found lies in {found}", file=sys.stderr)
    return len(broken)


def _holds(name: str, arguments: argparse.Namespace, found: Path) -> bool:
    folder = found / name
    write_seeds(name, folder / "seeds")
    (folder / "inputs").mkdir(exist_ok=True)
    program = build(name, folder)
    if program is None:
        sys.exit("there is no compiler with sanitizers")
    limit = f"-max_total_time={arguments.seconds}" if arguments.seconds else f"-runs={arguments.runs}"
    options = (
        limit,
        f"-seed={arguments.seed}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    )
    command = (program, *options, "-verbosity=0", folder / "inputs", folder / "seeds")
    print(f"{name} ...", file=sys.stderr)
    held = subprocess.run(command, check=False).returncode == 0
    return _holds_by_afl(name, arguments.seconds, folder) and held if arguments.seconds else held


def _holds_by_afl(name: str, seconds: int, folder: Path) -> bool:
    program = build(name, folder, afl=True)
    if program is None:
        return True
    command = (
        "afl-fuzz",
        "-V",
        str(seconds),
        "-i",
        folder / "seeds",
        "-o",
        folder / "afl",
        "-m",
        "none",
        "--",
        program,
    )
    done = subprocess.run(command, env=os.environ | AFL, stdout=subprocess.DEVNULL, check=False)
    crashes = list(folder.glob("afl/default/crashes/id*"))
    stats = (folder / "afl/default/fuzzer_stats").read_text() if not done.returncode else ""
    executed = next(
        (line.split(":")[1].strip() for line in stats.splitlines() if line.startswith("execs_done")), "0"
    )
    print(f"AFL++: {executed} inputs, {len(crashes)} broke a promise", file=sys.stderr)
    return not done.returncode and not crashes


if __name__ == "__main__":
    sys.exit(main())
