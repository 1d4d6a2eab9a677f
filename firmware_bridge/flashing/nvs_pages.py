"""What stands in an NVS partition, read as the firmware's own library reads it. No I/O.

Pages of 4096 bytes: a header, two bits for each of 126 entries, the entries of 32 bytes. An entry has a namespace's
number, a type, how many entries it spans, and a key; text and blobs follow in the next ones. A blob is in chunks, with
an index.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

PAGE: Final = 4096
_ENTRY: Final = 32
_ENTRIES: Final = 126
_BITS_AT, _ENTRIES_AT = 32, 64
_WRITTEN: Final = 0b10
_LIVE_PAGES: Final = {0xFFFFFFFE: "active", 0xFFFFFFFC: "full", 0xFFFFFFF8: "freeing"}
_HEAD: Final = struct.Struct("<BBBBI16s8s")
_STRING, _BLOB, _BLOB_DATA, _BLOB_INDEX = 0x21, 0x41, 0x42, 0x48
_NUMBERS: Final = {
    0x01: "u8", 0x11: "i8", 0x02: "u16", 0x12: "i16", 0x04: "u32", 0x14: "i32", 0x08: "u64", 0x18: "i64",
}  # fmt: skip

NvsValue: TypeAlias = str | bytes | int


@dataclass(frozen=True, slots=True)
class NvsEntry:
    """``encoding``: string, blob, or a number's: u8 to i64."""

    namespace: str
    key: str
    encoding: str
    value: NvsValue


@dataclass(frozen=True, slots=True)
class _Raw:
    """An entry as it stands in a page; ``data``: its eight bytes; ``body``: those of the entries it spans."""

    namespace: int
    type: int
    chunk: int
    key: str
    data: bytes
    body: bytes


def read_entries(image: bytes) -> tuple[NvsEntry, ...]:
    """All that is readable; of what stands twice the later one. Nothing of what is erased, damaged or encrypted."""
    raw = [one for page in _pages(image) for one in _raw_entries(page)]
    names = {one.data[0]: one.key for one in raw if one.namespace == 0}
    found: dict[tuple[str, str], NvsEntry] = {}
    for one in raw:
        namespace = names.get(one.namespace)
        told = _told(one, raw) if namespace else None
        if namespace and told:
            found[namespace, one.key] = NvsEntry(namespace, one.key, *told)
    return tuple(found.values())


def _pages(image: bytes) -> list[bytes]:
    """Those in use, the oldest first."""
    pages: list[tuple[int, bytes]] = []
    for at in range(0, len(image) - PAGE + 1, PAGE):
        page = image[at : at + PAGE]
        state, number, crc = *struct.unpack_from("<II", page), *struct.unpack_from("<I", page, 28)
        if state in _LIVE_PAGES and crc == zlib.crc32(page[4:28], 0xFFFFFFFF):
            pages.append((number, page))
    return [page for _, page in sorted(pages)]


def _raw_entries(page: bytes) -> Iterator[_Raw]:
    index = 0
    while index < _ENTRIES:
        entry = page[_ENTRIES_AT + index * _ENTRY :][:_ENTRY]
        namespace, kind, span, chunk, crc, key, data = _HEAD.unpack(entry)
        whole = crc == zlib.crc32(entry[:4] + entry[8:], 0xFFFFFFFF)
        if not (_written(page, index) and whole and 0 < span <= _ENTRIES - index):
            index += 1
            continue
        body = page[_ENTRIES_AT + (index + 1) * _ENTRY :][: (span - 1) * _ENTRY]
        yield _Raw(namespace, kind, chunk, key.split(b"\0")[0].decode("ascii", "replace"), data, body)
        index += span


def _written(page: bytes, index: int) -> bool:
    return page[_BITS_AT + index // 4] >> index % 4 * 2 & 3 == _WRITTEN


def _told(one: _Raw, raw: list[_Raw]) -> tuple[str, NvsValue] | None:
    """Encoding and value; None: it is part of another one, or damaged."""
    if one.type in _NUMBERS:
        encoding = _NUMBERS[one.type]
        size = int(encoding[1:]) // 8
        return encoding, int.from_bytes(one.data[:size], "little", signed=encoding[0] == "i")
    if one.type == _STRING:
        text = _stretch(one)
        return None if text is None else ("string", text.rstrip(b"\0").decode("utf-8", "replace"))
    if one.type == _BLOB:
        blob = _stretch(one)
        return None if blob is None else ("blob", blob)
    if one.type == _BLOB_INDEX:
        blob = _chunks(one, raw)
        return None if blob is None else ("blob", blob)
    return None


def _stretch(one: _Raw) -> bytes | None:
    """What an entry of variable length holds."""
    size, _, crc = struct.unpack("<HHI", one.data)
    data = one.body[:size]
    return data if len(data) == size and zlib.crc32(data, 0xFFFFFFFF) == crc else None


def _chunks(index: _Raw, raw: list[_Raw]) -> bytes | None:
    size, count, first, _ = struct.unpack("<IBBH", index.data)
    chunks = {
        one.chunk: _stretch(one)
        for one in raw
        if one.type == _BLOB_DATA and (one.namespace, one.key) == (index.namespace, index.key)
    }
    parts = [chunks.get(number) for number in range(first, first + count)]
    blob = b"".join(part for part in parts if part is not None)
    return blob if None not in parts and len(blob) == size else None
