"""All that there is to tell of firmware: images, to whom they are offered, and how far devices have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, convert

from firmware_bridge.images.image_file import Manifest
from gateway.firmware.records import Stage

if TYPE_CHECKING:
    from gateway.firmware.room import FirmwareRoom


class OfferedImage(Struct, frozen=True, kw_only=True):
    """An image and its circle, in words. ``paused``: why it is offered to nobody now; empty: it is."""

    version: str
    kind: str
    number: int
    sha256: str
    circle: str
    paused: str
    offered_at: float
    devices: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    everybody: bool = False


class DeviceUpdate(Struct, frozen=True, kw_only=True):
    """How far a device has come with the image that it was offered last. ``at``: since when (Unix time)."""

    device_id: str
    version: str
    sha256: str
    number: int
    stage: Stage
    percent: int
    reason: str
    words: str
    at: float


class FirmwareTold(Struct, frozen=True, kw_only=True):
    """As it stands."""

    images: tuple[Manifest, ...]
    rollouts: tuple[OfferedImage, ...]
    devices: tuple[DeviceUpdate, ...]


def told_of(room: FirmwareRoom) -> FirmwareTold:
    """What lies in the room. Raises FirmwareError."""
    return FirmwareTold(
        images=tuple(room.images()),
        rollouts=tuple(convert(one, OfferedImage, from_attributes=True) for one in room.rollouts()),
        devices=tuple(convert(one, DeviceUpdate, from_attributes=True) for one in room.progress()),
    )
