"""The partition table of a board's flash, read. No I/O."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware_bridge.flashing.trouble import FlashTrouble

TABLE_OFFSET: Final = 0x8000
"""Where it lies unless somebody moved it."""
TABLE_SIZE: Final = 0xC00
NVS_LABEL: Final = "nvs"
"""What `nvs_flash_init` takes."""

_ENTRY: Final = struct.Struct("<2sBBII16sI")
_MAGIC: Final = b"\xaaP"
_DIGEST_MAGIC: Final = b"\xeb\xeb"
_END: Final = b"\xff" * _ENTRY.size
_DATA, _NVS, _OTA = 1, 2, 0
_LEAST_NVS: Final = 0x3000


@dataclass(frozen=True, slots=True)
class Partition:
    """A stretch of flash: bytes from ``offset`` to before ``end``."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset + self.size

    @property
    def chooses_app(self) -> bool:
        """Whether it says which of several firmwares is started (otadata)."""
        return (self.type, self.subtype) == (_DATA, _OTA)

    @property
    def is_app(self) -> bool:
        """Whether firmware starts from it."""
        return self.type == 0


def read_partitions(table: bytes) -> tuple[Partition, ...]:
    """Its entries, in order. Raises FlashTrouble."""
    found: list[Partition] = []
    for at in range(0, min(len(table), TABLE_SIZE) - _ENTRY.size + 1, _ENTRY.size):
        line = table[at : at + _ENTRY.size]
        if line == _END:
            break
        if line[:2] == _DIGEST_MAGIC:
            if line[16:] != hashlib.md5(table[:at], usedforsecurity=False).digest():
                raise _no_table("its checksum does not match")
            continue
        magic, kind, subtype, offset, size, label, _ = _ENTRY.unpack(line)
        if magic != _MAGIC:
            raise _no_table(f"entry {len(found)} is none")
        found.append(Partition(label.rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size))
    if not found:
        raise _no_table("it is empty")
    return tuple(found)


def nvs_of(partitions: Iterable[Partition]) -> Partition:
    """Where settings stand: what `nvs_flash_init` takes. Raises FlashTrouble."""
    every = [one for one in partitions if (one.type, one.subtype) == (_DATA, _NVS)]
    chosen = next((one for one in every if one.label == NVS_LABEL), None)
    if chosen is None:
        raise FlashTrouble(
            "the partition table has no NVS partition called nvs",
            "add a line `nvs, data, nvs, , 0x6000` to the firmware's partitions.csv, and build it again",
        )
    if chosen.size < _LEAST_NVS or chosen.size % 0x1000:
        raise FlashTrouble(
            f"the NVS partition has {chosen.size:#x} bytes: NVS takes whole pages of 0x1000, and three of them",
            "give it 0x6000 in the firmware's partitions.csv, and build it again",
        )
    return chosen


def _no_table(why: str) -> FlashTrouble:
    return FlashTrouble(
        f"there is no partition table at {TABLE_OFFSET:#x}: {why}",
        "flash a firmware, not only settings; one whose table lies elsewhere (CONFIG_PARTITION_TABLE_OFFSET) from its "
        "build folder",
    )
