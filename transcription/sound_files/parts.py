"""One file in a stream of bytes in which several may follow one another: how it begins, and where it ends.

A part is what one demuxer is given: it begins as no other kind of file does, and ends where the next one begins.
What is none of these is a part without a name: MP3 and AAC begin anywhere, and FFmpeg finds out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final

from transcription.sound_files.lookahead import PIECE_BYTES, Lookahead

SEEN_BYTES: Final = 128
"""What has to be seen of a file to know that it begins."""
INDEX_WITHIN: Final = 1024 * 1024
"""An M4A whose index does not come within so many bytes has it at its end."""

BEGINNING: Final = re.compile(
    rb"(?P<wav>(?:RIFF|RIFX|RF64|BW64).{4}WAVE)"
    rb"|(?P<flac>fLaC[\x00\x80]\x00\x00\x22)"
    rb"|(?P<ogg>OggS\x00[\x02\x06])"
    rb"|(?P<matroska>\x1a\x45\xdf\xa3.{0,60}?\x42\x82.{1,8}?(?:webm|matroska))"
    rb"|(?P<mov>\x00\x00[\x00-\x03].ftyp[ -~]{3})"
    rb"|(?P<amr>\#!AMR(?:-WB)?\n)"
    rb"|(?P<tag>ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}[A-Z][A-Z0-9]{2})",
    re.DOTALL,
)
"""The groups are FFmpeg's names; ``tag`` is ID3, which is no sound."""
_MARKS: Final = (b"RIF", b"RF64", b"BW64", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"ftyp", b"#!AMR", b"ID3")
"""One of these is in each beginning; they are found ten times as fast."""
_OGG_PAGE: Final = re.compile(rb"OggS\x00[\x00-\x07]")
_FIRST_PAGE: Final = 0x02
_LAST_PAGE: Final = 0x04
_PAGE_HEAD: Final = 27
_CLUSTER: Final = b"\x1f\x43\xb6\x75"
"""With which the sound of a Matroska file begins."""
_BOX: Final = re.compile(rb".{4}[ -~]{4}", re.DOTALL)


def beginnings(held: bytes, at: int = 0) -> Iterator[re.Match[bytes]]:
    """Where files begin in it, from there on."""
    if any(mark in held for mark in _MARKS):
        yield from BEGINNING.finditer(held, at)


class Part:
    """One file, up to the beginning of the next one. ``name``: FFmpeg's of its format; empty: to be found out."""

    needs_seeking = False

    def __init__(self, ahead: Lookahead, name: str) -> None:
        self.name = name
        self._ahead = ahead
        self._from = ahead.taken

    def read(self, size: int) -> bytes:
        """At most so many bytes, as soon as there are some; none: it is over."""
        held = self._ahead.hold(SEEN_BYTES + 1)
        end = self._end(held)
        if end is None:  # what is not seen yet may be the rest of a beginning
            end = len(held) if len(held) <= SEEN_BYTES else len(held) - SEEN_BYTES
        return self._ahead.take(min(size, end))

    def skip_rest(self) -> None:
        """Go on to where the next one begins."""
        while self.read(PIECE_BYTES):
            pass

    @property
    def size(self) -> int:
        """Bytes, as far as it was read."""
        return self._ahead.taken - self._from

    def _end(self, held: bytes) -> int | None:
        """Where in what comes next the next one begins, if it does."""
        return next((one.start() for one in beginnings(held, 0 if self.size else 1)), None)


class MatroskaPart(Part):
    """Other files may begin in what stands before its sound: in its codec's head, or attached to it."""

    def __init__(self, ahead: Lookahead, name: str) -> None:
        super().__init__(ahead, name)
        self._sound_at: int | None = None

    def _end(self, held: bytes) -> int | None:
        if self._sound_at is None and (at := held.find(_CLUSTER)) >= 0:
            self._sound_at = self._ahead.taken + at
        for one in beginnings(held, 0 if self.size else 1):
            is_behind = self._sound_at is not None and self._ahead.taken + one.start() > self._sound_at
            if is_behind or one.lastgroup == self.name:
                return one.start()
        return None


class OggPart(Part):
    """Streams that sound together begin together; one that begins after sound is the next file of a chain."""

    def __init__(self, ahead: Lookahead, name: str) -> None:
        super().__init__(ahead, name)
        self._sound_at: int | None = None
        self._ends_at: int | None = None

    def _end(self, held: bytes) -> int | None:
        taken = self._ahead.taken
        for page in _OGG_PAGE.finditer(held):
            flags = held[page.end() - 1]
            if self._sound_at is None and not flags & _FIRST_PAGE:
                self._sound_at = taken + page.start()
            if flags & _LAST_PAGE and self._ends_at is None and (end := self._page_end(page.start())):
                self._ends_at = taken + end
        # An end that is not seen yet may lie behind the beginning of another file, which is not seen either.
        ends = [end - taken for end in (self._ends_at,) if end is not None and end - taken <= len(held)]
        if self._sound_at is not None:  # what FLAC begins with stands in the first page of Ogg, too
            ends += [one.start() for one in islice(beginnings(held, max(0, self._sound_at - taken)), 1)]
        return min(ends, default=None)

    def _page_end(self, at: int) -> int | None:
        """Where the page ends that begins there, if another one does not follow it."""
        held = self._ahead.hold(at + _PAGE_HEAD + 255)[at:]
        sizes = held[_PAGE_HEAD : _PAGE_HEAD + held[_PAGE_HEAD - 1]] if len(held) >= _PAGE_HEAD else b""
        end = at + _PAGE_HEAD + len(sizes) + sum(sizes)
        follows = self._ahead.hold(end + 4)[end : end + 4]
        return end if len(follows) == 4 and follows != b"OggS" else None


class Mp4Part(Part):
    """M4A: boxes, one after another. It ends before the next ``ftyp`` after its sound."""

    def __init__(self, ahead: Lookahead, name: str) -> None:
        super().__init__(ahead, name)
        self._left: float = 0
        self._has_sound = False
        self.needs_seeking = self._index_is_last()

    def read(self, size: int) -> bytes:
        """As its base's."""
        if not self._left and not self._next_box():
            return b""
        self._ahead.seen(1)
        piece = self._ahead.take(int(min(size, self._left)))
        self._left -= len(piece)
        return piece

    def _next_box(self) -> bool:
        held = self._ahead.seen(SEEN_BYTES)
        begins = BEGINNING.match(held)
        is_next = begins and (self._has_sound or begins.lastgroup != self.name)
        if not held or is_next or (self._has_sound and not _BOX.match(held)):
            return False
        kind, self._left = _box(held)
        self._has_sound |= kind == b"mdat"
        return True

    def _index_is_last(self) -> bool:
        at = 0.0
        while at < INDEX_WITHIN and len(held := self._ahead.seen(16, int(at))) == 16:
            kind, size = _box(held)
            if kind in (b"moov", b"mdat"):
                return kind == b"mdat"
            at += size
        return True


def _box(held: bytes) -> tuple[bytes, float]:
    """What kind of box comes next, and its size; to the end where it says so, or is none."""
    if len(held) < 8:
        return b"", float("inf")
    size, kind = struct.unpack_from(">I4s", held)
    if size == 1 and len(held) >= 16:
        size = struct.unpack_from(">Q", held, 8)[0]
    return kind, size if size >= 8 else float("inf")
