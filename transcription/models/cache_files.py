"""Files in the models' cache: other programs write there, and whoever owns it may have planted anything for root."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 4 * 1024 * 1024
"""What describes a model is not larger."""
_GUARDED = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_description(path: Path) -> bytes:
    """A small file beside a model, which in a cache is a link. Raises OSError for a pipe, a device and a large one."""
    with os.fdopen(os.open(path, os.O_RDONLY | _GUARDED), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MOST_BYTES} bytes", str(path))
    return data


def open_own(path: Path, flags: int = 0) -> BinaryIO:
    """To be written to, made where there is none: never through a link, nor under a second name. Raises OSError.

    What root makes is its folder's owner's.
    """
    always = os.O_RDWR | os.O_NOFOLLOW | _GUARDED | flags
    with suppress(FileExistsError):
        made = os.open(path, always | os.O_CREAT | os.O_EXCL, 0o644)
        owner = path.parent.stat()
        if os.geteuid() == 0 and owner.st_uid:
            os.fchown(made, owner.st_uid, owner.st_gid)
        return os.fdopen(made, "r+b")
    file = os.open(path, always)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(file)
        raise OSError(errno.EEXIST, "it is no file of its own: see who put it there", str(path))
    return os.fdopen(file, "r+b")


def replace(path: Path, data: bytes) -> None:
    """The file with other bytes in it, whatever stood there. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    with open_own(fresh) as file:
        file.write(data)
    fresh.replace(path)


def make_folder(path: Path) -> None:
    """And what is missing above it. Raises OSError, also for a link that is neither ours nor root's."""
    path.mkdir(parents=True, exist_ok=True)
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
        raise OSError(errno.ELOOP, "it is somebody else's link", str(path))
