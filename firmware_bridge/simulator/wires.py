"""The simulated device's end of each carrier, and the mischief that can be done on it."""

from __future__ import annotations

import asyncio
import os
import random
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttRefused
from firmware_bridge.carriers.mqtt_connection import LastWill, MqttConnection, MqttSession, stay_connected
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.carriers.serial_link import DELIMITER, ByteStream, PortUnavailable, open_port
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.framing import DatagramDecoder, Decoded, SerialDecoder, encode_serial
from firmware_bridge.pacing import Backoff

OUTBOX_BYTES = 1024 * 1024
"""Room for all the credit a gateway may give: a device's UART driver makes it wait instead."""
RETRY_SECONDS = 1.0
_TERMINALS = "/dev/pts/"
"""The longest wait before a simulated device looks for its port again."""


class WireOwner(Protocol):
    """The device at the end of the wire; called on the event loop."""

    def wire_up(self) -> None:
        """Frames can be sent now."""

    def wire_down(self) -> None:
        """Nothing can be sent any more."""

    def wire_missing(self, reason: str, remedy: str = "") -> None:
        """There is no port or no broker; said at each attempt."""

    def wire_refused(self, reason: str, remedy: str = "") -> None:
        """This device is not let in, and will not be by trying again; said at each attempt."""

    def received(self, decoded: Decoded) -> None:
        """A frame came from the gateway, or what was none."""


class DeviceWire(Protocol):
    """The device's end of one carrier. ``audio_samples``: how much audio one frame carries on it."""

    audio_samples: int
    checksummed: bool

    async def run(self, owner: WireOwner) -> None:
        """Connect and stay connected for ever; cancel it to disconnect."""

    def encode(self, frame: DeviceFrame) -> bytes:
        """The frame as it stands on this wire."""

    def write(self, data: bytes) -> bool:
        """Send an encoded frame; False when it was not taken."""

    def unplug(self) -> None:
        """Break the wire as a pulled cable does."""

    def replug(self) -> None:
        """Mend it."""


class Mischief(Struct, frozen=True, kw_only=True):
    """What goes wrong on the way to the gateway: the chance of each per frame, 0 to 1.

    ``delay`` holds a frame back behind one to three later ones. ``unplug_seconds``: the wire breaks
    every so often (0: never) and is mended after a third of a second.
    """

    seed: int = 0
    corrupt: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    unplug_seconds: float = 0.0


class MischiefMaker:
    """Does seeded mischief to encoded frames and counts it.

    On a wire without a checksum of its own, which real ones only have above a reliable transport,
    a corrupted frame is one with a foreign version byte.
    """

    def __init__(self, mischief: Mischief, *, checksummed: bool) -> None:
        self._mischief = mischief
        self._checksummed = checksummed
        self._chance = random.Random(mischief.seed)
        self._held: list[tuple[int, bytes]] = []
        self.corrupted = 0
        self.dropped = 0
        self.duplicated = 0
        self.delayed = 0

    def through(self, data: bytes) -> Iterator[bytes]:
        """What comes out of the wire when ``data`` goes in."""
        held, self._held = self._held, []
        yield from self._one(data)
        for frames_to_go, late in held:
            if frames_to_go > 1:
                self._held.append((frames_to_go - 1, late))
            else:
                yield late

    def _one(self, data: bytes) -> Iterator[bytes]:
        wanted, chance = self._mischief, self._chance
        if chance.random() < wanted.drop:
            self.dropped += 1
            return
        if chance.random() < wanted.corrupt:
            self.corrupted += 1
            data = self._corrupt(data)
        if chance.random() < wanted.delay:
            self.delayed += 1
            self._held.append((chance.randint(1, 3), data))
            return
        yield data
        if chance.random() < wanted.duplicate:
            self.duplicated += 1
            yield data

    def _corrupt(self, data: bytes) -> bytes:
        broken = bytearray(data)
        if not self._checksummed:
            broken[0] ^= 0x80
            return bytes(broken)
        for _ in range(self._chance.randint(1, 8)):
            broken[self._chance.randrange(len(broken))] ^= 1 << self._chance.randrange(8)
        return bytes(broken)


class _SerialWire:
    """What a port and a pseudo-terminal share: frames on a ByteStream."""

    audio_samples = 320
    checksummed = True

    def __init__(self) -> None:
        self._stream: ByteStream | None = None
        self._plugged = asyncio.Event()
        self._plugged.set()
        self._broken = asyncio.Event()

    def encode(self, frame: DeviceFrame) -> bytes:
        return encode_serial(frame)

    def write(self, data: bytes) -> bool:
        return self._stream is not None and self._stream.write(data)

    def unplug(self) -> None:
        self._plugged.clear()
        self._broken.set()

    def replug(self) -> None:
        self._plugged.set()

    async def _serve(self, descriptor: int, owner: WireOwner) -> None:
        """Frames both ways until the wire breaks."""
        decoder = SerialDecoder()

        def received(data: bytes) -> None:
            for decoded in decoder.feed(data):
                owner.received(decoded)

        self._broken.clear()
        self._stream = ByteStream(
            descriptor, received, lambda _reason: self._broken.set(), outbox_bytes=OUTBOX_BYTES
        )
        self._stream.write(DELIMITER)
        owner.wire_up()
        try:
            await self._broken.wait()
        finally:
            self._stream.close()
            self._stream = None
            owner.wire_down()


class SerialPort(_SerialWire):
    """A serial port that exists: an adapter, or the other end of a null modem."""

    def __init__(self, path: str, baudrate: int = 921_600) -> None:
        super().__init__()
        self._path = path
        self._baudrate = baudrate

    async def run(self, owner: WireOwner) -> None:
        """Open the port and stay on it for ever."""
        backoff = Backoff(0.1, RETRY_SECONDS)
        while True:
            await self._plugged.wait()
            try:
                port = await asyncio.to_thread(open_port, self._path, self._baudrate)
            except PortUnavailable as error:
                owner.wire_missing(error.problem.reason, error.problem.remedy)
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            with port:
                await self._serve(port.fileno(), owner)


def _leads_to(name: Path) -> str:
    """Where a link of ours leads; empty for anything else."""
    try:
        return str(name.readlink()) if name.lstat().st_uid == os.geteuid() else ""
    except OSError:
        return ""


def _is_old(name: Path) -> bool:
    """Whether it is a link that a simulated device of before has left."""
    return _leads_to(name).startswith(_TERMINALS)


class PseudoTerminal(_SerialWire):
    """A pseudo-terminal under a stable name, as a USB adapter has in /dev/serial/by-id."""

    def __init__(self, name: Path) -> None:
        """``name`` becomes a symbolic link to the terminal while it is plugged in.

        Raises ValueError when something else is there, or no folder for it.
        """
        if os.path.lexists(name) and not _is_old(name):
            raise ValueError(f"{name} is there already and is no link of ours to a terminal")
        if not name.parent.is_dir():
            raise ValueError(f"{name.parent} is no folder")
        super().__init__()
        self._name = name

    async def run(self, owner: WireOwner) -> None:
        """Make the terminal, serve it, and make another after each unplugging."""
        while True:
            await self._plugged.wait()
            # This side keeps the gateway's end open too: without it, the terminal hangs up each
            # time the gateway closes the port, which a real adapter does not.
            ours, theirs = os.openpty()
            try:
                tty.setraw(theirs)
                try:
                    self._appear(os.ttyname(theirs))
                except OSError as error:  # somebody else's file has come there
                    owner.wire_missing(f"{self._name}: {error.strerror}", "take away what is there")
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._serve(ours, owner)
            finally:
                if _leads_to(self._name) == os.ttyname(theirs):
                    self._name.unlink()
                os.close(ours)
                os.close(theirs)

    def _appear(self, terminal: str) -> None:
        if _is_old(self._name):
            self._name.unlink()
        self._name.symlink_to(terminal)


class Mqtt:
    """The native topics of an MQTT broker."""

    audio_samples = 960
    checksummed = False

    def __init__(
        self,
        url: str,
        device_id: str,
        prefix: str = "earshot/v1",
        credentials: Credentials = Credentials(),  # noqa: B008 - frozen
    ) -> None:
        """Raises ValueError when ``url`` is no broker's or the id cannot be a topic's level."""
        if set("+#/") & set(device_id):
            raise ValueError(f"{device_id!r} cannot be a device's id on MQTT")
        self._address = BrokerAddress.parse(url, credentials)
        self._device_id = device_id
        self._topic = f"{prefix}/{device_id}"
        self._connection: MqttConnection | None = None
        self._plugged = asyncio.Event()
        self._plugged.set()

    async def run(self, owner: WireOwner) -> None:
        """Connect to the broker and stay connected."""
        await stay_connected(lambda: self._serve_once(owner), lambda reason, _: owner.wire_missing(reason))

    def encode(self, frame: DeviceFrame) -> bytes:
        """Header and payload: MQTT keeps messages whole."""
        return frame.to_bytes()

    def write(self, data: bytes) -> bool:
        """Publish one frame."""
        return self._connection is not None and self._connection.publish(f"{self._topic}/up", data)

    def unplug(self) -> None:
        """Break the connection without a goodbye, so that the last will is published."""
        self._plugged.clear()
        if self._connection:
            self._connection.abort()

    def replug(self) -> None:
        """Allow the next connection."""
        self._plugged.set()

    async def _serve_once(self, owner: WireOwner) -> str:
        await self._plugged.wait()
        state = f"{self._topic}/state"

        decoder = DatagramDecoder()

        def received(publication: Publication) -> None:
            for decoded in decoder.feed(publication.payload):
                owner.received(decoded)

        try:
            connection = await MqttConnection.open(
                self._address,
                MqttSession(client_id=self._device_id, will=LastWill(state, b"offline")),
                received,
            )
        except MqttRefused as error:
            owner.wire_refused(error.reason, "correct the user and password in the URL")
            raise
        try:
            await connection.subscribe(f"{self._topic}/down")
            connection.publish(state, b"online", retain=True)
            self._connection = connection
            owner.wire_up()
            return await connection.ended()
        finally:
            if self._connection:
                self._connection = None
                owner.wire_down()
            connection.publish(state, b"offline", retain=True)
            await connection.close()
