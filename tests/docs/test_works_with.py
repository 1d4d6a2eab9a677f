"""docs/works-with.md: every line says all that it should, and the tests that hold it are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from gateway.config.configuration import GatewayConfig
from tests.real import things

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "works-with.md").read_text()
HEAD = ["program", "works", "does not", "how", "held by"]
LEAST_LINES = 12
_TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
_SETTING = re.compile(r"`([a-z_]+(?:\.[a-z_]+)+)`")
_OPERATION = re.compile(r"`(POST|GET) (/\S+?)`")


def _lines() -> list[list[str]]:
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    return [[cell.strip("| ") for cell in row] for row in cells]


LINES = [row for row in _lines() if row != HEAD]


@cache
def _tests_of(path: str) -> frozenset[str]:
    """Functions, and methods behind their classes."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}::{one.name}" for one in inner}
    return frozenset(names)


def test_there_are_lines() -> None:
    assert len(LINES) >= LEAST_LINES


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[0].replace("`", ""))
def test_a_line_is_whole_and_held_by_tests(row: list[str]) -> None:
    assert len(row) == len(HEAD)
    assert all(row)
    named = _TEST.findall(row[-1])
    assert named
    assert not _TEST.sub("", row[-1]).strip()


@pytest.mark.parametrize(("path", "name"), _TEST.findall(PAGE))
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    assert name in _tests_of(path)
    assert name.rpartition("::")[2].startswith("test_")


@pytest.mark.parametrize("setting", sorted(set(_SETTING.findall(PAGE)) - {"wyoming.satellite"}))
def test_a_setting_that_is_named_is_there(setting: str) -> None:
    kind: Any = GatewayConfig
    for part in setting.split("."):
        fields = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert part in fields, setting
        kind = get_type_hints(kind)[part]


def test_what_programs_are_told_is_an_operation_of_the_api() -> None:
    from gateway.web.operations.table import OPERATIONS, PREFIX

    named = _OPERATION.findall(PAGE)
    assert named
    for method, path in named:
        forms = [re.sub(r"{\w+}", "[^/]+", PREFIX + one.path) for one in OPERATIONS if one.method == method]
        assert any(re.fullmatch(form, path) for form in forms), path


def test_every_program_that_is_run_has_a_line() -> None:
    """What is fetched to be run unmodified is worth telling, with the version that was."""
    programs = [one.name for one in vars(things).values() if isinstance(one, things.Thing)]
    assert len(programs) >= 5
    told = " ".join(row[0].replace("`", "") for row in LINES)
    for name in programs:
        program, _, version = name.rpartition(" ")
        assert re.search(rf"{re.escape(program)}\b", told), program
        if found := re.search(rf"{re.escape(program)} ([\d.]+)", told):
            assert version.startswith(found[1]), name
