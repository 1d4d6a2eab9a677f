"""The same tests over a library that address and undefined-behaviour sanitizers watch: they report nothing.

A process of its own, before which their run-time is loaded: what is watched is a shared object within Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware_bridge.esp32.made import compiler

ROOT = Path(__file__).parents[3]
OPTIONS = "-fsanitize=address,undefined -fno-sanitize-recover=all"
TESTS = (
    *("esp32/test_golden.py", "esp32/test_edges.py", "esp32/test_twins.py", "esp32/test_p256.py"),
    *("link/test_link_hostile.py", "images/test_taker.py", "images/test_lockstep.py"),
)
IN_C = "(not test_link_hostile or busy or WhateverHappens) and not reference"
TOO_SMALL = """
import ctypes
from tests.firmware_bridge.esp32 import jig
room = ctypes.create_string_buffer(16)
jig.core().earshot_adpcm_decode(bytes(4000), 4000, room)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def watched(*arguments: str) -> subprocess.CompletedProcess[str]:
    cc = compiler()
    run_times = [
        subprocess.run(
            (cc, f"-print-file-name={name}.so"), capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan", "libubsan")
    ]
    if not all(map(os.path.isabs, run_times)):
        pytest.skip("the compiler has no sanitizers")
    environ = os.environ | {
        "LD_PRELOAD": " ".join(run_times),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "EARSHOT_TEST_CFLAGS": OPTIONS,
    }
    command = (sys.executable, *arguments)
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_they_report_nothing() -> None:
    done = watched(
        *("-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-n", "0"),
        *("--hypothesis-profile", "quick", "-k", IN_C),
        *(f"tests/firmware_bridge/{name}" for name in TESTS),
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    assert " passed" in done.stdout


def test_they_would_report() -> None:
    done = watched("-c", TOO_SMALL)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
