"""The portable C of the ESP32 library, compiled for this machine once per process, for tests to call by ctypes."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

COMPONENT = Path(__file__).parents[3] / "firmware_bridge" / "esp32"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
CORE = ("earshot.c", "earshot_framing.c", "earshot_adpcm.c", "earshot_texts.c", "earshot_proof.c")

_numbers = itertools.count()


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
def shared_object(*sources: str | Path, options: tuple[str, ...] = ("-O1", "-g")) -> Path:
    """These files, those without a folder of `src/`, as a shared library."""
    made = Path(_folder().name) / f"{next(_numbers)}.so"
    files = [COMPONENT / "src" / source for source in sources]
    include = COMPONENT / "src"
    subprocess.run(
        [compiler(), *STRICT, *options, f"-I{include}", "-fPIC", "-shared", "-o", made, *files],
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
        check=True,
    )
    return made


@cache
def library(*sources: str | Path, options: tuple[str, ...] = ("-O1", "-g")) -> ctypes.CDLL:
    """These files as `shared_object` has them, to be called."""
    return ctypes.CDLL(str(shared_object(*sources, options=options)))
