"""Firmware waits for its first image: what devices said until then is known when it begins, and it begins once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from firmware_bridge.link.events import DeviceConnected, DeviceDisconnected, ImageAsked
from gateway.firmware.standby import FirmwareStandby, OfImages
from tests.record import passes
from tests.system.house import running


class Work:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[OfImages] = []
        self.runs = 0

    def hear(self, event: OfImages) -> None:
        self.heard.append(event)

    async def run(self) -> None:
        self.runs += 1


class House:
    def __init__(self, folder: Path) -> None:
        self.works: list[Work] = []
        self.standby = FirmwareStandby(folder, self._begin)

    def _begin(self) -> Work:
        self.works.append(Work())
        return self.works[-1]


def come(device_id: str, boot: int = 1) -> DeviceConnected:
    return DeviceConnected(device_id, boot, "mqtt", "1.0", 0, False, False, 0, "s3", True, 2048)


def test_without_a_folder_nothing_begins(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.standby.hear(come("kitchen"))
    house.standby.hear(DeviceDisconnected("kitchen", 1, "gone"))
    assert house.works == []


async def test_with_the_folder_it_begins_and_knows_who_is_here(tmp_path: Path) -> None:
    house = House(tmp_path)
    for event in (come("gone"), come("kitchen"), come("bath"), come("kitchen", boot=2)):
        house.standby.hear(event)
    house.standby.hear(DeviceDisconnected("gone", 1, "gone"))
    with running(house.standby.run()):
        await asyncio.to_thread(Path(tmp_path, "firmware").mkdir)
        await passes(lambda: bool(house.works) and house.works[0].runs == 1)
        assert sorted(house.works[0].heard, key=str) == [come("bath"), come("kitchen", boot=2)]
        house.standby.hear(come("hall"))
    assert house.works[0].heard[-1] == come("hall")
    assert len(house.works) == 1


async def test_a_device_that_asks_for_an_image_is_answered_without_a_folder(tmp_path: Path) -> None:
    house = House(tmp_path)
    asked = ImageAsked("kitchen", 1, 7, 0, 1024)
    with running(house.standby.run()):
        house.standby.hear(come("kitchen"))
        house.standby.hear(asked)
        assert house.works[0].heard == [come("kitchen"), asked]
        await passes(lambda: house.works[0].runs == 1)
    assert len(house.works) == 1
