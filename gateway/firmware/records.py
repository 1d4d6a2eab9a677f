"""What is known of firmware in the house: whom an image is offered to, and how far devices have come. Plain values.

::

    FirmwareError
      NoSuchImage         there is none of that version (and kind)
      FirmwareUnreadable  a file cannot be read, or is not what it should be
      FirmwareUnwritable  what should be in it is not
"""

from __future__ import annotations

import enum
from typing import Final

from msgspec import Struct

from firmware_bridge.images.image_file import Manifest


class FirmwareError(Exception):
    """It cannot be done; the message says why."""


class NoSuchImage(FirmwareError):
    """There is none of that name."""


class FirmwareUnreadable(FirmwareError):
    """A file cannot be read, or is not what it should be."""


class FirmwareUnwritable(FirmwareError):
    """A file cannot be written."""


class Stage(enum.StrEnum):
    """How far one device has come with one image."""

    OFFERED = "offered"
    FETCHING = "fetching"
    STARTING = "starting"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    MISSING = "missing"


UNDER_WAY: Final = frozenset({Stage.OFFERED, Stage.FETCHING, Stage.STARTING})
BROKEN: Final = frozenset({Stage.ROLLED_BACK, Stage.MISSING})
"""What stops a rollout."""


STOPPED: Final = "stopped by itself"


class Rollout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image and those it is offered to: devices, rooms, or everybody of its kind.

    ``number``, ``sha256``: the image's. ``offered_at``: when its circle was widened last (Unix time): of two that a
    device could have, the later is its. ``again``: devices that were named since, and when: what they did with it
    before counts no more. ``paused``: why it is not offered now; empty: it is. ``counted_from``: since when devices
    that break count.
    """

    sha256: str
    number: int
    kind: str
    version: str
    offered_at: float
    counted_from: float
    devices: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    everybody: bool = False
    again: dict[str, float] = {}
    paused: str = ""

    def is_of(self, manifest: Manifest) -> bool:
        """Whether it is this image's."""
        return (self.sha256, self.number) == (manifest.sha256, manifest.number)

    def includes(self, device_id: str, room: str) -> bool:
        """Whether a device of its kind is meant."""
        return self.everybody or device_id in self.devices or bool(room and room in self.rooms)

    @property
    def stopped_itself(self) -> bool:
        """Whether devices that broke have paused it."""
        return self.paused.startswith(STOPPED)

    @property
    def circle(self) -> str:
        """To whom, in words."""
        named = [*self.devices, *(f"room {room}" for room in self.rooms)]
        return f"all of {self.kind}" if self.everybody else ", ".join(named)


class UpdateProgress(Struct, frozen=True, kw_only=True):
    """How far a device has come with an image. ``at``: since when (Unix time). ``offset``: bytes it holds."""

    device_id: str
    sha256: str
    number: int
    version: str
    stage: Stage
    at: float
    size: int
    offset: int = 0
    reason: str = ""

    @property
    def percent(self) -> int:
        """Of the image."""
        return min(100, 100 * self.offset // self.size)

    @property
    def words(self) -> str:
        """For people."""
        if self.stage is Stage.FETCHING:
            return f"fetching, {self.percent} %"
        return f"{self.stage.value}: {self.reason}" if self.reason else self.stage.value
