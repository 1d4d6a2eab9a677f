"""What CTranslate2 is told of the processor: it looks for itself, but leaves its widest vectors alone."""

from __future__ import annotations

import os
from pathlib import Path

WIDEST = ("CT2_FORCE_CPU_ISA", "AVX512")
"""CTranslate2 computes in AVX2 unless it is told otherwise, because older processors become slower as a whole in
AVX-512. Those that have VNNI, too, do not. It is read when CTranslate2 loads its first model. What the environment
says counts more."""

_NEEDED = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})
_CPUINFO = Path("/proc/cpuinfo")


def use_widest_vectors() -> None:
    """Have a model that is loaded in this process compute in AVX-512, where that is sooner done."""
    if gains_by_widest(_described()):
        os.environ.setdefault(*WIDEST)


def gains_by_widest(cpuinfo: str) -> bool:
    """Whether a processor that Linux describes like this does."""
    flags = [line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith("flags")]
    return bool(flags) and all(set(one.split()) >= _NEEDED for one in flags)


def _described() -> str:
    """Empty where it is not Linux that runs here."""
    try:
        return _CPUINFO.read_text()
    except OSError:
        return ""
