"""Every corpus whole, and from there a number of new inputs by a fixed seed. `make fuzz` goes on for longer."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.roster import CORPUS, TARGETS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        platform.machine() != "x86_64" and importlib.util.find_spec("atheris") is None,
        reason="atheris has no wheels for this machine",
    ),
]

MOST_BYTES = 200_000
"""Of all corpora."""


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str, tmp_path: Path) -> None:
    # By way of a shell that stays: to libFuzzer the most memory of whoever started it is its own, and that of these
    # tests is more than it is to take.
    command = (
        *("sh", "-c", '"$@"; exit $?', "sh"),
        *(
            sys.executable,
            "-m",
            "tests.fuzz",
            name,
            "--runs",
            str(TARGETS[name].runs),
            "--found",
            str(tmp_path),
        ),
    )
    environ = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=CORPUS.parents[2], env=environ, capture_output=True, text=True, check=False
    )
    broken = [f"{file.name}: {file.read_bytes()!r:.2000}" for file in tmp_path.iterdir() if file.is_file()]
    assert done.returncode == 0, "\n".join([*broken, done.stderr[-4_000:]])
    assert not broken
    assert "stat::number_of_executed_units" in done.stderr


def test_each_target_has_a_small_corpus() -> None:
    folders = {folder.name: list(folder.iterdir()) for folder in CORPUS.iterdir()}
    assert set(folders) == set(TARGETS)
    assert all(folders.values())
    assert sum(file.stat().st_size for files in folders.values() for file in files) < MOST_BYTES
