"""The portable C of the ESP32 library, compiled for this machine once per process, for tests to call by ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

COMPONENT = Path(__file__).parents[3] / "firmware_bridge" / "esp32"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


def compiler(name: str = "cc") -> str:
    """Where it is. Skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="earshot-c-")


@cache
def library(*sources: str) -> ctypes.CDLL:
    """These files of `src/` as a shared library."""
    made = Path(_folder().name) / f"{'-'.join(sources)}.so"
    files = [COMPONENT / "src" / source for source in sources]
    subprocess.run([compiler(), *STRICT, "-O1", "-g", "-fPIC", "-shared", "-o", made, *files], check=True)
    return ctypes.CDLL(str(made))
