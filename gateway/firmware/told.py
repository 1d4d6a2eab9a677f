"""All that there is to tell of firmware: images, to whom they are offered, and how far devices have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from firmware_bridge.images.image_file import Manifest
from gateway.firmware.records import Rollout, Stage, UpdateProgress

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
        rollouts=tuple(map(_offered, room.rollouts())),
        devices=tuple(map(_update, room.progress())),
    )


def _offered(one: Rollout) -> OfferedImage:
    return OfferedImage(
        version=one.version,
        kind=one.kind,
        number=one.number,
        sha256=one.sha256,
        circle=one.circle,
        paused=one.paused,
        offered_at=one.offered_at,
        devices=one.devices,
        rooms=one.rooms,
        everybody=one.everybody,
    )


def _update(one: UpdateProgress) -> DeviceUpdate:
    return DeviceUpdate(
        device_id=one.device_id,
        version=one.version,
        sha256=one.sha256,
        number=one.number,
        stage=one.stage,
        percent=one.percent,
        reason=one.reason,
        words=one.words,
        at=one.at,
    )
