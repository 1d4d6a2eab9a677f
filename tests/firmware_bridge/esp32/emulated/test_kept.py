"""What the emulated board keeps in its flash is there whole, whenever its power fails."""

from __future__ import annotations

import ctypes
from pathlib import Path

from tests.firmware_bridge.esp32.emulated.image import EMULATED, FLASH_SECTOR
from tests.firmware_bridge.esp32.made import library

PLENTY = 1 << 30
FAKE = Path(__file__).with_name("failing_flash.c")


class Kept:
    """A flash and what is kept in it."""

    def __init__(self) -> None:
        self._library = library(
            EMULATED / "kept.c", "earshot_framing.c", FAKE, options=("-O1", f"-I{EMULATED}")
        )
        self._power = ctypes.c_uint32.in_dll(self._library, "power")
        memory = (ctypes.c_uint8 * (4 * FLASH_SECTOR)).in_dll(self._library, "memory")
        ctypes.memset(memory, 0xFF, len(memory))

    def write(self, value: bytes, power: int = PLENTY) -> bool:
        self._power.value = power
        return bool(self._library.kept_write(0, value, ctypes.c_size_t(len(value))) & 1)

    def read(self, size: int = 8) -> bytes | None:
        value = ctypes.create_string_buffer(size)
        there = self._library.kept_read(0, value, ctypes.c_size_t(size)) & 1
        return value.raw if there else None


def test_what_was_never_written_is_not_there_and_what_was_written_last_is() -> None:
    kept = Kept()
    assert kept.read() is None
    for value in (b"the 1st!", b"the 2nd!", b"the 3rd!"):
        assert kept.write(value)
        assert kept.read() == value
    assert kept.read(size=4) is None, "another layout than it was written with"


def test_whenever_the_power_fails_it_is_what_it_was_or_what_it_is_to_be() -> None:
    kept = Kept()
    kept.write(b"before 0")
    before, came_true = b"before 0", 0
    for power in range(120):
        after = b"%08d" % power
        done = kept.write(after, power)
        assert kept.read() in ({after} if done else {before, after})
        before = kept.read() or b""
        came_true += before == after
    assert 0 < came_true < 120
