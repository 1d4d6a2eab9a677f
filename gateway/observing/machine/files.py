"""Small files in which the system tells figures: whatever is wrong with one, it says nothing."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
SYS = Path("/sys")
MOST_BYTES = 65_536


def text_of(path: Path) -> str:
    """What stands in it; empty: it is not there, may not be read, or went away meanwhile."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def number_in(path: Path) -> int | None:
    """The whole number that it holds; None: it holds none."""
    text = text_of(path).strip()
    try:
        return int(text, 0) if text else None
    except ValueError:
        return None
