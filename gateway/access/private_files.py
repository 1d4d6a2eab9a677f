"""Files that are ours alone: mode 0600, written whole or not at all, through no link, owned by whose folder it is.

Whoever owns a folder may plant anything in it and wait for root to come by. So a file is named below its folder's
descriptor, nothing is opened through a link, under a second name, or where it is no file, and the owner changes
only of what was just made.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

MAX_BYTES = 4 * 1024 * 1024
"""No such file is larger; a larger one is not read."""
LOCK_SECONDS = 10.0
"""So long it is waited for somebody else who changes the file."""
LOCK_STEP = 0.02
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_GUARDED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_PRIVATE = 0o600
_ATTEMPTS = 3  # somebody may take the file away between two looks at it

Stamp: TypeAlias = tuple[int, int, int] | None
"""What changes when a file does: inode, time and size; None where there is none."""


def stamp_of(path: Path) -> Stamp:
    """Another one when the file has changed."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_private(path: Path) -> bytes:
    """The file's bytes. Raises OSError, FileNotFoundError where there is none."""
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES} bytes", str(path))
    return data


def write_private(path: Path, data: bytes, *, cramped: bytes | None = None) -> None:
    """Replace the file. What root makes there is the folder's owner's. Raises OSError.

    ``cramped``: the same in as few bytes as possible, for what has to be written though the disk is full: it goes
    where the old bytes are, if it is no longer than they.
    """
    with _folder(path.parent) as folder:
        try:
            _replace(folder, path.name, data, _PRIVATE, _owner_below(folder))
        except OSError as error:
            if error.errno not in NO_ROOM or cramped is None:
                raise
            _overwrite(folder, path, cramped, error)


def write_whole(path: Path, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Replace any file, or make it in a folder that is there: with this mode, whatever the umask. Raises OSError."""
    with _opened(path.parent) as folder:
        _replace(folder, path.name, data, mode, owner)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of the file, which is made where there is none if ``flags`` say O_CREAT. Raises OSError."""
    if not flags & os.O_CREAT:
        return _open(path, flags, None)
    with _folder(path.parent) as folder:
        for _ in range(_ATTEMPTS):
            with suppress(FileExistsError):
                return _make(folder, path.name, flags)
            with suppress(FileNotFoundError):
                return _open(path, flags & ~os.O_CREAT, folder)
    raise OSError(errno.EAGAIN, "it comes and goes", str(path))


def refuse_links(path: Path) -> None:
    """For what a library opens by its name: raises OSError where something else than one file stands there."""
    with suppress(FileNotFoundError):
        _check(path.lstat(), path)


def make_folder(folder: Path) -> None:
    """The folder and what is missing above it, for nobody else to look into, whatever the umask. Raises OSError."""
    missing = [folder]
    while not missing[-1].exists() and missing[-1] != missing[-1].parent:
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        with suppress(FileExistsError):
            one.mkdir(mode=0o700)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While it lasts, nobody else who asks for the same changes that file. Raises OSError."""
    lock = _lock_of(path)
    try:
        _wait_for(lock, path)
        yield
    finally:
        os.close(lock)


def _lock_of(path: Path) -> int:
    """A file beside it; where there is no room for one, itself."""
    try:
        return open_private(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return open_private(path, os.O_RDWR)


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """What root does meanwhile is done with the rights of the folder's owner and no others. Raises OSError.

    For what a library opens by its name in a folder of somebody else's. Holds for the whole process.
    """
    if os.geteuid() != 0 or (owner := folder.stat()).st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    with suppress(PermissionError):  # a container may forbid it
        os.setgroups([])
    try:
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        with suppress(PermissionError):
            os.setgroups(groups)


@contextmanager
def _folder(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, which is made where there is none."""
    make_folder(folder)
    with _opened(folder) as descriptor:
        yield descriptor


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Errors name their file in full, as if it had not been opened below a descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    except OSError as error:
        if error.filename:
            error.filename = str(folder / error.filename)
        raise
    finally:
        os.close(descriptor)


def _make(folder: int, name: str, flags: int) -> int:
    """A file that was not there."""
    file = os.open(name, flags | os.O_CREAT | os.O_EXCL | _GUARDED, _PRIVATE, dir_fd=folder)
    _give(file, _PRIVATE, _owner_below(folder))
    return file


def _open(path: Path, flags: int, folder: int | None) -> int:
    """One that is there."""
    name = str(path) if folder is None else path.name
    try:
        file = os.open(name, flags | _GUARDED, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _not_ours(errno.ELOOP, path) from error
        raise
    try:
        _check(os.fstat(file), path)
    except OSError:
        os.close(file)
        raise
    return file


def _check(status: os.stat_result, path: Path) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _not_ours(errno.ELOOP, path)
    if not stat.S_ISREG(status.st_mode):
        raise _not_ours(errno.EEXIST, path)
    if status.st_nlink > 1:
        raise _not_ours(errno.EMLINK, path)


_WORDS = {
    errno.ELOOP: "it is a link, which nobody follows here: see who put it there",
    errno.EEXIST: "it is no file: see who put it there",
    errno.EMLINK: "it is a file with another name elsewhere: see who put it there",
}


def _not_ours(number: int, path: Path) -> OSError:
    return OSError(number, _WORDS[number], str(path))


def _owner_below(folder: int) -> tuple[int, int] | None:
    """What root makes in the gateway's folder has to be the gateway's."""
    status = os.fstat(folder)
    return (status.st_uid, status.st_gid) if os.geteuid() == 0 and status.st_uid else None


def _give(file: int, mode: int, owner: tuple[int, int] | None) -> None:
    made = os.fstat(file)
    if owner not in (None, (made.st_uid, made.st_gid)):  # the service may not even ask for what it has
        os.fchown(file, *owner)
    os.fchmod(file, mode)


def _replace(folder: int, name: str, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    fresh = f".{name}.{os.urandom(8).hex()}.new"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | _GUARDED
    descriptor = os.open(fresh, flags, _PRIVATE, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            _give(file.fileno(), mode, owner)
            os.fsync(file.fileno())
        os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=folder)
        raise
    with suppress(OSError):  # some file systems have no such thing
        os.fsync(folder)


def _overwrite(folder: int, path: Path, data: bytes, reason: OSError) -> None:
    """In place, where it needs no room (or less than is free): blanks stand for what is no longer there."""
    try:
        file = _open(path, os.O_WRONLY, folder)
    except FileNotFoundError:
        raise reason from None
    try:
        size = os.fstat(file).st_size
        if len(data) > size:
            os.posix_fallocate(file, 0, len(data))
        os.pwrite(file, data.ljust(size), 0)
        os.fsync(file)
        os.utime(file)  # whoever read it in between looks again
    finally:
        os.close(file)


def _wait_for(lock: int, path: Path) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise OSError(errno.EAGAIN, "another process is changing it", str(path)) from error
            time.sleep(LOCK_STEP)
        else:
            return
