"""The register of devices as a file: what is none changes nothing; what is one says of each who may come in."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from firmware_bridge.link.frames import is_device_id
from firmware_bridge.settings import DeviceSettings, KnownDevice
from gateway.registry.file import RegistryFile
from gateway.registry.in_effect import in_effect
from gateway.registry.records import KEY_BYTES, RegistryError, RegistryUnreadable

_FILE = RegistryFile(Path(tempfile.mkdtemp(prefix="earshot-fuzz-registry-")))
_BY_HAND = DeviceSettings(known={"kitchen": KnownDevice(room="Kitchen")}, users={"kitchen": "ann"})


def fuzz(data: bytes) -> None:
    _FILE.path.write_bytes(data)
    _FILE.path.chmod(0o600)
    try:
        there = _FILE.read()
    except RegistryUnreadable:
        with suppress(RegistryError):
            _FILE.approve("kitchen")
        assert _FILE.path.read_bytes() == data
        return
    for device_id, device in there.items():
        assert is_device_id(device_id)
        assert not device_id.startswith("web-")
        assert len(bytes.fromhex(device.key)) in (0, KEY_BYTES)
    settings = in_effect(_BY_HAND, there)
    assert (settings.rooms["kitchen"], settings.users["kitchen"]) == ("Kitchen", "ann")
    assert settings.known.keys() == {"kitchen", *there}
    _FILE.revoke("kitchen")
    after = _FILE.read()
    assert not after["kitchen"].is_welcome
    assert {name: one for name, one in after.items() if name != "kitchen"} == {
        name: one for name, one in there.items() if name != "kitchen"
    }
