"""The chips of the family: how esptool calls them, how their images do, and where their bootloader lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Chip:
    """``image_id``: in the header of its images. ``bootloader``: the offset of its second-stage bootloader."""

    name: str
    image_id: int
    bootloader: int

    @property
    def target(self) -> str:
        """As ESP-IDF calls it."""
        return self.name.lower().replace("-", "")


CHIPS: Final = (
    Chip("ESP32", 0, 0x1000),
    Chip("ESP32-S2", 2, 0x1000),
    Chip("ESP32-C3", 5, 0x0),
    Chip("ESP32-S3", 9, 0x0),
    Chip("ESP32-C2", 12, 0x0),
    Chip("ESP32-C6", 13, 0x0),
    Chip("ESP32-H2", 16, 0x0),
    Chip("ESP32-P4", 18, 0x2000),
    Chip("ESP32-C61", 20, 0x0),
    Chip("ESP32-C5", 23, 0x2000),
    Chip("ESP32-H21", 25, 0x0),
    Chip("ESP32-H4", 28, 0x2000),
    Chip("ESP32-E22", 31, 0x0),
    Chip("ESP32-S31", 32, 0x2000),
)
"""esptool's own table; a test compares."""

BY_IMAGE_ID: Final = {chip.image_id: chip for chip in CHIPS}
BY_NAME: Final = {chip.name: chip for chip in CHIPS}
BY_TARGET: Final = {chip.target: chip for chip in CHIPS}
