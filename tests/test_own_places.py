"""A run of the tests is alone: what it leaves where nobody named a place is its own, and goes with it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gateway.journal.file import journal_path


def test_a_gateway_without_a_path_keeps_its_journal_with_this_run(own_places: Path) -> None:
    assert journal_path("", os.environ).is_relative_to(own_places)


def test_the_processes_of_a_test_put_their_temporary_files_with_it(own_places: Path) -> None:
    command = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert told == tempfile.gettempdir()
    assert Path(told).is_relative_to(own_places)


@pytest.mark.slow
def test_a_run_leaves_nothing_behind_nor_does_one_beside_it(tmp_path: Path) -> None:
    code = "import tempfile\n\ndef test_it():\n    tempfile.mkdtemp(prefix='left-')\n"
    (tmp_path / "test_inner.py").write_text(code)
    (tmp_path / "conftest.py").write_text("from tests.conftest import own_places\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    command += ["-c", os.devnull, "--basetemp", str(tmp_path / "pytest"), str(tmp_path / "test_inner.py")]
    (tmp_path / "tmp").mkdir()
    inner = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    two = [subprocess.Popen(command, env=inner, cwd=Path(__file__).parents[1]) for _ in range(2)]
    assert [one.wait() for one in two] == [0, 0]
    assert list((tmp_path / "tmp").iterdir()) == []
