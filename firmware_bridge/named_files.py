"""Files that somebody named, in a setting or on a command line: whatever stands there, nobody waits for it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 1024 * 1024
"""No password, key, certificate or configuration is larger."""
_NULL = os.makedev(1, 3)
"""/dev/null, by which people say: none."""
_AT_ONCE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_named(path: Path, most: int = MOST_BYTES) -> bytes:
    """The file's bytes, links followed. Raises OSError, also for what is no file (a pipe, a device) or larger."""
    return _read(path, most)[0]


def read_guarded(path: Path) -> tuple[bytes, bool]:
    """The same, and whether nobody but its owner may look into this very file, whatever its name leads to later."""
    data, status = _read(path, MOST_BYTES)
    return data, not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def first_line(path: Path) -> str:
    """What a password's file holds. Raises OSError and UnicodeDecodeError."""
    return read_named(path).decode("utf-8").split("\n", 1)[0].rstrip("\r")


def check_named(*names: str | Path) -> None:
    """For what a library opens by its name; an empty name is none. Raises OSError as ``read_named`` does."""
    for name in filter(None, map(str, names)):
        _check(os.stat(name), Path(name), MOST_BYTES)  # noqa: PTH116 - a name as it was given


def _read(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    descriptor = os.open(path, _AT_ONCE)
    with os.fdopen(descriptor, "rb", closefd=True) as file:
        status = os.fstat(descriptor)
        _check(status, path, most)
        data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, most)
    return data, status


def _check(status: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode) and status.st_rdev != _NULL:
        raise OSError(errno.EINVAL, "it is a pipe or a device, and no file", str(path))
    if status.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
