"""A backup takes the place of what there is: the old folder or the new one, whenever it is killed.

All of it is unpacked and looked at beside the folder first; then the two change places at once. What was there stays
beside it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import structlog

from gateway.access.private_files import make_folder, write_whole
from gateway.backups.archive import CONFIG, STATE, BackupManifest, Progress, unpack
from gateway.backups.errors import BackupError
from gateway.journal import JournalInUse
from gateway.journal.file import Lock
from gateway.journal.tables.schema import VERSION

log = structlog.get_logger(__name__)

_AT_FDCWD, _EXCHANGE = -100, 2


class Restored(NamedTuple):
    """What was put back, and where what was there before is now (None: nothing was)."""

    manifest: BackupManifest
    before: Path | None
    config_before: Path | None


def restore(
    source: IO[bytes], state: Path, config: Path | None, journal: str, *,
    passphrase: bytes, force: bool, progress: Progress,
) -> Restored:  # fmt: skip
    """``config``: where its config.yaml goes; None: it is left. ``journal``: the name of the journal's file.

    The caller sees to it that no gateway runs (``alone_with``). Raises BackupError and OSError; whatever is raised, and
    whenever it is killed, what was there is there, or beside it.
    """
    is_there = state.is_dir() and any(state.iterdir())
    if is_there and not force:
        raise BackupError(
            f"{state} is not empty\nremedy: --force puts what is there aside, and loses nothing"
        )
    if is_there and state.is_mount():
        raise _cannot_move(state)
    make_folder(state.parent)
    with _beside(state) as staging:
        manifest = unpack(source, staging, passphrase=passphrase, progress=progress)
        fresh = staging / STATE.rstrip("/")
        fresh.mkdir(mode=0o700, exist_ok=True)
        _check_journal(manifest, fresh / journal)
        with Lock(fresh / journal), _config_at_hand(staging / CONFIG, config) as put:
            _as_before(fresh, state)
            before = _change_places(fresh, state) if is_there else None
            if before is None:
                _move_in(fresh, state)
            config_before = put()
    return Restored(manifest, before, config_before)


@contextmanager
def alone_with(state: Path, journal: Path) -> Iterator[None]:
    """No gateway begins meanwhile, and nobody else restores there. Raises BackupError, JournalError and OSError."""
    make_folder(state.parent)
    with ExitStack() as held:
        folder = os.open(state.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, folder)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(f"{state} is being restored by another process\nremedy: wait for it") from error
        except OSError:  # a network's file system, which locks no folder
            log.debug("nothing keeps two restores apart here", folder=str(state.parent))
        if any(state.glob(f"{glob.escape(journal.name)}*")):
            try:
                held.enter_context(Lock(journal))
            except JournalInUse as error:
                raise BackupError(
                    "the gateway runs\nremedy: stop it first: systemctl stop earshot"
                ) from error
        yield


@contextmanager
def _beside(state: Path) -> Iterator[Path]:
    """On the same disk, so that nothing is copied when the places are changed."""
    staging = state.parent / f".{state.name}.restoring-{os.urandom(6).hex()}"
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_journal(manifest: BackupManifest, journal: Path) -> None:
    """That this gateway can read it. Raises BackupError."""
    found = manifest.journal
    if journal.exists():
        try:
            with closing(
                sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
            ) as db:
                found = max(found, int(db.execute("PRAGMA user_version").fetchone()[0]))
        except sqlite3.Error as error:
            raise BackupError(f"the backup's journal cannot be read: {error}") from error
    if found > VERSION:
        raise BackupError(
            f"the backup's journal is of version {found}, this gateway knows {VERSION}\n"
            f"remedy: use Earshot {manifest.version} or newer"
        )


@contextmanager
def _config_at_hand(found: Path, config: Path | None) -> Iterator[Callable[[], Path | None]]:
    """Written beside its place, so that only a name has to change: by what is given, which says what it was before."""
    if (
        config is None
        or not found.exists()
        or (config.exists() and config.read_bytes() == found.read_bytes())
    ):
        yield lambda: None
        return
    old = config.stat() if config.exists() else None
    owner, mode = (None, 0o640) if old is None else ((old.st_uid, old.st_gid), old.st_mode & 0o777)
    fresh = config.with_name(f".{config.name}.restoring-{os.urandom(6).hex()}")
    write_whole(fresh, found.read_bytes(), mode=mode, owner=owner)

    def put() -> Path | None:
        aside = None
        if old is not None:
            aside = _unused(config)
            write_whole(aside, config.read_bytes(), mode=mode, owner=owner)
        fresh.replace(config)
        return aside

    try:
        yield put
    finally:
        fresh.unlink(missing_ok=True)


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
    """The new folder takes the name that the old one is to have, and then both change names at once.

    So the old folder is at no moment where something is tidied up behind it.
    """
    before = _unused(state)
    fresh.rename(before)
    try:
        is_done = _exchanged(before, state)
    except (BackupError, OSError):
        before.rename(fresh)
        raise
    if not is_done:  # a file system that cannot: for a moment there is none
        before.rename(fresh)
        state.rename(before)
        fresh.rename(state)
    return before


def _unused(path: Path) -> Path:
    """A name for what was there before: the moment's, and not one that is taken."""
    stamp, count = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), 1
    before = path.with_name(f"{path.name}.before-{stamp}")
    while os.path.lexists(before):
        count += 1
        before = path.with_name(f"{path.name}.before-{stamp}-{count}")
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
        raise _cannot_move(other)
    raise OSError(code, os.strerror(code), str(other))


def _cannot_move(state: Path) -> BackupError:
    return BackupError(
        f"{state} is a mount of its own, and cannot be moved\nremedy: empty it, and restore into it"
    )
