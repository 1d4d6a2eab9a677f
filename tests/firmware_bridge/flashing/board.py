"""A board on a cable: a port behind which a bootloader answers to esptool, and a firmware to everybody else.

The bootloader is `esp32-mock-bootloader`. A pseudo-terminal has no DTR and RTS to reset a board with: this one is in
download mode whenever somebody opens its port and speaks as esptool does, and runs its firmware otherwise.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware_bridge.link.device_end import DeviceEnd
from firmware_bridge.link.framing import SerialDecoder, encode_serial

BOOT_TEXT = b"I (31) boot: ESP-IDF v5.3 2nd stage bootloader\r\n"
_SYNC = 0xC0
_STEP = 0.005
_START_SECONDS = 30.0
_PATIENT = """
from esp32_mock_bootloader import cli, server
server._CLIENT_RECV_TIMEOUT = 10.0  # it gives up on a machine that is busy for 50 ms
raise SystemExit(cli.main())
"""


class Board:
    """``port``: its name. ``pull_after``: so many bytes to the bootloader, and the cable is pulled."""

    def __init__(
        self,
        port: Path,
        bootloader: int | None,
        device: DeviceEnd | None = None,
        *,
        pull_after: int | None = None,
        runs_on: bytes = b"",
    ) -> None:
        """``bootloader``: its TCP port; without one the board answers esptool with ``runs_on``."""
        self.port = port
        self.opened = 0
        """How often somebody has spoken to it."""
        self.greeted = threading.Event()
        """Somebody has spoken to it who is no esptool."""
        self._bootloader = bootloader
        self._device = device
        self._left = pull_after
        self._runs_on = runs_on
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        port.symlink_to(os.ttyname(theirs))
        os.close(theirs)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it away."""
        self._end.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.close(self._ours)
        self.port.unlink(missing_ok=True)

    def silence(self) -> None:
        """Its firmware says nothing from now on."""
        self._device = None

    def _run(self) -> None:
        while not self._end.is_set():
            first = self._read(_STEP)
            if first is None:  # nobody has it open
                self._end.wait(_STEP)
            elif first:
                self.opened += 1
                self._serve(first)

    def _serve(self, first: bytes) -> None:
        if _SYNC in first[:64] and self._bootloader is not None:
            with socket.create_connection(("127.0.0.1", self._bootloader)) as bootloader:
                self._relay(bootloader, first)
        elif _SYNC in first[:64]:
            self._babble()
        else:
            self.greeted.set()
            if self._device:
                self._speak(self._device, first)

    def _babble(self) -> None:
        while (data := self._read(_STEP)) is not None and not self._end.is_set():
            if data:
                self._write(self._runs_on)

    def _relay(self, bootloader: socket.socket, data: bytes | None) -> None:
        while data is not None and not self._end.is_set():
            if data and self._pulled(len(data)):
                return
            bootloader.sendall(data)
            ready, _, _ = select.select([self._ours, bootloader], [], [], _STEP)
            if bootloader in ready:
                self._write(bootloader.recv(65536))
            data = self._read(0) if self._ours in ready else b""

    def _pulled(self, length: int) -> bool:
        if self._left is None:
            return False
        self._left -= length
        if self._left > 0:
            return False
        self.port.unlink()
        os.close(self._ours)
        self._end.set()
        return True

    def _speak(self, device: DeviceEnd, data: bytes | None) -> None:
        decoder = SerialDecoder()
        self._write(BOOT_TEXT)
        device.hello(time.monotonic())
        while data is not None and not self._end.is_set():
            now = time.monotonic()
            for arrival in decoder.feed(data):
                if hasattr(arrival, "header"):
                    device.receive(arrival, now)
            device.tick(now)
            for frame in device.outgoing():
                self._write(encode_serial(frame))
            data = self._read(_STEP)
        device.carrier_lost()

    def _read(self, seconds: float) -> bytes | None:
        """What came; None: nobody has the port open."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return b""
        try:
            return os.read(self._ours, 65536)
        except OSError:
            return None

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while data:
                data = data[os.write(self._ours, data) :]


@contextmanager
def mock_bootloader(folder: Path, chip: str) -> Iterator[int]:
    """A process that answers as this chip's bootloader does, with 4 MiB of flash, erased; yields its TCP port."""
    port_file = folder / f"bootloader-{chip}.port"
    line = (sys.executable, "-c", _PATIENT, "run", "--chip", chip, "--port", "0")
    environment = {**os.environ, "ESP32_MOCK_BOOTLOADER_STATE_DIR": str(folder / f"state-{chip}")}
    with subprocess.Popen(
        [*line, "--port-file", str(port_file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        try:
            yield _port_in(port_file, process)
        finally:
            process.kill()


def _port_in(file: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "the bootloader ended"
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(file.read_text(encoding="utf-8"))
        threading.Event().wait(_STEP)
    raise AssertionError("the bootloader did not start")
