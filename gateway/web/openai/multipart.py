"""A body of multipart/form-data (RFC 7578): bytes in, events out. No I/O.

Nothing of it is kept but what may be the beginning of a boundary, and the head of a part; both are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

MOST_PARTS: Final = 256
MOST_OF_A_HEAD: Final = 8 * 1024
MOST_BEFORE: Final = 4 * 1024
"""What may stand before the first boundary, and between one and the end of its line."""
MOST_OF_A_BOUNDARY: Final = 70
"""RFC 2046."""

_PARAMETER: Final = re.compile(r";\s*([!#-'*+\-.0-9A-Z^-z|~]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]*))")
_ESCAPE: Final = re.compile(r"\\([\"\\])")
_BYTES_AS_THEY_ARE: Final = frozenset({"", "7bit", "8bit", "binary"})


class BadForm(Exception):
    """It is no form, or more of one than is taken; its words are for whoever sent it."""


@dataclass(frozen=True, slots=True)
class PartBegan:
    """A field, by its name; ``is_file``: with the name of a file."""

    name: str
    is_file: bool


@dataclass(frozen=True, slots=True)
class PartData:
    """Some more of it; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnded:
    """All of it has come."""


FormEvent: TypeAlias = PartBegan | PartData | PartEnded


def boundary_of(content_type: str) -> bytes:
    """What separates the parts, by the request's Content-Type. Raises BadForm."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise BadForm(f"the body has to be multipart/form-data, not {kind[:100] or 'without a Content-Type'}")
    boundary = _parameters(content_type).get("boundary", "")
    if not 0 < len(boundary) <= MOST_OF_A_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise BadForm("the Content-Type has no boundary: let the client library write that header itself")
    return boundary.encode()


class FormDecoder:
    """One form. After BadForm it is of no use."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # the first boundary has no line before it
        self._step = self._before
        self._parts = 0
        self.is_complete = False
        """The last boundary has come; what follows it is nothing."""

    def feed(self, data: bytes) -> Iterator[FormEvent]:
        """What has come with it. Raises BadForm."""
        if self.is_complete:
            return
        self._buffer += data
        while (event := self._step()) is not None:
            if event:
                yield from event

    def finish(self) -> None:
        """There is no more. Raises BadForm when that is too early."""
        if not self.is_complete:
            raise BadForm("the form ends before its last boundary")

    # -- each step gives what it has found, and None when it wants more

    def _before(self) -> tuple[FormEvent, ...] | None:
        at = self._find(self._delimiter, MOST_BEFORE, "its boundary is not where the form begins")
        return None if at is None else self._meet(at)

    def _find(self, what: bytes, most: int, otherwise: str) -> int | None:
        """Where that stands; None: not here yet. However it was cut: raises BadForm when ``most`` bytes precede it."""
        at = self._buffer.find(what)
        if at > most or (at < 0 and len(self._buffer) >= most + len(what)):
            raise BadForm(otherwise)
        return at if at >= 0 else None

    def _meet(self, at: int) -> tuple[FormEvent, ...]:
        """The boundary that stands there."""
        del self._buffer[: at + len(self._delimiter)]
        self._step = self._behind
        return ()

    def _behind(self) -> tuple[FormEvent, ...] | None:
        """The rest of a boundary's line: another part, or the end."""
        if self._buffer.startswith(b"--"):
            self._buffer.clear()
            self.is_complete = True
            return None
        if self._buffer == b"-":  # the half of it
            return None
        at = self._find(b"\r\n", MOST_BEFORE, "a boundary's line goes on and on")
        if at is None:
            return None
        if self._buffer[:at].strip(b" \t"):
            raise BadForm("what looks like a boundary is none")
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadForm(f"it has more than {MOST_PARTS} parts")
        del self._buffer[:at]  # its line's end stays: a head without a line is one, too
        self._step = self._head
        return ()

    def _head(self) -> tuple[FormEvent, ...] | None:
        too_long = f"the head of a part has more than {MOST_OF_A_HEAD} bytes"
        at = self._find(b"\r\n\r\n", MOST_OF_A_HEAD, too_long)
        if at is None:
            return None
        began = _part(bytes(self._buffer[:at]))
        del self._buffer[: at + 4]
        self._step = self._data
        return (began,)

    def _data(self) -> tuple[FormEvent, ...] | None:
        at = self._buffer.find(self._delimiter)
        end = at if at >= 0 else max(0, len(self._buffer) - len(self._delimiter) + 1)
        data = bytes(self._buffer[:end])
        if at >= 0:
            self._meet(at)
            return (PartData(data), PartEnded()) if data else (PartEnded(),)
        del self._buffer[:end]
        return (PartData(data),) if data else None


def _part(head: bytes) -> PartBegan:
    """The part with this head. Raises BadForm."""
    fields: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    if fields.get("content-transfer-encoding", "").lower() not in _BYTES_AS_THEY_ARE:
        raise BadForm("a part is encoded (Content-Transfer-Encoding): send its bytes as they are")
    parameters = _parameters(fields.get("content-disposition", ""))
    if "name" not in parameters:
        raise BadForm("a part has no name")
    return PartBegan(parameters["name"], is_file="filename" in parameters or "filename*" in parameters)


def _parameters(value: str) -> dict[str, str]:
    """The parameters behind a header's first word; of two of a name the first."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        found.setdefault(name.lower(), _ESCAPE.sub(r"\1", quoted) or plain)
    return found
