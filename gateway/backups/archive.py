"""A backup is a tar in gzip: the files of the house, and last ``manifest.json``, which has the hash of each.

``config.yaml``, and below ``state/`` all that the gateway keeps: journal, tokens, keys, certificates, register, images.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
from msgspec import Struct

from gateway.backups.errors import BackupError
from gateway.backups.sealing import MAGIC, SealedReader, SealedWriter

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CONFIG: Final = "config.yaml"
STATE: Final = "state/"
MOST_FILES: Final = 100_000
MOST_MANIFEST: Final = 64 * 1024 * 1024
KEPT_FREE: Final = 64 * 1024 * 1024
"""A backup is not unpacked into the last of the disk, which others need."""
_BLOCK = 1024 * 1024
_LEFT_OUT = (".lock", ".new", "-wal", "-shm", "-journal", ".part")

Progress = Callable[[str, int], None]
"""What is at hand, and its bytes."""


class BackedUp(Struct, frozen=True):
    """One file: its name in the archive, bytes, SHA-256 in hexadecimal, and mode."""

    name: str
    size: int
    sha256: str
    mode: int = 0o600


class BackupManifest(Struct, frozen=True):
    """What is in a backup; ``journal``: the schema's version, 0: there is none."""

    version: str
    journal: int
    made_at: float
    files: tuple[BackedUp, ...]
    format: int = FORMAT


# -- to a file


def write(
    target: IO[bytes], state: Path, config: Path | None, journal: Path, version: str, *,
    scratch: Path, passphrase: bytes = b"", progress: Progress = lambda _name, _size: None,
) -> BackupManifest:  # fmt: skip
    """All of it, as it is at one moment for the journal. Raises BackupError and OSError.

    ``scratch``: a folder with room for a copy of the journal, and for nobody else's eyes.
    """
    sealed = SealedWriter(target, passphrase) if passphrase else None
    with tempfile.TemporaryDirectory(prefix=".earshot-backup-", dir=scratch) as folder:
        copy, schema = Path(folder, "journal.db"), 0
        if journal.exists():
            schema = _copied(journal, copy)
        done: list[BackedUp] = []
        with tarfile.open(fileobj=cast("IO[bytes]", sealed or target), mode="w|gz") as tar:
            for name, path in _files(state, config, journal, copy):
                try:
                    done.append(_add(tar, name, path, progress))
                except FileNotFoundError:
                    if not name.startswith(STATE):
                        raise  # what goes meanwhile of what is kept had its time: speech, images
            manifest = BackupManifest(version=version, journal=schema, made_at=time.time(), files=tuple(done))
            _put(tar, MANIFEST, msgspec.json.encode(manifest))
    if sealed is not None:
        sealed.close()
    return manifest


def _copied(journal: Path, copy: Path) -> int:
    """A whole copy of a journal that may be at work."""
    os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
    try:
        with (
            closing(
                sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            ) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            return int(target.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise BackupError(f"the journal {journal} cannot be read: {error}") from error


def _files(state: Path, config: Path | None, journal: Path, copy: Path) -> Iterator[tuple[str, Path]]:
    if config is not None:
        yield CONFIG, config
    if copy.exists():
        yield f"{STATE}{journal.name}", copy
    beside = {f"{journal.name}{end}" for end in ("", "-wal", "-shm")}
    for path in _below(state):
        name = path.relative_to(state).as_posix()
        if name not in beside and not name.endswith(_LEFT_OUT):
            yield f"{STATE}{name}", path


def _below(folder: Path) -> Iterator[Path]:
    """Its files, and those of its folders; one that may not be looked into is an error, and none left out."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for found, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(found, name)
            with suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def _add(tar: tarfile.TarFile, name: str, path: Path, progress: Progress) -> BackedUp:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        progress(name, found.st_size)
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = found.st_size, found.st_mode & 0o777, int(found.st_mtime)
        hashing = _Hashing(file)
        try:
            tar.addfile(info, hashing)
        except OSError as error:
            if "end of data" in str(error):
                raise BackupError(f"{path} became shorter meanwhile\nremedy: try again") from error
            raise
    return BackedUp(name, info.size, hashing.digest, info.mode)


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
    tar.addfile(info, io.BytesIO(data))


class _Hashing:
    """Reads on, and knows the hash of what was read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


# -- and from it


def unpack(source: IO[bytes], into: Path, *, passphrase: bytes = b"", progress: Progress = lambda _n, _s: None) -> BackupManifest:  # fmt: skip # noqa: E501
    """Everything that is in it, below ``into``, once all of it is as it was written. Raises BackupError and OSError."""
    found: dict[str, BackedUp] = {}
    manifest: BackupManifest | None = None
    try:
        with tarfile.open(fileobj=_stream(source, passphrase), mode="r|gz") as tar:
            for member in tar:
                if manifest is not None or len(found) > MOST_FILES:
                    raise BackupError("the backup goes on behind its manifest, or has no end")
                if member.name == MANIFEST:
                    manifest = _manifest(tar, member)
                    continue
                found[member.name] = _take(tar, member, into, found, progress)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BackupError(f"this is no whole backup of Earshot's: {error}") from error
    if manifest is None:
        raise BackupError(
            "the backup breaks off: its manifest is missing\nremedy: fetch it again, or take another one"
        )
    _compare(manifest, found)
    return manifest


def _stream(source: IO[bytes], passphrase: bytes) -> Any:
    head = source.read(len(MAGIC))
    if head == MAGIC:
        if not passphrase:
            raise BackupError("the backup is sealed\nremedy: say --passphrase-file")
        return SealedReader(source, passphrase)
    return _Again(head, source)


class _Again:
    """A stream of which the beginning was looked at."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._rest.read(size)
        if size < 0:
            head, self._head = self._head, b""
            return head + self._rest.read()
        head, self._head = self._head[:size], self._head[size:]
        return head + (self._rest.read(size - len(head)) if len(head) < size else b"")


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BackupManifest:
    file = tar.extractfile(member)
    if file is None or member.size > MOST_MANIFEST:
        raise BackupError("the backup's manifest is none")
    try:
        manifest = msgspec.json.decode(file.read(), type=BackupManifest)
    except msgspec.MsgspecError as error:
        raise BackupError(f"the backup's manifest cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(
            f"the backup is of form {manifest.format}, this version knows {FORMAT}\nremedy: use Earshot "
            f"{manifest.version} or newer"
        )
    return manifest


def _take(
    tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path, found: dict[str, BackedUp], progress: Progress
) -> BackedUp:
    parts = member.name.split("/")
    is_ours = member.name == CONFIG or member.name.startswith(STATE)
    if (
        not member.isreg()
        or not is_ours
        or member.name in found
        or {"", ".", ".."} & set(parts)
        or "\0" in member.name
    ):
        raise BackupError(f"the backup holds {member.name!r}, which no backup of Earshot's does")
    if member.size > (free := shutil.disk_usage(into).free) - KEPT_FREE:
        raise BackupError(
            f"{member.name!r} is of {member.size / 1e6:.0f} MB, and {free / 1e6:.0f} are free\nremedy: make room"
        )
    progress(member.name, member.size)
    path, file, digest, size = into.joinpath(*parts), tar.extractfile(member), hashlib.sha256(), 0
    assert file is not None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "wb") as out:
        while data := file.read(_BLOCK):
            out.write(data)
            digest.update(data)
            size += len(data)
        out.flush()
        os.fsync(out.fileno())
    path.chmod(member.mode & 0o777)
    return BackedUp(member.name, size, digest.hexdigest(), member.mode & 0o777)


def _compare(manifest: BackupManifest, found: dict[str, BackedUp]) -> None:
    wanted = {one.name: one for one in manifest.files}
    if odd := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise BackupError(f"the backup was damaged or changed: {', '.join(odd[:5])}")
