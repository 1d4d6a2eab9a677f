"""The workflow for users' own CI: nobody runs it here; it is held to GitHub's schema, the shell and what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from docs.plan.house import ROOT
from firmware_bridge.flashing.chips import BY_TARGET
from gateway.commands.cli import COMMANDS, main

WORKFLOW = ROOT / "docs" / "ci" / "firmware.yml"
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
EXAMPLES = ROOT / "firmware_bridge" / "esp32" / "examples"
COMMAND = re.compile(r"(?:^|[^-\w])earshot ([a-z-]+)((?: [^\n|>&;]+)?)")


def shell() -> Iterator[tuple[str, str]]:
    """Every step that is a script, with its name."""
    for job in JOBS.values():
        for step in job["steps"]:
            if "run" in step:
                yield step["name"], re.sub(r"\$\{\{.*?\}\}", "x", step["run"])


def matrices() -> Iterator[dict[str, Any]]:
    for job in JOBS.values():
        yield job["strategy"]["matrix"]


@pytest.mark.slow
def test_github_takes_it() -> None:
    words = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        str(WORKFLOW),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("name", "script"), [*shell()], ids=[name for name, _ in shell()])
def test_the_shell_takes_its_scripts(name: str, script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), name


def test_it_builds_what_there_is_for_chips_there_are() -> None:
    examples = {name for matrix in matrices() for name in matrix.get("example", [])}
    examples |= {one["example"] for matrix in matrices() for one in matrix.get("include", [])}
    there = {path.parent.name for path in EXAMPLES.glob("*/CMakeLists.txt")}
    assert examples == there
    assert {target for matrix in matrices() for target in matrix.get("target", [])} <= BY_TARGET.keys()


def test_it_says_earshots_commands_as_they_are() -> None:
    said = [found.groups() for _, script in shell() for found in COMMAND.finditer(script)]
    assert {command for command, _ in said} == {"flash", "link-test", "run", "devices"}
    for command, words in said:
        assert command in COMMANDS
        subcommand = [words.split()[0]] if command == "devices" else []
        told = CliRunner().invoke(main, [command, *subcommand, "--help"]).output
        missing = [option for option in re.findall(r"--[a-z-]+", words) if option not in told]
        assert not missing, f"earshot {command} {words}"


def test_what_it_adds_to_the_settings_is_in_the_firmwares_menu() -> None:
    menu = (ROOT / "firmware_bridge" / "esp32" / "Kconfig").read_text(encoding="utf-8")
    said = {
        name
        for matrix in matrices()
        for one in matrix.get("include", [])
        for name in re.findall(r"CONFIG_(\w+)", one.get("more", ""))
    }
    assert said
    assert {name for name in said if f"config {name}\n" not in menu} == set()


def test_it_says_that_it_has_never_been_run() -> None:
    head = WORKFLOW.read_text(encoding="utf-8").split("\nname:")[0].replace("\n# ", " ")
    assert "it has never been run" in head
