"""Each harness over the library in C, from the vectors on, for some thousand inputs. `make fuzz` goes on for longer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.c.harnesses import HARNESSES, HERE, LIBRARY, OPTIONS, SOURCES, build, write_seeds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
RUNS = {
    "device": 4_000,
    "framing": 5_000,
    "adpcm": 5_000,
    "texts": 10_000,
    "update": 2_000,
    "strangers": 10_000,
}


@pytest.mark.parametrize("name", HARNESSES)
def test_no_input_breaks_a_promise(name: str, tmp_path: Path) -> None:
    program = build(name, tmp_path)
    if program is None:
        pytest.skip("there is no compiler with sanitizers")
    write_seeds(name, tmp_path / "seeds")
    done = run(program, tmp_path, RUNS[name])
    assert done.returncode == 0, done.stderr[-4_000:]
    assert "stat::number_of_executed_units" in done.stderr


def test_a_broken_promise_would_be_found(tmp_path: Path) -> None:
    """A library that forgets what is not acknowledged."""
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("there is no C compiler (cc)")
    core = (LIBRARY / "earshot.c").read_text(encoding="utf-8")
    guard = "if (ring_room(device) <= 0) return NULL;"
    assert guard in core
    (tmp_path / "broken.c").write_text(core.replace(guard, ""))
    program = tmp_path / "device"
    others = [one for one in SOURCES if one.name != "earshot.c"]
    sources = [tmp_path / "broken.c", *others, HERE / "device.c", HERE / "alone.c"]
    subprocess.run([cc, *OPTIONS, "-D_DEFAULT_SOURCE", f"-I{LIBRARY}", *sources, "-o", program], check=True)
    write_seeds("device", tmp_path / "seeds")
    done = run(program, tmp_path, 4_000)
    assert done.returncode != 0
    assert "broken:" in done.stderr


def run(program: Path, folder: Path, runs: int) -> subprocess.CompletedProcess[str]:
    options = (
        f"-runs={runs}",
        "-seed=1",
        "-max_len=4096",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    )
    return subprocess.run((program, *options, folder / "seeds"), capture_output=True, text=True, check=False)


def test_each_may_be_run_by_hand(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.fuzz.c", "adpcm", "--runs", "100", "--found", str(tmp_path))
    done = subprocess.run(command, cwd=HERE.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "broken: none" in done.stderr
