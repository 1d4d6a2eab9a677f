"""A real firmware on a line that is measured, and welcomed after it was flashed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from firmware_bridge.flashing.greeting import greet
from firmware_bridge.line_test.line_report import judge
from firmware_bridge.line_test.link_test import LinkTestPlan, measure_line
from firmware_bridge.link.events import LinkEvent
from tests.firmware_bridge.esp32.emulated.image import firmware
from tests.firmware_bridge.esp32.emulated.machine import needs_emulator, on_a_cable, on_a_terminal
from tests.system.house import RECORDINGS

pytestmark = pytest.mark.slow

PLAN = LinkTestPlan(921_600, seconds=RECORDINGS["u00"].seconds + 1.5, flood=0.5, answer=0.5)


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs_emulator()


async def test_its_line_is_measured_while_it_speaks(tmp_path: Path) -> None:
    async with on_a_terminal(firmware("u00"), tmp_path) as board:

        def step(what: str) -> None:
            if what.startswith("measuring"):
                board.press()

        report = await measure_line(str(tmp_path / "usb-emulated"), PLAN, step)
    assert report.device == "emulated"
    assert report.samples == pytest.approx(RECORDINGS["u00"].seconds * 16_000, abs=320)
    assert (report.broken, report.lost_samples) == (0, 0)
    assert report.pings - report.pongs <= 1
    assert report.bytes_per_second > 1000
    assert judge(report).holds


async def test_a_noisy_line_is_told(tmp_path: Path) -> None:
    async with on_a_cable(firmware("u00", "TALK_ADPCM=1"), tmp_path) as (board, cable):

        async def disturb() -> None:
            """Once it is linked: a WELCOME and the next HELLOs that are lost would leave nothing to be measured."""
            board.press()
            await cable.carries(500)
            cable.flip = 2e-3

        disturbing = []

        def step(what: str) -> None:
            if what.startswith("measuring"):
                disturbing.append(asyncio.create_task(disturb()))

        report = await measure_line(str(tmp_path / "usb-emulated"), PLAN, step)
        await asyncio.gather(*disturbing)
    assert report.broken > 0
    assert "% of what arrives is broken" in judge(report).reason


async def test_it_is_welcomed_on_the_port_that_it_was_flashed_on(tmp_path: Path) -> None:
    told: list[LinkEvent] = []
    async with on_a_terminal(firmware("u00"), tmp_path):
        hello = await greet(str(tmp_path / "usb-emulated"), 921_600, 20, told.append)
    assert hello
    assert hello.device_id == "emulated"
    assert hello in told
