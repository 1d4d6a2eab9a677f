"""What is installed is what was tested: every import is declared, every declared package pinned, with hashes."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_architecture import PACKAGES, ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = {path.stem: path for path in (ROOT / "requirements").glob("*.txt")}
EXTRAS = {"demo": "embedded", "service": "all", "test": "dev"}
OWN = {*PACKAGES, "tests", "benchmarks", "docs", "examples", "ten_lines"}
PEERS = {"RealtimeSTT", "litellm", "langchain_core", "langgraph"}
"""Imported by programs for other environments, whose pins are their own."""
PYTHONS = ("3.11.2", "3.12.3", "3.13.0")
MACHINES = ("x86_64", "aarch64")


def declared(extra: str | None = None) -> list[Requirement]:
    """What the project requires, with the extra, and with those that it names in turn."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found: list[Requirement] = [] if extra is None else declared()
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            found += [more for named in requirement.extras for more in declared(named)]
        else:
            found.append(requirement)
    return found


@functools.cache
def pins(lock: str) -> list[tuple[Requirement, list[str]]]:
    """The requirements of a lock, each with its hashes."""
    text = re.sub(r"^\s*#.*\n", "", LOCKS[lock].read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split("--hash=")
        found.append((Requirement(requirement), [one.strip() for one in hashes]))
    return found


def pinned(lock: str, python: str, machine: str) -> dict[str, str]:
    """The version of each package there."""
    environment = default_environment() | {
        "python_full_version": python, "python_version": python.rpartition(".")[0], "platform_machine": machine,
    }  # fmt: skip
    here = [pin for pin, _ in pins(lock) if pin.marker is None or pin.marker.evaluate(dict(environment))]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}
    assert len(versions) == len(here), "one version of each"
    return versions


def third_party(*folders: str) -> Iterator[tuple[str, Path]]:
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for module in {name.partition(".")[0] for name in imports(path, {})} - OWN - PEERS:
            if module not in sys.stdlib_module_names:
                yield module, path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folders", "extras"),
    [(PACKAGES, ("all", "flash", "mcp")), (("tests", "benchmarks", "examples"), ("dev",))],
    ids=["house", "around"],
)
def test_every_package_that_is_imported_is_declared(
    folders: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    names = {canonicalize_name(requirement.name) for extra in extras for requirement in declared(extra)}
    distributions = packages_distributions()
    for module, path in third_party(*folders):
        origins = {canonicalize_name(name) for name in distributions.get(module, [module])}
        assert origins & names, f"{path}: {module} comes with {origins} and is not in pyproject.toml"


def test_the_lightest_way_to_install_needs_no_extra_but_its_broker() -> None:
    assert {canonicalize_name(one.name) for one in declared("embedded")} <= pinned(
        "demo", PYTHONS[0], "x86_64"
    ).keys()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", EXTRAS)
def test_what_is_declared_is_pinned_as_it_may_be(lock: str, python: str, machine: str) -> None:
    versions = pinned(lock, python, machine)
    environment = {"python_version": python.rpartition(".")[0], "platform_machine": machine}
    for one in declared(EXTRAS[lock]):
        if one.marker is None or one.marker.evaluate(environment):
            assert one.specifier.contains(versions[canonicalize_name(one.name)]), f"{one}: make lock"


@pytest.mark.parametrize("lock", [*EXTRAS, "uv"])
def test_every_way_of_installing_gets_the_versions_that_are_tested(lock: str) -> None:
    assert pinned(lock, PYTHONS[0], "x86_64").items() <= pinned("test", PYTHONS[0], "x86_64").items()


@pytest.mark.parametrize("lock", EXTRAS)
def test_the_build_backend_is_pinned_too(lock: str) -> None:
    assert "setuptools" in pinned(lock, PYTHONS[-1], "aarch64")


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_has_hashes_and_names_no_place_to_fetch_from(lock: str) -> None:
    for requirement, hashes in pins(lock):
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
    text = LOCKS[lock].read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|-f ", text)


@pytest.fixture
def pythons(tmp_path: Path) -> Path:
    """A home, and a PATH of one folder, as pyenv leaves them: a shim for every version, and some of them run."""
    kept = tmp_path / ".pyenv" / "versions" / "3.13.9" / "bin"
    kept.mkdir(parents=True)
    runs = f'exec {sys.executable} "$@"'
    for name, does in {
        tmp_path / "python3": "exit 127",
        tmp_path / "python3.13": "exit 127",
        tmp_path / "python3.12": runs,
        kept / "python3.13": f"echo kept >&2; {runs}",
    }.items():
        name.write_text(f"#!/bin/sh\n{does}\n")
        name.chmod(0o755)
    return tmp_path


def chosen(home: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".ci" / "python"), *wanted]
    environment = {"HOME": str(home), "PATH": f"{home}:/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["python3.12", "python3.13"])
def test_a_python_that_is_found_and_does_not_run_is_passed_over(pythons: Path, wanted: str) -> None:
    found = chosen(pythons, wanted)
    assert Path(found.stdout.strip()).samefile(sys.executable)
    assert found.stderr == ("kept\n" if wanted == "python3.13" else "")


@pytest.mark.slow
def test_without_a_name_the_first_that_runs_is_taken_and_without_any_it_is_said(pythons: Path) -> None:
    assert Path(chosen(pythons).stdout.strip()).exists()
    nothing = chosen(pythons, "python3.99", str(pythons / "python3"))
    assert nothing.returncode == 1
    assert "No Python 3.11 or newer with venv and ensurepip runs as python3.99" in nothing.stderr


@pytest.mark.slow
def test_an_environment_of_another_python_is_not_used(tmp_path: Path) -> None:
    command = [str(ROOT / ".ci" / "venv"), str(tmp_path), sys.executable]
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert subprocess.run(command, check=False).returncode == 0
    (tmp_path / "bin" / "python").unlink()
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "was made with Python that is gone" in refused.stderr


def test_everything_that_a_test_looks_for_on_the_machine_is_installed_for_it() -> None:
    installed = set(
        re.findall(r"has ([a-z-]+) \|\|", (ROOT / ".ci" / "system-packages").read_text(encoding="utf-8"))
    )
    comes_with = {"mosquitto_passwd": "mosquitto", "epmd": "rabbitmq-server", "nm": "cc"}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            sought = re.findall(r"""which\("([a-z_-]+)"\)""", line)
            assert not sought or {comes_with.get(name, name) for name in sought} & installed, (
                f"{path}: {sought}"
            )
