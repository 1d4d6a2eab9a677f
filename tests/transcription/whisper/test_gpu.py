"""What keeps a GPU from being used, on machines made of files; and cuBLAS, made by the C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from transcription.whisper.gpu import CUBLAS, has_device, load_libraries, why_none

PROPRIETARY = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Tue Sep 24 22:08:02\nGCC version:  gcc 12.2.0\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build\n"


def machine(root: Path, *, driver: str = "", words: str = PROPRIETARY, nodes: int = 0) -> Path:
    (root / "dev").mkdir()
    if driver:
        (root / "proc/driver/nvidia").mkdir(parents=True)
        (root / "proc/driver/nvidia/version").write_text(words.format(driver))
    for number in range(nodes):
        (root / "dev" / f"nvidia{number}").touch()
    (root / "dev/nvidiactl").touch()
    return root


def test_without_a_driver_there_is_none(tmp_path: Path) -> None:
    bare = machine(tmp_path)
    assert not has_device(bare)
    lack = why_none(bare, {})
    assert lack.reason == "no NVIDIA driver is loaded"
    assert "525" in lack.remedy


@pytest.mark.parametrize("words", [PROPRIETARY, OPEN])
def test_a_driver_can_be_too_old(tmp_path: Path, words: str) -> None:
    lack = why_none(machine(tmp_path, driver="470.256.02", words=words, nodes=1), {})
    assert lack.reason == "NVIDIA's driver 470.256.02 is too old for CUDA 12"


def test_in_a_container_or_a_sandbox_there_is_no_device_file(tmp_path: Path) -> None:
    lack = why_none(machine(tmp_path, driver="560.35.03"), {})
    assert "no /dev/nvidia0" in lack.reason
    assert "--gpus all" in lack.remedy


@pytest.mark.skipif(os.getuid() == 0, reason="root may open everything")
def test_a_device_file_may_be_shut(tmp_path: Path) -> None:
    root = machine(tmp_path, driver="560.35.03", nodes=1)
    (root / "dev/nvidia0").chmod(0)
    assert "may not open" in why_none(root, {}).reason


def test_somebody_may_have_hidden_it(tmp_path: Path) -> None:
    root = machine(tmp_path, driver="560.35.03", nodes=2)
    assert has_device(root)
    assert why_none(root, {"CUDA_VISIBLE_DEVICES": "-1"}).reason == "CUDA_VISIBLE_DEVICES=-1 leaves no GPU"
    assert "nvidia-smi" in why_none(root, {}).remedy


def test_in_windows_subsystem_the_driver_is_not_in_the_kernel(tmp_path: Path) -> None:
    root = machine(tmp_path)
    (root / "dev/dxg").touch()
    assert has_device(root)
    assert why_none(root, {}).reason == "CUDA finds no GPU"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_cublas_of_pip_is_found_by_its_name_only(tmp_path: Path) -> None:
    """CTranslate2 asks the loader for ``libcublas.so.12``: that it is somewhere among the modules is nothing to it."""
    folder = tmp_path / "nvidia/cublas/lib"
    folder.mkdir(parents=True)
    library = ["cc", "-shared", "-x", "c", "/dev/null", f"-Wl,-soname,{CUBLAS}", "-o", str(folder / CUBLAS)]
    subprocess.run(library, check=True)
    script = (
        "import ctypes, sys\n"
        "from transcription.whisper.gpu import CUBLAS, load_libraries\n"
        "assert load_libraries([sys.argv[1]]) is None\n"
        "print(ctypes.CDLL(CUBLAS)._name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{CUBLAS}\n", done.stderr


def test_cublas_that_is_broken_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "nvidia/cublas/lib"
    folder.mkdir(parents=True)
    (folder / CUBLAS).write_text("half a download")
    try:
        lack = load_libraries([str(tmp_path)])
    finally:
        shutil.rmtree(folder)
    if lack is None:
        pytest.skip("this machine has its own")
    assert "cuBLAS for CUDA 12 cannot be loaded" in lack.reason
    assert str(folder) in lack.reason
    assert "earshot-gateway[cuda]" in lack.remedy
