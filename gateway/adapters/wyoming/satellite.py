"""A Wyoming satellite as a device of this house: dialled, listened to, lost, and dialled again.

Its device's end is in this process, as a microphone's is; so it is in the register, in its room, in the history, and
its losses are told, as with every other device. One that is away is a state, told once with its remedy.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

import structlog

from firmware_bridge.carriers.inner_device import InnerDevice
from firmware_bridge.link.device_end import FromGateway
from firmware_bridge.link.events import SAMPLE_RATE, NoticeKind
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.wires import Line, Wires
from firmware_bridge.pacing import Backoff
from firmware_bridge.servers import in_words
from gateway.adapters.wyoming.satellite_visit import Gone, NoSatellite, SatelliteVisit
from gateway.adapters.wyoming.way_back import WayBack

log = structlog.get_logger(__name__)

CARRIER = "satellite "
"""What the carrier's name of a satellite begins with; its device id is the rest."""
CONNECT_SECONDS = 5.0
FIRST_SECONDS, MOST_SECONDS = 0.5, 30.0
"""Until it is dialled again; doubles from the first to the most."""
PROVEN_SECONDS = 10.0
"""Who was there for so long is dialled with the short waits again."""
CLOSE_SECONDS = 1.0
TOLD_SECONDS = 5.0
"""How often it is told that sound of it was lost."""
AWAY = "switch it on, or correct its address in adapters.wyoming.satellites; it is dialled again by itself"
TAKEN = (
    "take it out of Home Assistant, if that has it: it talks to one at a time; it is dialled again by itself"
)
WRONG = "name the address of a Wyoming satellite in adapters.wyoming.satellites (its port is usually 10700)"
MOST_FIRMWARE = 60


def carrier_of(device_id: str) -> str:
    """The carrier's name: each satellite is a line of its own."""
    return f"{CARRIER}{device_id}"


class Satellite:
    """One of the settings."""

    def __init__(self, device_id: str, address: str, wires: Wires) -> None:
        """``address``: tcp://host:port or unix:///path."""
        self.device_id = device_id
        self._address = address
        self._device = InnerDevice(Line(carrier_of(device_id), device_id), wires, on_told=self._told)
        self._visit: SatelliteVisit | None = None
        self._firmware = ""
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._lost_samples = 0
        self._tell_lost_at = 0.0

    async def run(self) -> None:
        """Dial it and listen to it for ever."""
        try:
            while True:
                began = time.monotonic()
                reason = await self._be_there()
                log.debug("satellite away", device_id=self.device_id, reason=reason)
                if time.monotonic() - began >= PROVEN_SECONDS:
                    self._backoff.reset()
                await asyncio.sleep(self._backoff.next())
        finally:
            self._device.close()

    async def _be_there(self) -> str:
        """One connection, to its end; why it has one."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await _dialled(self._address)
        except (OSError, TimeoutError) as error:
            reason = f"{self._address} is not there: {_why(error)}"
            self._lose(reason, AWAY)
            return reason
        line = WayBack(writer, self.device_id, self.device_id)
        try:
            return await self._converse(SatelliteVisit(reader, line, self))
        finally:
            with suppress(OSError):
                await line.close(CLOSE_SECONDS)

    async def _converse(self, visit: SatelliteVisit) -> str:
        reason, remedy = "something went wrong inside the gateway", AWAY
        try:
            info = await visit.begin()
            self._visit = visit
            self._firmware = f"{info.name} {info.version or ''}".strip()[:MOST_FIRMWARE]
            await visit.run()
        except NoSatellite as error:
            reason, remedy = f"{self._address}: {error}", WRONG
        except Gone as error:
            reason, remedy = f"{self._address}: {error}", TAKEN if error.at_once else AWAY
        except asyncio.CancelledError:  # the end of the gateway is nothing of the satellite's
            self._visit = None
            raise
        except Exception:
            self._lose(reason, remedy)
            raise
        self._lose(reason, remedy)
        return reason

    def _lose(self, reason: str, remedy: str) -> None:
        self._visit = None
        self._device.unplugged(reason, remedy)

    # -- what its device hears, and is told

    def take(self, frame: DeviceFrame) -> bool:
        """A frame of the gateway's, for its device; False: it is not there."""
        if self._visit is None:
            return False
        self._device.take(frame)
        return True

    def began_to_speak(self) -> None:
        """Somebody in front of it speaks."""
        if self._visit is not None:
            self._visit.began_to_speak()

    def _told(self, told: FromGateway) -> None:
        if self._visit is not None:
            self._visit.told(told)

    def accepted(self) -> None:
        """From now on it listens to this gateway."""
        self._device.plugged(self._firmware)

    def hear(self, pcm: bytes) -> None:
        """What it hears; that for which the gateway has no time is told as lost."""
        if not self._device.hear(pcm):
            self._lost_samples += len(pcm) // 2
        now = time.monotonic()
        if self._lost_samples and now >= self._tell_lost_at:
            lost_ms, self._lost_samples = self._lost_samples * 1000 // SAMPLE_RATE, 0
            self._tell_lost_at = now + TOLD_SECONDS
            self._device.complain(f"{lost_ms} ms of sound were lost: the gateway had no time for it")

    def hush(self) -> None:
        """It is quiet."""
        self._device.hush()

    def woken(self, word: str) -> None:
        """It has heard its wake word."""
        self._device.noticed(NoticeKind.WAKE_WORD, text=word)


async def _dialled(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(address)
    if url.scheme == "unix":
        return await asyncio.open_unix_connection(url.path)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    _keep_alive(writer.get_extra_info("socket"))
    return reader, writer


def _keep_alive(connection: socket.socket) -> None:
    """Older satellites answer no pings: that one of them is gone, TCP finds out."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _why(error: OSError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:.0f} s"
    return in_words(error)
