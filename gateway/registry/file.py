"""The devices that were approved, denied, named or given a key: one private file beside the journal.

``earshot devices`` and the API change it, each alone and whole; the running gateway looks at it again when it has
changed. Keys stand in it as they are, for the gateway has to reckon with them: whoever reads it can be any device.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import structs

from firmware_bridge.link.frames import is_device_id
from firmware_bridge.settings import KnownDevice
from gateway.access.private_files import Stamp
from gateway.access.private_records import PrivateRecords
from gateway.registry.records import (
    KEY_BYTES,
    RegisteredDevice,
    RegistryError,
    RegistryUnreadable,
    RegistryUnwritable,
    Standing,
)

FILE = "devices.json"
MAX_DEVICES = 4_000
"""More than are ever here; their longest names still fit into the file."""

_ABSENT = (FileNotFoundError, NotADirectoryError)
"""The latter: where its folder would be, a file is."""

Registered: TypeAlias = Mapping[str, RegisteredDevice]
"""By device id."""


class RegistryFile:
    """The file in ``folder``, and what may be done to it from any process. Everything raises RegistryError."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._records = PrivateRecords(
            self.path,
            RegisteredDevice,
            RegistryUnreadable,
            RegistryUnwritable,
            absent=_ABSENT,
        )

    def stamp(self) -> Stamp:
        """Another one when the file has changed."""
        return self._records.stamp()

    def read(self) -> Registered:
        """All of them; none where there is no file. Raises RegistryUnreadable."""
        return {device.device_id: device for device in self._records.read()}

    def approve(self, device_id: str, facts: Mapping[str, str] | None = None) -> RegisteredDevice:
        """It may come in; ``facts`` are those of KnownDevice that are to be changed."""
        return self._set(device_id, facts, standing=Standing.APPROVED)

    def describe(self, device_id: str, facts: Mapping[str, str]) -> RegisteredDevice:
        """What it is called, where it is and whose, and how urgent; who was nobody yet is approved with that."""
        return self._set(device_id, facts)

    def deny(self, device_id: str) -> RegisteredDevice:
        """It may not come in, whatever holds for those whom nobody knows."""
        return self._set(device_id, standing=Standing.DENIED)

    def revoke(self, device_id: str) -> RegisteredDevice:
        """It may not come in any more, and its key is good for nothing."""
        return self._set(device_id, standing=Standing.REVOKED, key="")

    def make_key(self, device_id: str, facts: Mapping[str, str] | None = None) -> RegisteredDevice:
        """It may come in with this new key, and without it no more."""
        return self._set(device_id, facts, standing=Standing.APPROVED, key=secrets.token_hex(KEY_BYTES))

    def drop_key(self, device_id: str) -> RegisteredDevice:
        """It may come in without one."""
        self._found(device_id)
        return self._set(device_id, key="")

    def remove(self, device_id: str) -> None:
        """Nobody has ever heard of it."""
        with self._records.changing():
            there = self.read()
            if device_id not in there:
                raise _unknown(device_id)
            self._write({name: device for name, device in there.items() if name != device_id})

    def _found(self, device_id: str) -> RegisteredDevice:
        device = self.read().get(device_id)
        if device is None:
            raise _unknown(device_id)
        return device

    def _set(
        self, device_id: str, facts: Mapping[str, str] | None = None, **changes: str
    ) -> RegisteredDevice:
        if not is_device_id(device_id):
            raise RegistryError(
                f"{device_id!r:.80} is no device's id: 1 to 64 of A-Z a-z 0-9 _ -, single dots in it"
            )
        with self._records.changing():
            there, now = self.read(), self._clock()
            try:
                device = there.get(device_id) or RegisteredDevice(
                    device_id=device_id, standing=Standing.APPROVED, changed_at=now
                )
            except ValueError as error:
                raise RegistryError(str(error)) from error
            known = structs.replace(device.facts, **_checked(facts or {}))
            changed = structs.replace(device, changed_at=now, facts=known, **changes)
            self._write({**there, device_id: changed})
        return changed

    def _write(self, devices: Registered) -> None:
        if len(devices) > MAX_DEVICES:
            raise RegistryError(
                f"there are {MAX_DEVICES} devices already: earshot devices unregister ID takes one away"
            )
        self._records.write(list(devices.values()))


def _checked(facts: Mapping[str, str]) -> Mapping[str, str]:
    """Raises RegistryError for what no device may be called."""
    try:
        msgspec.convert(dict(facts), KnownDevice)
    except msgspec.ValidationError as error:
        raise RegistryError(f"{error}") from error
    return facts


def _unknown(device_id: str) -> RegistryError:
    return RegistryError(f"nobody has written down a device {device_id!r:.80}; `earshot devices` shows them")
