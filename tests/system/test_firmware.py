"""Firmware over the air through a whole gateway: signed, offered, fetched by simulated boards, kept or rolled back."""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.images.image_file import signed_image
from firmware_bridge.images.signing import new_key, public_of
from firmware_bridge.simulator.flash import SimulatedFlash, simulated_image
from gateway.contract.events import FirmwareEvent, HealthEvent
from gateway.firmware.records import Stage
from gateway.firmware.room import FirmwareRoom
from tests.record import passes
from tests.system.house import Board, House, pcm, text

KIND = "simulator"
SIZE = 150_000


@cache
def key() -> bytes:
    return new_key()


def signed(version: str, image: bytes = b"", number: int = 2) -> bytes:
    return signed_image(
        image or simulated_image(version, SIZE), kind=KIND, version=version, number=number, private=key()
    )


def firmware(folder: Path, version: str = "2.0", image: bytes = b"", number: int = 2) -> FirmwareRoom:
    room = FirmwareRoom(folder)
    room.add(signed(version, image, number))
    return room


def board(house: House, name: str, carrier: str = "serial", **options: Any) -> Board:
    return house.board(name, carrier, kind=KIND, flash=SimulatedFlash(public_of(key()), "1.0"), **options)


async def stage(house: House, device_id: str, wanted: Stage, count: int = 1) -> FirmwareEvent:
    event: FirmwareEvent = await house.events.first(
        FirmwareEvent, device_id=device_id, stage=wanted.value, count=count
    )
    return event


def running(one: Board) -> str:
    assert one.flash
    return one.flash.firmware


@pytest.mark.slow
@pytest.mark.parametrize("carrier", ["serial", "mqtt"])
async def test_a_board_fetches_what_it_is_offered_and_keeps_it(
    house: Any, mosquitto: Any, tmp_path: Path, carrier: str
) -> None:
    async with house(mqtt=mosquitto.url) as one, board(one, "kitchen", carrier) as kitchen:
        await kitchen.connected()
        room = firmware(tmp_path)
        room.offer("2.0", device="kitchen")
        await stage(one, "kitchen", Stage.CONFIRMED)
        assert running(kitchen) == "2.0"
        told = [event.stage for event in one.events.of(FirmwareEvent)]
        assert [now for before, now in zip(["", *told], told, strict=False) if now != before] == [
            "offered", "fetching", "starting", "confirmed",
        ]  # fmt: skip
        await passes(lambda: bool(room.progress()))
        await passes(lambda: room.progress()[0].stage is Stage.CONFIRMED)


@pytest.mark.slow
async def test_speech_is_answered_while_an_image_is_fetched(house: Any, tmp_path: Path) -> None:
    async with house() as one, board(one, "kitchen") as kitchen:
        await kitchen.connected()
        room = firmware(tmp_path, image=simulated_image("2.0", 3_000_000))
        room.offer("2.0", device="kitchen")
        await stage(one, "kitchen", Stage.FETCHING)
        said = await kitchen.say(pcm("u00"))
        assert said.transcript == text("u00")
        assert said.overrun_frames == 0
        assert kitchen.taker
        assert 0 < kitchen.taker.progress[0] < 3_000_000


@pytest.mark.slow
async def test_an_image_that_crashes_is_rolled_back_and_the_rollout_stops(house: Any, tmp_path: Path) -> None:
    async with house() as one, board(one, "kitchen") as kitchen, board(one, "hall") as hall:
        await asyncio.gather(kitchen.connected(), hall.connected())
        room = firmware(tmp_path, image=b"no firmware at all" * 1000)
        room.offer("2.0", device="kitchen")
        event = await stage(one, "kitchen", Stage.ROLLED_BACK)
        assert "signed again" in event.reason
        assert running(kitchen) == "1.0"
        health = await one.events.first(HealthEvent, component="firmware", state="degraded")
        assert "stopped by itself: kitchen rolled back" in health.reason
        await passes(lambda: room.rollouts()[0].stopped_itself)
        room.offer("2.0", device="hall")
        await stage(one, "hall", Stage.ROLLED_BACK)


@pytest.mark.slow
async def test_a_restarted_gateway_goes_on(house: Any, tmp_path: Path) -> None:
    flash = SimulatedFlash(public_of(key()), "1.0")
    room = firmware(tmp_path, image=simulated_image("2.0", 400_000))
    room.offer("2.0", device="kitchen")
    async with house() as one, one.board("kitchen", kind=KIND, flash=flash) as kitchen:
        await kitchen.connected()
        await stage(one, "kitchen", Stage.FETCHING)
    async with house() as one, one.board("kitchen", kind=KIND, flash=flash) as kitchen:
        await stage(one, "kitchen", Stage.CONFIRMED)
        assert running(kitchen) == "2.0"


@pytest.mark.slow
async def test_a_paused_rollout_is_left_alone_until_it_goes_on(house: Any, tmp_path: Path) -> None:
    async with house() as one, board(one, "kitchen") as kitchen:
        await kitchen.connected()
        room = firmware(tmp_path, image=simulated_image("2.0", 400_000))
        room.offer("2.0", everybody=True)
        await stage(one, "kitchen", Stage.FETCHING)
        room.pause("2.0")
        await asyncio.sleep(1.5)
        assert kitchen.taker
        so_far = kitchen.taker.progress
        await asyncio.sleep(1)
        assert kitchen.taker.progress == so_far
        room.resume("2.0")
        await stage(one, "kitchen", Stage.CONFIRMED)


@pytest.mark.slow
async def test_the_simulator_of_the_command_line_takes_one(house: Any, tmp_path: Path) -> None:
    room = firmware(tmp_path, image=b"simulated firmware 2.0\n")
    room.offer("2.0", everybody=True)
    async with house() as one:
        command = (
            *(sys.executable, "-m", "gateway", "simulate", "--ws", one.gateway.url, "--id", "web-local-sim"),
            *("--loop", "--image-key", public_of(key()).hex()),
        )
        simulator = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            await stage(one, "web-local-sim", Stage.CONFIRMED)
        finally:
            simulator.terminate()
            await simulator.wait()
