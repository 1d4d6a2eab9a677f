"""The doctor's look at what is plugged in: serial ports and microphones."""

from __future__ import annotations

import asyncio
import getpass
import grp
import os
from collections.abc import Iterator
from pathlib import Path

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from firmware_bridge.microphones.names import inputs, outputs
from firmware_bridge.microphones.records import GaveUp
from firmware_bridge.microphones.sound_process import look
from firmware_bridge.settings import DeviceSettings, SerialSettings
from gateway.commands.doctor.finding import Finding, fail, ok, warn

BY_ID = Path("/dev/serial/by-id")

ESP32_USB = {
    (0x303A, None): "ESP32 with native USB",
    (0x10C4, 0xEA60): "CP210x, on many ESP32 boards",
    (0x1A86, 0x7523): "CH340, on many ESP32 boards",
    (0x1A86, 0x55D4): "CH9102, on many ESP32 boards",
    (0x0403, 0x6001): "FT232, on some ESP32 boards",
    (0x0403, 0x6010): "FT2232, on ESP-WROVER-KIT",
}
"""The USB ids of what ESP32 boards have; None stands for any product of the vendor."""


def serial_ports(settings: SerialSettings) -> Iterator[Finding]:
    """Each port with a device on it, whether it can be opened, and whether the configuration watches it."""
    if not settings.ports:
        yield ok("serial", "switched off")
        return
    ports = [port for port in list_ports.comports() if port.vid is not None]
    for port in ports:
        yield _access(port.device, _described(port))
    plain = sorted({str(path) for pattern in settings.ports for path in _matches(pattern)})
    known = {os.path.realpath(port.device) for port in ports}
    for path in plain:
        if os.path.realpath(path) not in known:
            yield _access(path, path)
    watched = {os.path.realpath(path) for path in plain}
    for port in ports:
        if os.path.realpath(port.device) not in watched:
            remedy = f"add {_stable_name(port.device) or port.device} to devices.serial.ports"
            yield warn("serial", f"{port.device} is not among devices.serial.ports", remedy)
    if not ports and not plain:
        yield ok("serial", f"nothing is plugged in that matches {', '.join(settings.ports)}")


def sound(settings: DeviceSettings) -> Iterator[Finding]:
    """The microphones and the loudspeaker that are configured, or what there is, if the optional package is there."""
    found = asyncio.run(look())
    is_wanted = bool(settings.microphones or settings.loudspeaker)
    if isinstance(found, GaveUp):
        if is_wanted:
            yield fail("microphone", found.reason, found.remedy)
        else:
            yield ok("microphone", f"{found.reason}; only microphones of this machine need it", found.remedy)
        return
    for device_id, microphone in settings.microphones.items():
        meant = inputs(microphone.name, found)
        yield _sound_device("microphone", f"{device_id}: {microphone.name}", meant)
    if settings.loudspeaker:
        yield _sound_device("loudspeaker", settings.loudspeaker, outputs(settings.loudspeaker, found))
    if not is_wanted:
        yield ok("microphone", ", ".join(one.name for one in found if one.inputs > 0) or "none is plugged in")


def _sound_device(what: str, wanted: str, meant: list[str]) -> Finding:
    if meant:
        return ok(what, f"{wanted} is {meant[0]}" + (f", or {', '.join(meant[1:])}" if meant[1:] else ""))
    return warn(
        what,
        f"{wanted} cannot be opened now",
        "plug it in; if a running gateway listens to it, all is well (earshot devices list)",
    )


def _described(port: ListPortInfo) -> str:
    product = ESP32_USB.get((port.vid, port.pid)) or ESP32_USB.get((port.vid, None)) or port.description
    name = _stable_name(port.device) or port.device
    return f"{name} ({port.vid:04x}:{port.pid or 0:04x} {product})"


def _access(device: str, described: str) -> Finding:
    if os.access(device, os.R_OK | os.W_OK):
        return ok("serial", described)
    user = getpass.getuser()
    owner = grp.getgrgid(Path(device).stat().st_gid)
    if user in owner.gr_mem:
        return fail(
            "serial", f"{described}: no access yet", f"log out and in again: {user} is new in {owner.gr_name}"
        )
    return fail(
        "serial", f"{described}: no access", f"sudo usermod -aG {owner.gr_name} {user}, then log in again"
    )


def _matches(pattern: str) -> Iterator[Path]:
    yield from Path("/").glob(pattern.lstrip("/"))


def _stable_name(device: str) -> str | None:
    links = sorted(BY_ID.iterdir()) if BY_ID.is_dir() else []
    return next((str(link) for link in links if link.resolve() == Path(device).resolve()), None)
