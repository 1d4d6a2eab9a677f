"""What is real and large is fetched once, or it is said why not; what wants it elsewhere is named, and not run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from docs.plan.house import ROOT
from tests.real import __main__, things
from tests.real.things import HOME_ASSISTANT, Thing, environment

TESTS = """
import pytest
from pathlib import Path
from tests.real.things import Thing

def never(folder: Path) -> None:
    raise AssertionError("a test fetches nothing")

ELEPHANT = Thing("An elephant", 5000, "no-such-elephant", never)

@pytest.fixture(scope="session")
def elephant() -> None:
    raise AssertionError("what is not run starts nothing")

@pytest.mark.real(ELEPHANT)
@pytest.mark.parametrize("number", [1, 2])
def test_it_is_grey(elephant: None, number: int) -> None:
    raise AssertionError

def test_all_else() -> None:
    assert True
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(things, "KEPT", tmp_path)
    return tmp_path


def fill(folder: Path) -> None:
    (folder / "trunk").touch()


def fail(folder: Path) -> None:
    (folder / "half a trunk").touch()
    raise ValueError("the package has another SHA-256")


ELEPHANT = Thing("An elephant", 5000, "elephant-1", fill)
BROKEN = Thing("A broken one", 1, "broken-1", fail)
IMPOSSIBLE = Thing("One for Mars", 1, "mars-1", fail, lambda: "this is Earth")


def test_it_is_fetched_once_and_what_fails_leaves_nothing_and_the_others_alone(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main((BROKEN, ELEPHANT)) == 1
    assert [path.name for path in kept.iterdir()] == ["elephant-1"]
    told = capsys.readouterr().err.splitlines()
    assert "A broken one: FAILED: the package has another SHA-256" in told
    assert "An elephant: 5000 MB to fetch, which may take minutes ..." in told
    assert __main__.main((ELEPHANT,)) == 0
    assert capsys.readouterr().err == f"An elephant: here, in {kept / 'elephant-1'}\n"


def test_what_cannot_be_had_here_is_said_and_is_no_failure(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main((IMPOSSIBLE,)) == 0
    assert capsys.readouterr().err == "One for Mars: cannot be had: this is Earth\n"
    assert IMPOSSIBLE.absence == "One for Mars cannot be had: this is Earth"
    assert ELEPHANT.absence == "An elephant is not here: make real"
    wanting = environment("A program", 1, "real-home-assistant", "python3.99")
    assert wanting.absence == "A program cannot be had: no python3.99 runs on this machine"
    assert list(kept.iterdir()) == []


@pytest.mark.slow
def test_what_wants_it_is_not_run_and_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_setup\n")
    (tmp_path / "test_elephant.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    real(things): wants these\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-q", tmp_path],
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    named = [line for line in done.stdout.splitlines() if "elephant" in line]
    assert done.returncode == 0, done.stdout
    assert len(named) == 1, done.stdout
    assert named[0].startswith("SKIPPED [2] ")
    assert named[0].endswith("test_elephant.py is not run: An elephant is not here: make real")


def test_every_one_that_there_is_is_fetched() -> None:
    beside = [
        path.stem for path in Path(things.__file__).parent.glob("[a-z]*.py") if "test_" not in path.name
    ]
    modules = [importlib.import_module(f"tests.real.{name}") for name in beside]
    there_are = {thing for module in modules for thing in vars(module).values() if isinstance(thing, Thing)}
    assert there_are == set(__main__.THINGS)


def test_home_assistant_is_one_folder_for_each_set_of_pins() -> None:
    other = environment("Another", 1, "bench-wyoming-faster-whisper", "python3.13")
    assert other.folder != HOME_ASSISTANT.folder
