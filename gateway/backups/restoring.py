"""A backup takes the place of what there is: the old folder or the new one, whenever it is killed.

All of it is unpacked and looked at beside the folder first; then the two change places at once. What was there stays
beside it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from gateway.access.private_files import make_folder, write_whole
from gateway.backups.archive import CONFIG, STATE, BackupManifest, Progress, unpack
from gateway.backups.errors import BackupError
from gateway.journal.tables.schema import VERSION

_AT_FDCWD, _EXCHANGE = -100, 2


class Restored(NamedTuple):
    """What was put back, and where what was there before is now (None: nothing was)."""

    manifest: BackupManifest
    before: Path | None
    config_before: Path | None


def restore(
    source: IO[bytes], state: Path, config: Path | None, *, passphrase: bytes, force: bool, progress: Progress
) -> Restored:
    """``config``: where its config.yaml goes; None: it is left.

    Raises BackupError and OSError, having changed nothing.
    """
    is_there = state.is_dir() and any(state.iterdir())
    if is_there and not force:
        raise BackupError(
            f"{state} is not empty\nremedy: --force puts what is there aside, and loses nothing"
        )
    make_folder(state.parent)
    with _beside(state) as staging:
        manifest = unpack(source, staging, passphrase=passphrase, progress=progress)
        if manifest.journal > VERSION:
            raise BackupError(
                f"the backup's journal is of version {manifest.journal}, this gateway knows {VERSION}\n"
                f"remedy: use Earshot {manifest.version} or newer"
            )
        fresh = staging / STATE.rstrip("/")
        fresh.mkdir(mode=0o700, exist_ok=True)
        config_before = _put_config(staging / CONFIG, config)
        _as_before(fresh, state)
        before = _change_places(fresh, state) if is_there else None
        if before is None:
            _move_in(fresh, state)
    return Restored(manifest, before, config_before)


@contextmanager
def _beside(state: Path) -> Iterator[Path]:
    """On the same disk, so that nothing is copied when the places are changed."""
    staging = state.parent / f".{state.name}.restoring-{os.urandom(6).hex()}"
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _put_config(found: Path, config: Path | None) -> Path | None:
    if config is None or not found.exists():
        return None
    data, aside, owner, mode = found.read_bytes(), None, None, 0o640
    if config.exists():
        if config.read_bytes() == data:
            return None
        old = config.stat()
        owner, mode = (old.st_uid, old.st_gid), old.st_mode & 0o777
        aside = config.with_name(f"{config.name}.before-{_stamp()}")
        write_whole(aside, config.read_bytes(), mode=mode, owner=owner)
    write_whole(config, data, mode=mode, owner=owner)
    return aside


def _as_before(fresh: Path, state: Path) -> None:
    """The service's files are the service's, whoever puts them back."""
    if not state.exists() or os.geteuid() != 0:
        return
    owner = state.stat()
    fresh.chmod(owner.st_mode & 0o7777)
    for path in (fresh, *fresh.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _move_in(fresh: Path, state: Path) -> None:
    if state.is_dir():
        state.rmdir()
    fresh.rename(state)


def _change_places(fresh: Path, state: Path) -> Path:
    before = state.with_name(f"{state.name}.before-{_stamp()}")
    if not _exchanged(fresh, state):  # a file system that cannot: for a moment there is none
        state.rename(before)
        fresh.rename(state)
        return before
    fresh.rename(before)
    return before


def _exchanged(one: Path, other: Path) -> bool:
    """Linux' renameat2: both names at once, or neither. Raises OSError."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    if code == errno.EBUSY:
        raise BackupError(
            f"{other} is a mount of its own, and cannot be moved\nremedy: empty it, and restore into it"
        )
    raise OSError(code, os.strerror(code), str(other))


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
