"""What has ended for good: the latest time there was, so that a clock that goes back brings no token to life again.

``clock.json`` beside the tokens keeps it over restarts. A clock that is ahead ends things while it is, and for good
only what it has passed slowly (``gateway/process/clock.py``): a minute's mistake shuts nobody out for longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from gateway.access.private_files import read_private, write_private
from gateway.process.clock import Mark, SteadyClock

log = structlog.get_logger(__name__)

FILE = "clock.json"


class Ends:
    """The time by which tokens and page sessions end: the wall clock's, or the latest there was. Reads a file."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._path = None if folder is None else folder / FILE
        self._clock = clock
        self._latest = SteadyClock(_kept(folder), clock(), follows=True)

    def now(self) -> float:
        """In Unix seconds."""
        return max(self._clock(), self._latest.now())

    def surely(self) -> float:
        """What it is at least, in Unix seconds."""
        return self._latest.now()

    def keep(self) -> None:
        """Write it down. For a thread."""
        if self._path is None:
            return
        try:
            write_private(self._path, msgspec.json.encode(self._latest.mark()))
        except OSError as error:
            log.warning("the latest time cannot be kept", path=str(self._path), reason=str(error))


def latest(folder: Path, wall: float) -> float:
    """The latest time that a gateway with this folder has known, no later than ``wall``; that, where none ran."""
    mark = _kept(folder)
    return wall if mark is None else min(wall, SteadyClock(mark, wall, follows=True).now())


def _kept(folder: Path | None) -> Mark | None:
    if folder is None:
        return None
    try:
        return msgspec.json.decode(read_private(folder / FILE), type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        log.warning("the latest time is not known", path=str(folder / FILE), reason=str(error))
        return None
