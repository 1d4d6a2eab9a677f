"""What is written down about one device while the gateway runs: whether it may come in, its key, and what it is called.

::

    RegistryError          it cannot be done; the message says why
      RegistryUnreadable   the file cannot be read or is not what it should be
      RegistryUnwritable   what should be in it is not; what was there before still holds
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from firmware_bridge.settings import DeviceId, KnownDevice
from gateway.access.principals import WEB_DEVICE

KEY_BYTES = 32


class RegistryError(Exception):
    """It cannot be done; the message says why."""


class RegistryUnreadable(RegistryError):
    """The file cannot be read, or is not what it should be."""


class RegistryUnwritable(RegistryError):
    """The file cannot be written."""


class Standing(StrEnum):
    """Whether a device may come in."""

    APPROVED = "approved"
    DENIED = "denied"
    REVOKED = "revoked"
    """It could once; its key is gone with that."""


class RegisteredDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device. ``key``: 64 hexadecimal digits, or empty where it has none. ``changed_at``: Unix time."""

    device_id: DeviceId
    standing: Standing
    changed_at: float
    key: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    facts: KnownDevice = KnownDevice()

    def __post_init__(self) -> None:
        """Raises ValueError: pages and programs are no devices of the house."""
        if self.device_id.startswith(WEB_DEVICE):
            raise ValueError(f"ids that begin with {WEB_DEVICE} are of pages and programs, which have tokens")

    @property
    def is_welcome(self) -> bool:
        """Whether it may come in, with its key if it has one."""
        return self.standing is Standing.APPROVED
