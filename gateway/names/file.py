"""Names in a file of one's own, by room. It is watched; while something is wrong in it, what it had before stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from firmware_bridge.named_files import read_named
from firmware_bridge.servers import in_words
from gateway.config import strict_yaml
from gateway.names.house import KnownNames
from gateway.names.tiers import EVERYWHERE, Likely, Named

SOURCE = "file"
LOOK_SECONDS = 2.0
MOST_BYTES = 256 * 1024


class UnfitNames(Exception):
    """What stands in the file is not what may stand there; the message says where."""


class NamesFile:
    """Names for as long as it runs."""

    def __init__(self, path: Path, known: KnownNames, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._path = path
        self._known = known
        self._look_seconds = look_seconds
        self._stamp: tuple[int, int, int] | None = None

    async def run(self) -> None:
        """Look at the file again and again."""
        while True:
            await self.look()
            await asyncio.sleep(self._look_seconds)

    async def look(self) -> None:
        """Read the file, unless it is as it was."""
        try:
            names = await asyncio.to_thread(self._read_anew)
        except OSError as error:
            self._lost(f"{self._path} cannot be read: {in_words(error)}")
        except UnfitNames as error:
            self._lost(str(error))
        else:
            if names is not None:
                self._known.found(SOURCE, names)

    def _read_anew(self) -> list[Named] | None:
        """None: it is as it was. What is wrong is read again, for it may have been half written."""
        before, self._stamp = self._stamp, None
        status = self._path.stat()
        now = status.st_mtime_ns, status.st_size, status.st_ino
        names = read_names(self._path) if now != before else None
        self._stamp = now
        return names

    def _lost(self, reason: str) -> None:
        self._known.lost(SOURCE, reason, "correct the file, or names.file (docs/names.md shows one)")


def read_names(path: Path) -> list[Named]:
    """All names in a file. Raises OSError, and UnfitNames."""
    try:
        document = strict_yaml.parse(read_named(path, MOST_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UnfitNames(f"{path}: not UTF-8") from error
    except strict_yaml.YamlProblem as error:
        raise UnfitNames(f"{path}:{error.line}: {error}") from error
    return list(_names(path, document))


def _names(path: Path, document: strict_yaml.Document) -> Iterator[Named]:
    rooms = document.data if document.data is not None else {}
    if isinstance(rooms, list):
        rooms = {EVERYWHERE: rooms}
    if not isinstance(rooms, dict):
        raise UnfitNames(f"{path}:1: expected rooms, each with a list of names")
    for room, names in rooms.items():
        line = document.lines.get((room,), 1)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UnfitNames(f"{path}:{line}: {room}: expected a list of names, such as [Vitamix, Ecobee]")
        if room != EVERYWHERE:
            yield Named(room, room, Likely.PLACE)
        yield from (Named(name, room) for name in names)
