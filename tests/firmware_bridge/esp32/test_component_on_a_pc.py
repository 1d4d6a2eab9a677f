"""The ESP-IDF component's own tasks, over stand-ins for FreeRTOS and its drivers, against the real gateway."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.firmware_bridge.esp32.made import COMPONENT, compiler
from tests.record import PATIENCE, Record
from tests.system.house import RECORDINGS, open_house, pcm, running, text

pytestmark = pytest.mark.slow

STAND_INS = Path(__file__).parent / "idf_stand_in"
PARTS = ("earshot_esp", "hearing", "coder", "opus", "settings", "wire_serial", "board")
CHOICES = """
#define CONFIG_IDF_TARGET "esp32c3"
#define CONFIG_EARSHOT_BOARD_ESP32C3_DEVKIT 1
#define CONFIG_EARSHOT_PUSH_TO_TALK 1
#define CONFIG_EARSHOT_SERIAL_UART 1
#define CONFIG_EARSHOT_UART_PORT 0
#define CONFIG_ESP_CONSOLE_UART_NUM -1
#define CONFIG_EARSHOT_UART_BAUD 921600
#define CONFIG_EARSHOT_RING_MS 8000
#define CONFIG_EARSHOT_LINK_STACK 0
#define CONFIG_EARSHOT_CAPTURE_STACK 0
"""
LIGHTS = re.findall(
    r"EARSHOT_LIGHT_([A-Z_]+)", (COMPONENT / "src" / "earshot_led.h").read_text(encoding="utf-8")
)
ADDRESS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("component")
    (folder / "sdkconfig.h").write_text(CHOICES)
    made = folder / "board"
    folders = [folder, STAND_INS, *(COMPONENT / part for part in ("src", "esp_idf", "esp_idf/include"))]
    sources = [COMPONENT / "esp_idf" / f"{part}.c" for part in PARTS] + sorted(COMPONENT.glob("src/*.c"))
    command = [
        compiler(),
        "-std=gnu17",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-g",
        *ADDRESS,
        "-pthread",
    ]
    includes = [f"-I{each}" for each in folders]
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run(
        [*command, "-o", made, *includes, *sources, STAND_INS / "board.c"], check=True, env=environment
    )
    return made


class Board:
    """The program on the other end of a terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.console = Record()
        self._process = process

    async def read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            self.console(line.decode().rstrip())

    def order(self, what: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n".encode())

    def said(self, what: str) -> list[str]:
        lines = [str(line) for line in self.console.items]
        return [line.partition(": ")[2] for line in lines if line.startswith(f"{what}: ")]

    async def told(self, what: str, count: int = 1) -> str:
        await self.console.until(lambda: len(self.said(what)) >= count, PATIENCE)
        return self.said(what)[count - 1]


@asynccontextmanager
async def on_a_terminal(program: Path, folder: Path, name: str) -> AsyncIterator[Board]:
    """A terminal whose one end is the gateway's port and whose other is the board's line."""
    samples = folder / "samples"
    samples.write_bytes(pcm(name))
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    port = folder / "usb-component"
    port.symlink_to(os.ttyname(theirs))
    process = await asyncio.create_subprocess_exec(
        program,
        str(ours),
        samples,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"NVS_ID": "component", "NVS_ROOM": "Kitchen"},
        pass_fds=(ours,),
    )
    board = Board(process)
    try:
        with running(board.read()):
            yield board
    finally:
        process.kill()
        await process.wait()
        os.close(ours)
        os.close(theirs)


async def test_it_speaks_and_is_told_what_it_said_and_what_is_answered(program: Path, tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, on_a_terminal(program, tmp_path, "u00") as board:
        assert await board.told("device") == "component"
        for turn in (1, 2):
            board.order("press")
            assert (await board.told("heard", turn)).partition(": ")[2] == text("u00")
            assert await board.told("reply", turn) == "Demo: Timer set for 60 minutes."
        result = await house.result(device_id="component")
        assert (result.audio.gaps, result.audio.lost_ms, result.audio.end_reason) == (0, 0, "stop")
        assert result.audio.seconds == pytest.approx(RECORDINGS["u00"].seconds, abs=0.06)


async def test_its_light_says_what_is_going_on(program: Path, tmp_path: Path) -> None:
    async with open_house(tmp_path), on_a_terminal(program, tmp_path, "u00") as board:
        board.order("press")
        await board.told("reply")

        def shown() -> list[str]:
            return [LIGHTS[int(number)] for number in board.said("light")]

        await board.console.until(lambda: "REPLY" in shown() and shown()[-1] == "IDLE")
        assert shown()[0] == "GREETING"
        of_the_turn = [light for light in shown() if light not in {"GREETING", "IDLE"}]
        assert (of_the_turn[0], of_the_turn[-1]) == ("LISTENING", "REPLY")
