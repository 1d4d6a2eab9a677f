"""Whether this machine's memory has room for another model."""

from __future__ import annotations

import re
from pathlib import Path

from transcription.errors import ModelUnavailable
from transcription.models.models import find_model
from transcription.settings import TranscriptionSettings

PROCESS_BYTES = 150 * 1024 * 1024
"""What a recognizer's process needs beside its model's weights."""


def has_room(settings: TranscriptionSettings) -> bool:
    """Whether this model can be loaded beside what is running; also true when that cannot be known."""
    available = available_bytes()
    if available is None or settings.engine == "pocketsphinx":
        return True
    try:
        folder = find_model(settings.model, settings.models_dir)
    except ModelUnavailable:
        return True  # loading it says what is wrong
    if folder is None:
        return True
    # Weights lie on the disk in 16 bits or less, and are held in 8: while they are converted, both are there.
    return (folder / "model.bin").stat().st_size * 3 // 2 + PROCESS_BYTES < available


def available_bytes() -> int | None:
    """What programs may still take of this machine's memory; None: it does not tell."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    except OSError:
        return None
    return 1024 * int(found[1]) if found is not None else None
