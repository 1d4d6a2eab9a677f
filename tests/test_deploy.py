"""What is handed to people: scripts that a shell takes, and wheels of all that is pinned for a Raspberry Pi."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs.plan.house import ROOT

SHELLS = {b"#!/bin/sh": "sh", b"#!/usr/bin/env bash": "bash"}
SCRIPTS = sorted(
    path
    for folder in (ROOT / ".ci", ROOT / "deploy", ROOT / "examples" / "containers")
    for path in folder.rglob("*")
    if path.is_file() and path.read_bytes().partition(b"\n")[0] in SHELLS
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_shell_takes_each_script(script: Path) -> None:
    shell = SHELLS[script.read_bytes().partition(b"\n")[0]]
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_that_is_pinned_has_wheels_for_a_raspberry_pi() -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [ROOT / ".ci" / "aarch64", uv, sys.executable], capture_output=True, text=True, check=False
    )
    if done.returncode == 75:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 6, "three locks, for two Pythons"
    assert all(line.endswith(" pins, all with wheels") for line in said)
