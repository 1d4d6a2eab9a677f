"""What is handed to people: scripts that a shell takes, a package that fits the service, wheels for a Raspberry Pi."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.plan.house import ROOT
from gateway.config.configuration import GatewayConfig
from gateway.config.loading import load_config
from gateway.systemd.installing import USER

DEBIAN = ROOT / "deploy" / "debian"

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


# -- the Debian package; it is made and lives its whole life in `make deb-trial`


def test_the_packages_files_are_those_of_an_installed_service(tmp_path: Path) -> None:
    command = [sys.executable, DEBIAN / "settings.py", tmp_path, "/opt/earshot/bin/earshot", "257"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        "etc/earshot/config.yaml", "etc/earshot/environment",
        "lib/systemd/system/earshot.service", "usr/share/earshot/config.schema.json",
    }  # fmt: skip
    assert load_config(tmp_path / "etc/earshot/config.yaml", {}) == GatewayConfig()
    unit = (tmp_path / "lib/systemd/system/earshot.service").read_text()
    assert "ExecStart=/opt/earshot/bin/earshot run --config /etc/earshot/config.yaml" in unit
    assert "RestartMaxDelaySec=" in unit, "systemd 257 knows it"


def test_its_user_and_folders_are_those_of_the_unit() -> None:
    unit = (ROOT / "systemd" / "earshot.service").read_text()
    assert f"User={USER}\n" in unit
    assert (DEBIAN / "earshot.sysusers").read_text().split()[:2] == ["u", USER]
    for line in (DEBIAN / "earshot.tmpfiles").read_text().splitlines()[1:]:
        kind, folder, mode, *owners = line.split()
        assert (kind, owners) == ("d", [USER, USER])
        directive = {"/var/lib/earshot": "StateDirectory", "/var/cache/earshot": "CacheDirectory"}[folder]
        assert f"{directive}=earshot\n{directive}Mode={mode}\n" in unit


def test_a_purge_takes_what_a_removal_leaves_and_nothing_else() -> None:
    text = (DEBIAN / "earshot.postrm").read_text()
    assert re.findall(r"rm -rf (.+)", text) == ["/var/lib/earshot /var/cache/earshot"]
    assert text.index('"$1" = purge') < text.index("rm -rf")
