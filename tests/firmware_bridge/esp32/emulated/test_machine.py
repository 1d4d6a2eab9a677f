"""An emulated board takes no core while it has nothing to do, and never outlives who started it."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.firmware_bridge.esp32.emulated.image import firmware
from tests.firmware_bridge.esp32.emulated.machine import needs_emulator, on_a_terminal
from tests.record import passes

pytestmark = pytest.mark.slow

OWNER = """
import asyncio, sys
from pathlib import Path
from tests.firmware_bridge.esp32.emulated.machine import on_a_terminal

async def main(image, folder):
    async with on_a_terminal(image, folder) as board:
        print(board.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs_emulator()


def works(process: Path) -> bool:
    """Whether it is there, and not only waits for somebody to note its end."""
    try:
        return (process / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


async def test_it_ends_with_who_started_it_however_that_ends(tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, firmware("u05"), tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout
    board = Path("/proc", (await owner.stdout.readline()).decode().strip())
    assert "qemu" in (board / "cmdline").read_text()
    owner.send_signal(signal.SIGKILL)
    await owner.wait()
    await passes(lambda: not works(board))


async def test_it_sleeps_while_it_waits(tmp_path: Path) -> None:
    async with on_a_terminal(firmware("u05"), tmp_path) as board:
        began, before = asyncio.get_running_loop().time(), board.processor_seconds()
        await asyncio.sleep(1.0)  # of its time, not of ours: nothing is waited for
        took = asyncio.get_running_loop().time() - began
        assert board.processor_seconds() - before < 0.2 * took
