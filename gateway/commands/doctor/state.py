"""The doctor's look at the state folder: whose all of it is, who else may read or write it, and what is no file."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from gateway.access import audit, latest_time, page_sessions, tokens
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.config.places import OWN_CERTIFICATE
from gateway.web.entrance.tls import KEY

MOST_ENTRIES = 10_000
"""So many are looked at."""
MOST_NAMED = 5
_SIGNING = "token.key"
_OTHERS, _OTHERS_WRITE = 0o077, 0o022


def state(journal: Path) -> Iterator[Finding]:
    """All that lies beside the journal, and that folder. Nothing is made, and no link is followed."""
    folder = journal.parent
    try:
        of_folder = folder.stat()
        entries = _looked_at(folder)
    except FileNotFoundError:
        yield ok("state", f"{folder} is made at the first start")
        return
    except OSError as error:
        yield warn("state", f"{folder}: {error.strerror}", "call this as the gateway's user, or as root")
        return
    troubles = [*_folder(folder, of_folder), *_entries(folder, of_folder, entries, _names(journal))]
    yield from troubles
    if not troubles:
        yield ok("state", f"{len(entries)} files in {folder}, for nobody else")


def _folder(folder: Path, status: os.stat_result) -> Iterator[Finding]:
    if status.st_mode & stat.S_IWOTH:
        yield fail(
            "state",
            f"everybody may write in {folder}, and so take the gateway's place",
            f"chmod go-w {folder}",
        )
    elif status.st_mode & stat.S_IWGRP:
        yield warn(
            "state", f"a group may write in {folder}, and so take the gateway's place", f"chmod g-w {folder}"
        )


def _entries(
    folder: Path, of_folder: os.stat_result, entries: dict[str, os.stat_result], names: tuple[str, ...]
) -> Iterator[Finding]:
    ours = {name: status for name, status in entries.items() if name.lstrip(".").startswith(names)}
    if planted := [name for name, status in ours.items() if _is_planted(status)]:
        remedy = "see who put it there, and remove it; the gateway does not open it"
        yield fail(
            "state", f"{_listed(planted)} in {folder}: a link, no file, or a file with another name", remedy
        )
    if others := [name for name, status in ours.items() if status.st_uid != of_folder.st_uid]:
        remedy = _command(f"chown --no-dereference --reference={folder}", folder, others)
        yield warn("state", f"{_listed(others)} in {folder}: not the folder's owner's", remedy)
    if loose := [name for name, status in ours.items() if _is_loose(status, _OTHERS)]:
        remedy = _command("chmod go=", folder, loose)
        yield warn("state", f"others may read {_listed(loose)} in {folder}", remedy)
    strange = {name: status for name, status in entries.items() if name not in ours}
    if written := [name for name, status in strange.items() if _is_loose(status, _OTHERS_WRITE)]:
        remedy = _command("chmod go-w", folder, written)
        yield warn("state", f"others may write {_listed(written)} in {folder}", remedy)


def _looked_at(folder: Path) -> dict[str, os.stat_result]:
    found = {}
    with os.scandir(folder) as entries:
        for entry in islice(entries, MOST_ENTRIES):
            with suppress(FileNotFoundError):  # gone meanwhile
                found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def _names(journal: Path) -> tuple[str, ...]:
    """What the names of our files begin with."""
    return (
        journal.name, tokens.FILE, _SIGNING, page_sessions.FILE, latest_time.FILE, audit.FILE, OWN_CERTIFICATE, KEY,
    )  # fmt: skip


def _is_planted(status: os.stat_result) -> bool:
    return not stat.S_ISREG(status.st_mode) or status.st_nlink > 1


def _is_loose(status: os.stat_result, bits: int) -> bool:
    return not stat.S_ISLNK(status.st_mode) and bool(status.st_mode & bits)


def _command(words: str, folder: Path, names: list[str]) -> str:
    return f"{words} {' '.join(shlex.quote(str(folder / name)) for name in names[:MOST_NAMED])}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(sorted(names)[:MOST_NAMED]) + more
