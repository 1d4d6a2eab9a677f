"""The border between the carriers and whoever owns them: lines, and what is told about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.framing import Decoded
from firmware_bridge.shares import HOUSE

MQTT = "mqtt"
"""The carrier's name of all devices on MQTT; a serial port is named by its path."""
WEB = "web"
"""The same of all devices on a WebSocket."""
MICROPHONE = "microphone "
"""What the carrier's name of a microphone of this machine begins with; its device id is the rest."""
WEB_IDS = "web-"
"""What the ids of pages and programs begin with: the web server vouches for them, and no other carrier has any."""


class Line(NamedTuple):
    """Where a device's frames come from and go to.

    A serial port is one line; on MQTT each device has its own, named by its topics. On the web each socket is
    one, by its number: the same device may have two for a while. ``visitor``: who speaks on it, if it is no board.
    """

    carrier: str
    device_id: str = ""
    number: int = 0
    visitor: str = HOUSE


class Carrier(Protocol):
    """The way out on all lines of one carrier."""

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        """Send a frame to the device there, without waiting; False: it was not taken, and is lost like any other."""


class Wires(Protocol):
    """Whom a carrier tells what happens on it."""

    def carrier_up(self, carrier: str) -> None:
        """The carrier works now."""

    def carrier_weak(self, carrier: str, reason: str, remedy: str) -> None:
        """The carrier is up and works badly; with an empty reason it is well again."""

    def carrier_down(self, carrier: str, reason: str, remedy: str, *, passing: bool = False) -> None:
        """The carrier does not work; may be said again while it stays so. ``passing``: see LinkChanged."""

    def line_lost(self, line: Line, reason: str) -> None:
        """The device of this line alone is gone."""

    def receive(self, line: Line, arrivals: Iterable[Decoded]) -> None:
        """Frames, and what was none, in order."""
