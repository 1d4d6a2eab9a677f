"""NVIDIA GPUs: what keeps programs from using one here, and CUDA's libraries, also those that come from pip.

Nothing here computes, and nothing has to be installed for it.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST_DRIVER = 525
"""The first NVIDIA driver that CUDA 12 goes with, on which CTranslate2's wheels are built."""

CUBLAS = "libcublas.so.12"
"""The one library that CTranslate2's wheels leave to the machine: CUDA's runtime is in them, cuDNN is not used."""

_PACKAGED = Path("nvidia", "cublas", "lib", CUBLAS)
"""Where pip's nvidia-cublas-cu12 puts it, in a folder of modules."""

PIP_CUDA = f"{sys.executable} -m pip install 'earshot-gateway[cuda]'"


@dataclass(frozen=True, slots=True)
class Lack:
    """What a GPU lacks to be used, and what to do about it."""

    reason: str
    remedy: str


def has_device(root: Path = Path("/")) -> bool:
    """Whether the kernel shows a GPU of NVIDIA's (or Windows one, in WSL)."""
    return bool(_nodes(root)) or (root / "dev/dxg").exists()


def why_none(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> Lack:
    """Where CUDA counts no GPU: why, as far as that can be seen from outside."""
    version, nodes = _driver(root), _nodes(root)
    if version is None and not (root / "dev/dxg").exists():
        return Lack(
            "no NVIDIA driver is loaded",
            f"install NVIDIA's driver, {OLDEST_DRIVER} or newer (nvidia-smi shows it), or take the CPU",
        )
    if version is not None and _major(version) < OLDEST_DRIVER:
        return Lack(
            f"NVIDIA's driver {version} is too old for CUDA 12", f"install driver {OLDEST_DRIVER} or newer"
        )
    if version is not None and not nodes:
        return Lack(
            "NVIDIA's driver is loaded, and there is no /dev/nvidia0",
            "a container needs --gpus all; outside of one, run nvidia-modprobe -c 0 -u as root",
        )
    shut = [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if shut:
        return Lack(
            f"user {os.getuid()} may not open {shut[0]}",
            f"let it into the group that owns it (ls -l {shut[0]}); under systemd docs/service.md has what it takes",
        )
    if "CUDA_VISIBLE_DEVICES" in environ:
        hidden = environ["CUDA_VISIBLE_DEVICES"]
        return Lack(f"CUDA_VISIBLE_DEVICES={hidden} leaves no GPU", "unset it, or name one that is there")
    return Lack(
        "CUDA finds no GPU",
        "nvidia-smi says whether the driver does; under systemd docs/service.md has what it takes",
    )


def load_libraries(folders: Iterable[str] = sys.path) -> Lack | None:
    """Have cuBLAS in this process, where CTranslate2 will look for it by name only; what it lacks, if anything.

    The machine's own counts (as the loader finds it, LD_LIBRARY_PATH too), else pip's, for which no path need be set.
    """
    said = ""
    for place in (CUBLAS, *(str(Path(folder) / _PACKAGED) for folder in folders)):
        if place != CUBLAS and not Path(place).exists():
            continue
        try:
            ctypes.CDLL(place)
        except OSError as error:
            said = str(error)
        else:
            return None
    return Lack(f"cuBLAS for CUDA 12 cannot be loaded ({said})", PIP_CUDA)


def _driver(root: Path) -> str | None:
    """The version of the driver in the kernel; None: there is none."""
    try:
        told = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"\b(\d{3,4}(?:\.\d+)+)\b", told)
    return found[1] if found is not None else "0"


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _nodes(root: Path) -> list[Path]:
    return sorted((root / "dev").glob("nvidia[0-9]*"))
