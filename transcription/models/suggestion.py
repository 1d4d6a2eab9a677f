"""Which speech model a machine can carry, told without measuring it; `earshot models bench` measures."""

from __future__ import annotations

import os
import platform

from transcription.models.free_memory import available_bytes

_MB = 1024 * 1024
BASE_MB = 600
"""The least free memory for ``base``: its weights while they are converted, its process, and some to spare."""
SMALL_MB = 1500
MANY_CORES = 4


def suggested_model(language: str) -> str:
    """The name of a model of the hub; what only speaks English where only English is spoken."""
    available = available_bytes()
    size = _size(
        memory_mb=SMALL_MB if available is None else available // _MB,
        cores=len(os.sched_getaffinity(0)),
        is_pc=platform.machine() in {"x86_64", "AMD64"},
    )
    return f"{size}.en" if language == "en" else size


def _size(*, memory_mb: int, cores: int, is_pc: bool) -> str:
    if memory_mb < BASE_MB or cores == 1:
        return "tiny"
    if is_pc and cores >= MANY_CORES and memory_mb >= SMALL_MB:
        return "small"
    return "base"
