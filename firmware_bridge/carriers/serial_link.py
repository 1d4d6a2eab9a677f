"""Devices on UART and USB-CDC: ports found by name, opened, watched, and found again.

The only file that knows pyserial, which opens and configures a port; from then on the event loop
watches its file descriptor. A port that is missing, busy or forbidden is a state that is reported
once with its remedy, and looked at again for ever.
"""

from __future__ import annotations

import asyncio
import errno
import glob
import grp
import os
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import serial

from firmware_bridge.carriers.line_quality import LineQuality, LineTrouble
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.framing import DecoderCounters, SerialDecoder, encode_serial
from firmware_bridge.link.wires import Line, Wires
from firmware_bridge.pacing import Backoff
from firmware_bridge.settings import SerialSettings

READ_BYTES = 64 * 1024
OUTBOX_BYTES = 64 * 1024
"""Bytes that may wait for a port that takes none; further frames are refused and counted."""
RETRY_SECONDS = 5.0
"""The longest wait before a port that could not be opened is tried again."""
DELIMITER = b"\0"
"""Sent first on an opened port: whatever half a frame the line carried ends there."""
BY_ITSELF = "plug it in; it is found by itself"


@dataclass(frozen=True, slots=True)
class PortProblem:
    """Why a port cannot be used, and what to do about it."""

    reason: str
    remedy: str


class PortUnavailable(Exception):
    """A port cannot be opened (now)."""

    def __init__(self, problem: PortProblem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def open_port(path: str, baudrate: int) -> serial.Serial:
    """Open a port for this process alone, 8N1, DTR and RTS low. Raises PortUnavailable. Blocks."""
    port = serial.Serial()
    port.port = path
    port.baudrate = baudrate
    port.exclusive = True
    # Set before opening: on most boards these two lines are reset and boot mode.
    port.dtr = False
    port.rts = False
    try:
        port.open()
    except (OSError, ValueError, termios.error) as error:  # pyserial's own exceptions are OSErrors
        raise PortUnavailable(port_problem(path, error)) from error
    return port


def port_problem(path: str, error: Exception) -> PortProblem:
    """A failed open in words."""
    code = error.args[0] if isinstance(error, OSError | termios.error) else None
    if code in (errno.EACCES, errno.EPERM):
        remedy = f"sudo usermod -aG {_group_of(path)} $USER, then log in again"
        return PortProblem("permission denied", remedy)
    if code in (errno.EAGAIN, errno.EBUSY):
        return PortProblem("in use by another program", f"close it; `fuser {path}` names its process")
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO):
        return PortProblem("no such port", BY_ITSELF)
    return PortProblem(f"not a usable serial port: {error}", "correct devices.serial in config.yaml")


def _group_of(path: str) -> str:
    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


class ByteStream:
    """Bytes both ways over a file descriptor of a terminal; what waits to be written is bounded.

    ``on_closed`` is called once, with the reason, when the other side is gone; not after ``close``.
    The descriptor stays its owner's to close.
    """

    def __init__(
        self,
        descriptor: int,
        on_bytes: Callable[[bytes], None],
        on_closed: Callable[[str], None],
        *,
        outbox_bytes: int = OUTBOX_BYTES,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._on_bytes = on_bytes
        self._on_closed = on_closed
        self._outbox = bytearray()
        self._outbox_bytes = outbox_bytes
        self._open = True
        self.refused = 0
        """Writes not taken because the outbox was full."""
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._readable)

    @property
    def waiting(self) -> int:
        """Bytes that wait to be written."""
        return len(self._outbox)

    def write(self, data: bytes) -> bool:
        """Take all of ``data`` for writing, or none of it (False, counted)."""
        if not self._open or len(self._outbox) + len(data) > self._outbox_bytes:
            self.refused += 1
            return False
        idle = not self._outbox
        self._outbox += data
        if idle:
            self._writable()
        return True

    def close(self) -> None:
        """Stop watching; what waits is dropped. Idempotent."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(f"unplugged ({error.strerror})")
            return
        if data:
            self._on_bytes(data)
        else:
            self._gone("unplugged")  # readable without data is how a terminal says so

    def _writable(self) -> None:
        try:
            written = os.write(self._descriptor, self._outbox)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._gone(f"unplugged ({error.strerror})")
            return
        del self._outbox[:written]
        if self._outbox:
            self._loop.add_writer(self._descriptor, self._writable)
        else:
            self._loop.remove_writer(self._descriptor)

    def _gone(self, reason: str) -> None:
        self.close()
        self._on_closed(reason)


class _OpenPort:
    """A port in use: the frames of one line."""

    def __init__(
        self, name: str, real: str, port: serial.Serial, wires: Wires, on_closed: Callable[[str], None]
    ) -> None:
        self.real = real
        self._line = Line(name)
        self._port = port
        self._wires = wires
        self._decoder = SerialDecoder()
        self._quality = LineQuality(port.baudrate)
        self._trouble: LineTrouble | None = None
        self.stream = ByteStream(port.fileno(), self._received, on_closed)
        self.stream.write(DELIMITER)

    def _received(self, data: bytes) -> None:
        self._wires.receive(self._line, self._decoder.feed(data))

    def look(self, now: float) -> None:
        """Tell what is wrong with the line, when that is news."""
        trouble = self._quality.judge(self._decoder.seen(), now)
        if trouble != self._trouble:
            self._trouble = trouble
            told = trouble or LineTrouble("", "")
            self._wires.carrier_weak(self._line.carrier, told.reason, told.remedy)

    @property
    def counters(self) -> DecoderCounters:
        return self._decoder.seen()

    def close(self) -> None:
        self.stream.close()
        self._port.close()


@dataclass(slots=True)
class _Watched:
    """A port that is there: open, or to be tried again at ``retry_at`` (loop time)."""

    backoff: Backoff
    open: _OpenPort | None = None
    retry_at: float = 0.0


class SerialLink:
    """All serial ports that the settings name. The path as matched is the carrier's name."""

    def __init__(self, settings: SerialSettings, wires: Wires) -> None:
        self._settings = settings
        self._wires = wires
        self._watched: dict[str, _Watched] = {}
        self._unplugged: set[str] = set()  # of the ports named literally: why they are missing is known

    async def run(self) -> None:
        """Find, open and serve ports for ever; cancel it to close them."""
        try:
            while True:
                await self._scan()
                await asyncio.sleep(self._settings.scan_seconds)
        finally:
            for watched in self._watched.values():
                if watched.open:
                    watched.open.close()
            self._watched.clear()

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        """Write a frame to a port; False when the port is gone or takes nothing more."""
        watched = self._watched.get(line.carrier)
        return bool(watched and watched.open and watched.open.stream.write(encode_serial(frame)))

    def counters(self) -> dict[str, DecoderCounters]:
        """What has come over each open port since it was opened."""
        return {name: watched.open.counters for name, watched in self._watched.items() if watched.open}

    async def _scan(self) -> None:
        present, missing = await asyncio.to_thread(lambda: (self._present(), self._missing()))
        for name in [name for name in self._watched if name not in present]:
            self._vanished(name)
        for name, real in present.items():
            watched = self._watched.setdefault(
                name, _Watched(Backoff(self._settings.scan_seconds, RETRY_SECONDS))
            )
            if watched.open and watched.open.real != real:
                self._lost(name, "it is another port now")
            if watched.open:
                watched.open.look(asyncio.get_running_loop().time())
            elif asyncio.get_running_loop().time() >= watched.retry_at:
                await self._try(name, real, watched)
        for name in missing - self._unplugged:
            self._wires.carrier_down(name, "no such port", BY_ITSELF)

    def _present(self) -> dict[str, str]:
        """The ports that are there, each once: name as matched -> real path."""
        names: dict[str, str] = {}
        for pattern in self._settings.ports:
            for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute shell patterns
                names.setdefault(os.path.realpath(name), name)
        return {name: real for real, name in names.items()}

    def _missing(self) -> set[str]:
        """The ports that are named literally and are not there."""
        literal = [port for port in self._settings.ports if not any(c in port for c in "*?[")]
        return {port for port in literal if not os.path.lexists(port)}

    async def _try(self, name: str, real: str, watched: _Watched) -> None:
        self._unplugged.discard(name)
        try:
            port = await asyncio.to_thread(open_port, name, self._settings.baudrate)
        except PortUnavailable as error:
            watched.retry_at = asyncio.get_running_loop().time() + watched.backoff.next()
            self._wires.carrier_down(name, error.problem.reason, error.problem.remedy)
            return
        watched.backoff.reset()
        watched.open = _OpenPort(name, real, port, self._wires, lambda reason: self._lost(name, reason))
        self._wires.carrier_up(name)

    def _vanished(self, name: str) -> None:
        self._lost(name, "unplugged")
        del self._watched[name]
        if name not in self._settings.ports:
            self._wires.carrier_down(name, "unplugged", BY_ITSELF, passing=True)

    def _lost(self, name: str, reason: str) -> None:
        watched = self._watched[name]
        if watched.open:
            watched.open.close()
            watched.open = None
            self._unplugged |= {name} & set(self._settings.ports)
            self._wires.carrier_down(name, reason, BY_ITSELF)
