"""What pip installs is whole: every module and every file that is no code."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("firmware_bridge", "transcription", "gateway")
FIRMWARE = ROOT / "firmware_bridge" / "esp32"
"""What runs on boards: it is packed by their own tools, and not installed with the gateway."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in (*PACKAGES, "systemd"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(copy / "dist"), str(copy))
    (built,) = (copy / "dist").iterdir()
    return built


def pip(*arguments: str) -> None:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments)
    subprocess.run(command, check=True, capture_output=True)


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and FIRMWARE not in path.parents
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.split("/")[0] in PACKAGES}
    assert packed == files


def test_the_installed_command_finds_its_unit_and_its_model(wheel: Path, tmp_path: Path) -> None:
    # Without the first option pip would take the checkout that is being tested out of its environment.
    pip("install", "--ignore-installed", "--no-deps", "--prefix", str(tmp_path), str(wheel))
    (packages,) = tmp_path.glob("lib/python*/site-packages")
    code = (
        "import gateway; from gateway.systemd.installing import unit_text\n"
        "from transcription.models.models import find_model\n"
        "print(gateway.__file__, find_model('bundled'))\n"
        "print(unit_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(packages)},
    )  # fmt: skip
    where, _, unit = done.stdout.partition("\n")
    assert all(Path(found).is_relative_to(tmp_path) for found in where.split())
    assert unit.strip() == (ROOT / "systemd" / "earshot.service").read_text().strip()
