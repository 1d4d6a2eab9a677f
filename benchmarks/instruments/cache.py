"""Where benchmarks and tests keep what is slow to have: inflated models, others' virtual environments, real weights."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache() -> Path:
    """The folder in which all of it is kept, outside the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot-benchmarks"


def cached(name: str, make: Callable[[Path], None], home: Path | None = None) -> Path:
    """The folder of that name; the first time, and after a change of name, ``make`` fills it.

    A folder that is there is whole: it gets its name when ``make`` has returned.
    """
    place = (home or cache()) / name
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
        try:
            make(unfinished)
            _keep(unfinished, place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _keep(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():  # else somebody beside us was quicker
            raise
