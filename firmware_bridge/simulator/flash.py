"""The flash of a simulated device: two places for firmware, a bootloader that goes back, images that are a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from firmware_bridge.images.taker import TakerMemory
from firmware_bridge.link.frames import UpdateReason

MAGIC: Final = b"simulated firmware "
MOST_BYTES: Final = 4 * 1024 * 1024


def simulated_image(version: str, size: int = 0) -> bytes:
    """Firmware that a simulated device can run: it says ``version`` in HELLO. Filled up to ``size`` bytes."""
    return (MAGIC + version.encode("ascii") + b"\n").ljust(size, b"\0")


class SimulatedFlash:
    """An ImagePort in memory. What is no simulated firmware crashes when it is started."""

    def __init__(
        self, key: bytes, version: str = "simulator", on_restart: Callable[[], None] | None = None
    ) -> None:
        """``key``: the public key (x and y) that is built in. ``on_restart``: told when the device is to restart."""
        self.on_restart = on_restart
        self._key = key
        self._slots = [bytearray(simulated_image(version)), bytearray()]
        self._slot = 0
        self._next: int | None = None
        self._on_trial = False
        self._memory = TakerMemory()

    @property
    def firmware(self) -> str:
        """What the running image calls itself; empty: it is none that runs."""
        head, _, _ = bytes(self._slots[self._slot][:128]).partition(b"\n")
        return head.removeprefix(MAGIC).decode("ascii", "replace") if head.startswith(MAGIC) else ""

    def boot(self) -> None:
        """What the bootloader does: a new image gets one start, and has to be confirmed in it."""
        if self._on_trial:
            self._slot, self._on_trial = 1 - self._slot, False
        elif self._next is not None:
            self._slot, self._on_trial = self._next, True
        self._next = None
        if not self.firmware:  # it crashes
            self._slot, self._on_trial = 1 - self._slot, False

    # -- ImagePort

    def running(self) -> int:
        """The slot."""
        return self._slot

    def room(self) -> int:
        """As on a large board."""
        return MOST_BYTES

    def verify(self, message: bytes, signature: bytes) -> bool:
        """By the key that is built in."""
        from firmware_bridge.images.signing import is_signed  # noqa: PLC0415 - an extra

        return is_signed(self._key, message, signature)

    def begin(self, size: int) -> bool:  # noqa: ARG002 - the port's
        """Erase the other slot."""
        self._slots[1 - self._slot] = bytearray()
        return True

    def write(self, offset: int, data: bytes) -> bool:
        """Behind what is there."""
        self._slots[1 - self._slot][offset:] = data
        return True

    def read(self, offset: int, size: int) -> bytes:
        """What was written."""
        return bytes(self._slots[1 - self._slot][offset : offset + size])

    def finish(self) -> UpdateReason:
        """The other slot is next."""
        self._next = 1 - self._slot
        return UpdateReason.NONE

    def start(self) -> None:
        """Restart."""
        if self.on_restart is not None:
            self.on_restart()

    def confirm(self) -> None:
        """What runs stays."""
        self._on_trial = False

    def roll_back(self) -> None:
        """Restart; the bootloader goes back."""
        self.start()

    def load(self) -> TakerMemory:
        """What was saved."""
        return self._memory

    def save(self, memory: TakerMemory) -> bool:
        """In memory."""
        self._memory = memory
        return True

    def may_take(self) -> bool:
        """Always."""
        return True
