"""Signed images and the file of rollouts: what is none changes nothing, what is taken for one is as it was signed."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

from firmware_bridge.images.image_file import BadImage, Manifest, checked, read_manifest, signed_image
from firmware_bridge.images.signing import is_signed, new_key
from firmware_bridge.link.frames import FrameError, decode
from gateway.firmware.deployment import Deployment
from gateway.firmware.records import FirmwareError, FirmwareUnreadable
from gateway.firmware.room import FirmwareRoom

_ROOM = FirmwareRoom(Path(tempfile.mkdtemp(prefix="earshot-fuzz-firmware-")))
_IMAGE = _ROOM.add(signed_image(b"firmware", kind="s3", version="1.0", number=1, private=new_key()))
_ROLLOUTS = _ROOM.folder / "rollouts.json"


def fuzz(data: bytes) -> None:
    if data.startswith(b"["):
        _rollouts(data)
        return
    try:
        manifest, start = read_manifest(data)
    except BadImage:
        return
    _is_sayable(manifest)
    with suppress(BadImage):
        assert checked(data) == manifest
        assert hashlib.sha256(data[start:]).hexdigest() == manifest.sha256
        assert is_signed(bytes.fromhex(manifest.key), manifest.signed, manifest.offer.signature)
    assert read_manifest(manifest.head()) == (manifest, len(manifest.head()))


def _is_sayable(manifest: Manifest) -> None:
    """A device can be told of it, and the frame says the same."""
    try:
        assert decode(manifest.offer.to_bytes()) == manifest.offer
    except FrameError as error:
        raise AssertionError(manifest) from error


def _rollouts(data: bytes) -> None:
    _ROLLOUTS.write_bytes(data)
    _ROLLOUTS.chmod(0o600)
    try:
        there = _ROOM.rollouts()
    except FirmwareUnreadable:
        with suppress(FirmwareError):
            _ROOM.offer("1.0", everybody=True)
        assert _ROLLOUTS.read_bytes() == data
        return
    Deployment(lambda _device: "Kitchen").take(_ROOM.images(), there, 1.0)
    with suppress(FirmwareError):  # more devices than a rollout may name
        (offered,) = _ROOM.offer("1.0", device="kitchen")
        assert offered.includes("kitchen", "")
        assert [one.sha256 for one in _ROOM.rollouts()] == [_IMAGE.sha256]
