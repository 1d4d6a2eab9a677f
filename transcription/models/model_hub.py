"""The model hub: what a repository holds, and its files, resumed where they broke off and verified.

Speaks the hub's own HTTP API and fills the same cache as its Python client, which other programs
share. That client begins a broken download anew, and a Pi on a slow line would never be done.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec
from msgspec import Meta, Struct

from transcription.models.cache_files import make_folder, open_own, read_description, replace

ENDPOINT = "https://huggingface.co"
CHUNK_BYTES = 256 * 1024
MOST_LISTING_BYTES = 8 * 1024 * 1024
"""The listing of a repository is not larger."""
MOST_FILES = 100_000
SPARE_BYTES = 64 * 1024 * 1024
"""What stays free on the disk."""
FIRST_TRIES, TRIES = 2, 6
"""So many attempts in a row that bring nothing, and the hub counts as out of reach: at first, and later."""
PART = ".part"
"""Ending of a file that is not whole yet; it stays for the next attempt."""

_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""No file of a model is called otherwise, and no version of it."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another attempt may cure."""


class CannotFetch(Exception):
    """Why, and what to do about it (empty: what helps with any hub)."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class _BrokenOff(Exception):
    """The connection, or what answers at its other end; another attempt may do."""


class Fetched(Struct, frozen=True):
    """How far a download is, in bytes; ``kept`` of them were there from an earlier attempt."""

    done: int
    total: int
    kept: int


OnFetched = Callable[[Fetched], None]
Result = TypeVar("Result")


_Word = Annotated[str, Meta(max_length=1_000)]
_Size = Annotated[int, Meta(ge=0, le=1 << 60)]


class _Lfs(Struct, frozen=True):
    sha256: _Word
    size: _Size


class _File(Struct, frozen=True):
    """A file of a repository. Large ones are known by the SHA-256 of their bytes, others by git's SHA-1."""

    rfilename: _Word
    size: _Size | None = None
    blobId: _Word = ""  # noqa: N815 - the hub's word
    lfs: _Lfs | None = None

    @property
    def digest(self) -> str:
        return self.lfs.sha256 if self.lfs is not None else self.blobId

    @property
    def length(self) -> int:
        return self.lfs.size if self.lfs is not None else self.size or 0


class _Listing(Struct, frozen=True):
    sha: _Word
    siblings: Annotated[list[_File], Meta(max_length=MOST_FILES)]


@dataclass(frozen=True, slots=True)
class ModelHub:
    """One hub. ``patience_seconds``: without a byte for so long, a connection counts as broken.

    ``pause_seconds``: before the second attempt in a row; doubled for each further one.
    """

    endpoint: str = ENDPOINT
    token: str = ""
    patience_seconds: float = 30.0
    pause_seconds: float = 1.0

    def fetch(
        self, repository: str, patterns: Sequence[str], cache: Path, on_fetched: OnFetched = lambda _: None
    ) -> Path:
        """Bring the repository's files of these patterns into ``cache``; their folder. Raises CannotFetch."""
        listing = self._listing(repository, patterns)
        home = cache / folder_name(repository)
        try:
            with _locked(home, repository):
                return self._fetch_all(repository, listing, home, on_fetched)
        except OSError as error:
            raise CannotFetch(
                f"{home} cannot be written: {error.strerror or error}",
                f"see that user {os.getuid()} may write there and the disk has room; "
                "transcription.models_dir sets another place",
            ) from error

    def _listing(self, repository: str, patterns: Sequence[str]) -> _Listing:
        def read() -> bytes:
            with self._open(f"/api/models/{repository}/revision/main?blobs=true") as answer:
                return b"".join(_chunks(answer, MOST_LISTING_BYTES))

        body = self._patiently(read, lambda: 0, FIRST_TRIES)
        try:
            listing = msgspec.json.decode(body, type=_Listing)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise CannotFetch(f"what {self.endpoint} answered is no hub's listing: {error}") from error
        wanted = [file for file in listing.siblings if _wanted(file.rfilename, patterns)]
        if not all(_HEX.fullmatch(digest) for digest in (listing.sha, *(file.digest for file in wanted))):
            raise CannotFetch(f"{self.endpoint} gives no checksums, so nothing from it can be trusted")
        return _Listing(listing.sha, wanted)

    def _fetch_all(self, repository: str, listing: _Listing, home: Path, on_fetched: OnFetched) -> Path:
        blobs, snapshot = home / "blobs", home / "snapshots" / listing.sha
        for folder in (blobs, snapshot.parent, snapshot, home / "refs"):
            make_folder(folder)
        files = [file for file in listing.siblings if not (snapshot / file.rfilename).is_file()]
        total = sum(file.length for file in files)
        kept = sum(_size(blobs / file.digest) or _size(_part(blobs, file)) for file in files)
        _check_room(home, total - kept, repository)
        before = 0
        for file in files:

            def tell(done: int, before: int = before) -> None:
                on_fetched(Fetched(before + done, total, kept))

            url = f"/{repository}/resolve/{listing.sha}/{file.rfilename}"
            self._fetch_blob(url, file, blobs, tell)
            _link(snapshot / file.rfilename, blobs / file.digest)
            before += file.length
        replace(home / "refs" / "main", listing.sha.encode())
        return snapshot

    def _fetch_blob(self, url: str, file: _File, blobs: Path, tell: Callable[[int], None]) -> None:
        whole, part = blobs / file.digest, _part(blobs, file)
        if whole.is_file():
            tell(file.length)
            return
        self._patiently(lambda: self._append(url, file, part, tell), lambda: _size(part), TRIES)
        if _digest(part, file) != file.digest:
            part.unlink()
            raise CannotFetch(
                f"{file.rfilename} has not the checksum that the hub gives for it ({file.digest[:12]}...)",
                "fetch it again: a proxy or the line has changed it, so it was thrown away",
            )
        part.replace(whole)

    def _append(self, url: str, file: _File, part: Path, tell: Callable[[int], None]) -> None:
        """Add to the part until the connection ends."""
        have = _size(part)
        if have > file.length:  # of another program
            part.unlink()
            have = 0
        if have == file.length and part.exists():
            return
        with self._open(url, have) as answer, open_own(part, os.O_APPEND) as out:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0
                out.truncate(0)
            tell(have)
            for chunk in _chunks(answer, file.length - have):
                out.write(chunk)
                have += len(chunk)
                tell(have)
        if have < file.length:
            raise _BrokenOff(f"the connection broke off with {megabytes(file.length - have)} to come")

    def _patiently(self, attempt: Callable[[], Result], size: Callable[[], int], tries: int) -> Result:
        """Again while the connection breaks, so often in a row without ``size`` growing."""
        futile = 0
        while True:
            before = size()
            try:
                return attempt()
            except _BrokenOff as error:
                futile = 0 if size() > before else futile + 1
                if futile == tries:
                    raise CannotFetch(f"the hub cannot be reached: {error}") from error
            time.sleep(self.pause_seconds * 2 ** max(0, futile - 1))

    def _request(self, url: str, start: int) -> urllib.request.Request:
        request = urllib.request.Request(self.endpoint.rstrip("/") + url)  # noqa: S310 - the user's endpoint
        request.add_header("User-Agent", "earshot")
        if self.token:  # not to where the hub sends us for the file
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        if start:
            request.add_header("Range", f"bytes={start}-")
        return request

    def _open(self, url: str, start: int = 0) -> http.client.HTTPResponse:
        """The answer. Raises CannotFetch for a refusal, and _BrokenOff when another try may do."""
        try:
            request = self._request(url, start)
            opened: http.client.HTTPResponse = _opener().open(request, timeout=self.patience_seconds)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _PASSING:
                    raise _BrokenOff(f"{self.endpoint} answered {error.code} {error.reason}") from error
                raise _refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenOff(f"{self.endpoint}: {getattr(error, 'reason', None) or error}") from error
        except ValueError as error:
            raise CannotFetch(
                f"{self.endpoint!r} is no address of a hub: {error}", "set HF_ENDPOINT"
            ) from error
        return opened


class _Onward(urllib.request.HTTPRedirectHandler):
    """The hub keeps its files elsewhere. Nobody is sent from https to what others can read and change."""

    def redirect_request(  # noqa: PLR0917 - its base's
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """As its base's. Raises CannotFetch."""
        allowed = ("https",) if req.type == "https" else ("https", "http")
        if urllib.parse.urlsplit(newurl).scheme not in allowed:
            raise CannotFetch(f"the hub sends us on to {newurl!r:.200}, where nothing is fetched from")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Knows http and https, and neither files nor FTP."""
    opener = urllib.request.OpenerDirector()
    for one in (
        urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(), urllib.request.HTTPDefaultErrorHandler(), _Onward(),
        urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(one)
    return opener


def folder_name(repository: str) -> str:
    """A repository's folder in the cache."""
    return f"models--{repository.replace('/', '--')}"


def cached_snapshot(cache: Path, repository: str) -> Path | None:
    """The folder of the repository's newest files in the cache, if there is one, whole or not."""
    home = cache / folder_name(repository)
    try:
        commit = read_description(home / "refs" / "main").decode().strip()
    except FileNotFoundError:
        return None
    snapshot = home / "snapshots" / commit
    return snapshot if _NAME.fullmatch(commit) and snapshot.is_dir() else None


def _wanted(name: str, patterns: Sequence[str]) -> bool:
    return _NAME.fullmatch(name) is not None and any(
        fnmatch.fnmatchcase(name, pattern) for pattern in patterns
    )


def _part(blobs: Path, file: _File) -> Path:
    return blobs / f"{file.digest}{PART}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _link(name: Path, blob: Path) -> None:
    name.unlink(missing_ok=True)
    try:
        name.symlink_to(os.path.relpath(blob, name.parent))
    except OSError:  # a file system without links, such as a USB stick's
        blob.replace(name)


def _digest(path: Path, file: _File) -> str:
    if file.lfs is not None:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    told = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            told.update(piece)
    return told.hexdigest()


def _check_room(place: Path, needed: int, repository: str) -> None:
    free = shutil.disk_usage(place).free
    if needed + SPARE_BYTES > free:
        raise CannotFetch(
            f"{repository} needs {megabytes(needed)} more on the disk of {place}, which has {megabytes(free)} free",
            "remove what is not needed (`earshot models list`, `earshot models remove NAME`), or set "
            "transcription.models_dir to a disk with more room",
        )


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def _refusal(error: urllib.error.HTTPError) -> CannotFetch:
    why = error.headers.get("X-Error-Code", "")
    if why == "GatedRepo" or (error.code == http.HTTPStatus.FORBIDDEN):
        return CannotFetch(
            f"the hub lets only those in who have accepted its terms (HTTP {error.code})",
            "accept them on the model's page there, and set HF_TOKEN to an access token of yours",
        )
    if error.code == http.HTTPStatus.UNAUTHORIZED or why == "RepoNotFound":
        return CannotFetch(
            f"the hub has no such model, or not for everybody (HTTP {error.code})",
            "check the name; for a private model set HF_TOKEN to an access token of yours",
        )
    return CannotFetch(f"the hub answered {error.code} {error.reason}", "check the name")


def _chunks(answer: http.client.HTTPResponse, most: int) -> Iterator[bytes]:
    """What comes, up to so many bytes. Raises _BrokenOff."""
    while most > 0:
        try:
            chunk = answer.read(min(CHUNK_BYTES, most))
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenOff(str(error) or type(error).__name__) from error
        if not chunk:
            return
        most -= len(chunk)
        yield chunk


@contextlib.contextmanager
def _locked(home: Path, repository: str) -> Iterator[BinaryIO]:
    """Only one process fetches a repository at a time."""
    make_folder(home)
    with open_own(home / ".earshot-lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotFetch(
                f"another program is fetching {repository} into {home.parent} right now",
                "wait until it is done",
            ) from error
        yield lock
