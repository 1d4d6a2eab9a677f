"""The doctor's look at what is plugged in: serial ports and microphones."""

from __future__ import annotations

import getpass
import grp
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from firmware_bridge.settings import SerialSettings
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


def sound() -> Iterator[Finding]:
    """The microphones, if the optional package is there."""
    try:
        sounddevice = importlib.import_module("sounddevice")
    except ModuleNotFoundError:
        yield ok("microphone", "sounddevice is not installed; only a microphone of this machine needs it")
        return
    except OSError as error:  # the package is there, the system's library is not
        yield warn("microphone", str(error), "sudo apt install libportaudio2")
        return
    names = [device["name"] for device in sounddevice.query_devices() if device["max_input_channels"] > 0]
    yield ok("microphone", ", ".join(names) or "none is plugged in")


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
