"""An emulated board: qemu's riscv32 machine with our firmware in it, its console read and its button pressed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from tests.firmware_bridge.esp32.emulated.cable import Cable
from tests.firmware_bridge.esp32.emulated.image import needs_compiler
from tests.record import PATIENCE, Record
from tests.system.house import running

QEMU = "qemu-system-riscv32"
_TERMINAL = re.compile("char device redirected to (.*) \\(")


def needs_emulator() -> None:
    """Skip the test where no board can be emulated."""
    needs_compiler()
    if shutil.which(QEMU) is None:
        pytest.skip("qemu-system-misc is not installed")


Image: TypeAlias = Path | tuple[Path, Path]
"""A firmware that is started as it is, or the two flashes of a board that starts one out of them."""


class Line(NamedTuple):
    """What the firmware printed: ``heard`` and ``set a timer``."""

    what: str
    text: str


class Machine:
    """A board that runs. ``console``: the lines it printed so far."""

    def __init__(self, process: asyncio.subprocess.Process, button: Path) -> None:
        self.console = Record()
        self._process = process
        self._button = button

    @property
    def pid(self) -> int:
        return self._process.pid

    def press(self) -> None:
        """Hold the button for as long as the recording lasts."""
        with self._button.open("ab") as file:
            file.write(b"!")

    def said(self, what: str) -> list[str]:
        """The texts of all lines of a kind so far."""
        return [line.text for line in self.console.items if line.what == what]

    async def told(self, what: str, count: int = 1, patience: float = PATIENCE) -> str:
        """The text of the ``count``-th line of a kind, when it has come."""
        await self.console.until(lambda: len(self.said(what)) >= count, patience)
        return self.said(what)[count - 1]

    async def terminal(self) -> str:
        """The pseudo-terminal that qemu made for the UART."""

        def found() -> list[str]:
            return [match[1] for line in self.console.items if (match := _TERMINAL.match(line.what))]

        await self.console.until(found)
        return found()[0]

    def processor_seconds(self) -> float:
        """What qemu took of the host's processor."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def read(self) -> None:
        """Take what it prints, until it is gone."""
        assert self._process.stdout
        async for raw in self._process.stdout:
            what, _, text = raw.decode(errors="replace").rstrip("\n").partition(": ")
            self.console(Line(what, text))

    async def stop(self) -> None:
        """Its plug is pulled."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def _memory(image: Image) -> list[str]:
    if isinstance(image, Path):
        return ["-kernel", str(image)]
    flashes = (f"if=pflash,unit={unit},format=raw,file={file}" for unit, file in enumerate(image))
    return [word for flash in flashes for word in ("-drive", flash)]


@asynccontextmanager
async def switched_on(
    image: Image, folder: Path, device_id: str = "emulated", serial: str = "pty", crashes: int = 0
) -> AsyncIterator[Machine]:
    """A board with this firmware; ``serial``: where its UART leads, in qemu's words. ``crashes``: meant ones."""
    button = folder / f"{device_id}-button"
    button.touch()
    process = await asyncio.create_subprocess_exec(
        # The emulator ends with whoever started it, however that ends.
        "setpriv", "--pdeathsig", "KILL", "--",
        QEMU, "-M", "virt", "-m", "8M", "-bios", "none", *_memory(image), "-display", "none", "-monitor", "none",
        "-chardev", "stdio,id=console,signal=off",
        "-semihosting-config", f"enable=on,target=native,chardev=console,arg=earshot,arg={device_id},arg={button}",
        "-serial", serial,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=folder, start_new_session=True,
    )  # fmt: skip
    machine = Machine(process, button)
    try:
        with running(machine.read()):
            yield machine
            assert len(machine.said("crashed")) == crashes, machine.console.items
    finally:
        await machine.stop()


@asynccontextmanager
async def on_a_terminal(image: Image, folder: Path, device_id: str = "emulated") -> AsyncIterator[Machine]:
    """A board whose UART is a pseudo-terminal of qemu's own, under the name of a port in the folder."""
    async with switched_on(image, folder, device_id) as machine:
        (folder / f"usb-{device_id}").symlink_to(await machine.terminal())
        await machine.told("device")
        yield machine


@asynccontextmanager
async def on_a_cable(
    image: Image, folder: Path, device_id: str = "emulated", seed: int = 0, crashes: int = 0
) -> AsyncIterator[tuple[Machine, Cable]]:
    """A board on a cable that can be pulled; it is plugged in."""
    socket = folder / f"{device_id}-uart"
    cable = Cable(folder / f"usb-{device_id}", seed)
    serial = f"unix:{socket},server=on,wait=off"
    async with switched_on(image, folder, device_id, serial, crashes) as machine:
        await machine.told("device")
        cable.plug()
        with running(cable.run(socket)):
            yield machine, cable
