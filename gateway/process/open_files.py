"""How many files and sockets this process may have open at once, and how many of them connections may take.

What is not a connection (the journal, the recognizer's pipes, brokers, serial ports, recordings under way) finds its
own whatever visitors do: so many are kept back.
"""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVE = 192
"""Kept back from connections; of few, three in four."""
LEAST = 64
"""With fewer the gateway does not get as far as its page."""
REMEDY = "raise the limit of open files (systemd: LimitNOFILE=, a shell: ulimit -n)"


class TooFewFiles(Exception):
    """This process may open too few files to be a gateway."""


def raise_limit() -> None:
    """As many as the system lets us have. Raises TooFewFiles."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if limit() < LEAST:
        raise TooFewFiles(f"this process may have {limit()} files open, and {LEAST} are the least")


def limit() -> int:
    """How many there may be now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def for_connections(wanted: int, most: int | None = None) -> int:
    """How many of ``wanted`` connections there may be; ``most``: of so many files (now: all that there may be)."""
    files = limit() if most is None else most
    return wanted if files == resource.RLIM_INFINITY else min(wanted, max(files - RESERVE, files // 4))
