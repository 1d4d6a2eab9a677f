"""Files with what nobody else may read: written whole or not at all, mode 0600, owned by whose folder it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
"""No such file is larger; a larger one is not read."""


def read_private(path: Path) -> bytes:
    """The file's bytes. Raises OSError, FileNotFoundError where there is none."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"{path} is larger than {MAX_BYTES} bytes")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Replace the file. The administrator's command leaves it to the folder's owner. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            leave_to_the_owner(file.fileno(), path.parent)
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def leave_to_the_owner(descriptor: int, folder: Path) -> None:
    """What root makes in the gateway's folder has to be the gateway's."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While it lasts, nobody else who asks for the same changes that file. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        leave_to_the_owner(lock, path.parent)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
