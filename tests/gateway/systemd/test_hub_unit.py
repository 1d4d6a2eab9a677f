"""The unit of a hub: what systemd says of it, and that it runs what there is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands.house.hub import command

UNIT = Path(__file__).resolve().parents[3] / "systemd" / "earshot-hub.service"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def fitted(folder: Path) -> Path:
    """As it stands in a machine whose earshot is installed."""
    earshot = folder / "earshot"
    earshot.write_text("#!/bin/sh\n")
    earshot.chmod(0o755)
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/earshot/bin/earshot", str(earshot)))
    return unit


@needs_systemd
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ANALYZE), "verify", str(fitted(tmp_path))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_it_is_exposed_less_than_a_gateway(tmp_path: Path) -> None:
    unit = fitted(tmp_path)
    check = [str(ANALYZE), "security", "--offline=true", "--threshold=13", "--no-pager", str(unit)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert "Overall exposure level for earshot-hub.service: " in done.stdout
    assert done.returncode == 0, done.stdout


def test_what_it_starts_is_a_command_with_those_options() -> None:
    (start,) = (line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart="))
    _, name, *options = start.split()
    assert name == "hub"
    told = CliRunner().invoke(command, ["--help"]).output
    for option in options[::2]:
        assert option in told
