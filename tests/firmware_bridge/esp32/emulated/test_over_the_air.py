"""Firmware over the air: the gateway offers it, the emulated board takes it, starts it, and keeps it or goes back."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from firmware_bridge.images.image_file import signed_image
from firmware_bridge.images.signing import new_key, public_of
from gateway.contract.events import FirmwareEvent
from gateway.firmware.room import FirmwareRoom
from tests.firmware_bridge.esp32.emulated.image import binary, firmware, flashed
from tests.firmware_bridge.esp32.emulated.machine import needs_emulator, on_a_cable
from tests.system.house import House, open_house, text

pytestmark = pytest.mark.slow

KIND = "emulated"
NEWER, FORGED = "talk 2", "talk 3"


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs_emulator()


@cache
def private(_whose: str) -> bytes:
    return new_key()


def built_in() -> str:
    """The key by which the board knows what is ours, for its compiler."""
    return f"IMAGE_KEY={','.join(map(str, public_of(private('ours'))))}"


def newer(*faults: str) -> bytes:
    """An image for the board, with another recording at its microphone."""
    named = (f'TALK_FIRMWARE="{NEWER}"', "IMAGE_NUMBER=2", "TRIAL_MILLISECONDS=3000")
    return binary(firmware("u05", built_in(), *named, *faults))


def offer(folder: Path, image: bytes, version: str = NEWER, *, number: int = 2, key: str = "ours") -> None:
    room = FirmwareRoom(folder)
    room.add(signed_image(image, kind=KIND, version=version, number=number, private=private(key)))
    room.offer(version, everybody=True)


async def came_to(house: House, stage: str) -> FirmwareEvent:
    event: FirmwareEvent = await house.events.first(FirmwareEvent, stage=stage)
    return event


async def test_a_board_takes_what_is_signed_for_it_also_when_its_power_fails_meanwhile(
    tmp_path: Path,
) -> None:
    flash = flashed(tmp_path, firmware("u00", built_in()))
    async with open_house(tmp_path) as house:
        async with on_a_cable(flash, tmp_path) as (board, _):
            await board.told("linked")
            offer(tmp_path, newer(), FORGED, number=3, key="a stranger's")
            assert "not signed by the key" in (await came_to(house, "declined")).reason
            offer(tmp_path, newer())
            await house.events.until(
                lambda: [one for one in house.events.of(FirmwareEvent, stage="fetching") if one.percent]
            )
        async with on_a_cable(flash, tmp_path) as (board, _):
            assert await board.told("firmware") == "push-to-talk 0.1.0"
            await came_to(house, "confirmed")
            assert await board.told("firmware", 2) == NEWER
        async with on_a_cable(flash, tmp_path) as (board, _):
            assert await board.told("firmware") == NEWER
            await board.told("linked")
            board.press()
            assert await board.told("heard") == text("u05")


@pytest.mark.parametrize("fault", ["BOARD_CRASHES=1", "BOARD_MUTE=1"])
async def test_what_crashes_or_does_not_reach_the_gateway_is_taken_back(tmp_path: Path, fault: str) -> None:
    flash = flashed(tmp_path, firmware("u00", built_in()))
    async with (
        open_house(tmp_path) as house,
        on_a_cable(flash, tmp_path, crashes=fault.count("CRASHES")) as (board, _),
    ):
        offer(tmp_path, newer(fault))
        event = await came_to(house, "rolled back")
        assert (event.device_id, event.version) == ("emulated", NEWER)
        assert board.said("firmware")[-1] == "push-to-talk 0.1.0"
        board.press()
        assert await board.told("heard") == text("u00")
