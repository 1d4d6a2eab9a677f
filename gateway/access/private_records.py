"""A private file of records, read and replaced as a whole by several processes; its errors are those of whose it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from gateway.access.private_files import Stamp, alone, read_private, stamp_of, write_private

_Record = TypeVar("_Record", bound=msgspec.Struct)


@dataclass(frozen=True)
class PrivateRecords(Generic[_Record]):
    """A JSON list of one kind of records. ``unreadable`` and ``unwritable``: what is raised, with the reason."""

    path: Path
    of: type[_Record]
    unreadable: type[Exception]
    unwritable: type[Exception]
    absent: tuple[type[OSError], ...] = (FileNotFoundError,)
    """What says that there are none."""

    def stamp(self) -> Stamp:
        """Another one when the file has changed."""
        return stamp_of(self.path)

    def read(self) -> list[_Record]:
        """All of them; none where there is no file."""
        try:
            return msgspec.json.decode(read_private(self.path), type=list[self.of])  # type: ignore[name-defined]
        except self.absent:
            return []
        except OSError as error:
            raise self.unreadable(f"{self.path} cannot be read: {error.strerror or error}") from error
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self.unreadable(f"{self.path} is damaged: {error}") from error

    def write(self, records: Sequence[_Record]) -> None:
        """These and no others; though the disk be full, if they fit, without their indentation, where they were."""
        data = msgspec.json.encode(records)
        try:
            write_private(self.path, msgspec.json.format(data) + b"\n", cramped=data)
        except OSError as error:
            raise self._refused(error) from error

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While it lasts, nobody else changes the file."""
        try:
            with alone(self.path):
                yield
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> Exception:
        return self.unwritable(f"{self.path} cannot be written: {error.strerror or error}")
