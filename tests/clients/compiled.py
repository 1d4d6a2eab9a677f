"""The client in C, made once for all tests of a process, with everything that a compiler finds wrong being an error."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("badge.c")
STRICT = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=address,undefined")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="badge-")


@cache
def badge() -> Path:
    """The program. Skips the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc)")
    program = Path(_folder().name) / "badge"
    subprocess.run([compiler, *STRICT, "-o", program, SOURCE], check=True)
    return program
