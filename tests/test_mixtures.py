"""Files of any folders can be named on one command line, in any order: each test keeps its fixtures."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


class Fixtures:
    """What every collected test is given, asked for or not, and who defines it; None: nobody does."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, str | None]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look at what was collected."""
        for item in session.items:
            info: Any = getattr(item, "_fixtureinfo")  # noqa: B009 - pytest has no public name for it
            defined = {name: found[-1].func.__module__ for name, found in info.name2fixturedefs.items()}
            self.of[item.nodeid] = {name: defined.get(name) for name in info.names_closure}


def fixtures(files: list[Path]) -> dict[str, dict[str, str | None]]:
    """What the tests of these files are given when they are named in this order."""
    told = Fixtures()
    quietly = (
        "--collect-only",
        "-qqq",
        "--capture=no",
        "--assert=plain",
        "-pno:randomly",
        "-pno:cacheprovider",
    )
    assert pytest.main([*quietly, *map(str, files)], plugins=[told]) is pytest.ExitCode.OK
    return told.of


def mixture() -> list[Path]:
    """Two files of each folder that has fixtures of its own; between those lies one of each folder around them."""
    rooms = sorted({file.parent for file in HERE.rglob("conftest.py")} - {HERE})
    around = {folder for room in rooms for folder in room.parents if folder.is_relative_to(HERE)}
    pairs = [random.sample(sorted(room.glob("test_*.py")), 2) for room in rooms]
    between = [
        random.choice(files) for folder in sorted(around) if (files := sorted(folder.glob("test_*.py")))
    ]
    return [*(first for first, _ in pairs), *between, *(second for _, second in pairs)]


@pytest.mark.slow
def test_in_whatever_order_files_are_named_each_test_keeps_its_fixtures() -> None:
    files = mixture()
    assert fixtures(files) == fixtures(sorted(files))
