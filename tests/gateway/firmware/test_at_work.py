"""Firmware at work over its port: whoever asks for what is not theirs, or without end, gets no more; files may fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest

from firmware_bridge.images.image_file import Manifest, signed_image
from firmware_bridge.images.signing import new_key
from firmware_bridge.link.events import DeviceConnected, DeviceDisconnected, ImageAsked, ImageTold
from firmware_bridge.link.frames import Image, Offer, UpdateReason, UpdateState
from gateway.access.audit import FILE, Audit
from gateway.contract.events import FirmwareEvent, HubEvent
from gateway.firmware.at_work import NETWORK_BYTES_PER_SECOND, FirmwareAtWork
from gateway.firmware.deployment import TOO_SMALL
from gateway.observing.health import Health
from tests.record import passes
from tests.system.house import running

KIND = "s3"
SIZE = 400_000


@cache
def file(version: str = "2.0") -> bytes:
    image = version.encode() * (SIZE // len(version))
    return signed_image(image, kind=KIND, version=version, number=5, private=new_key())


class Links:
    """Devices that take everything."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Offer | Image]] = []

    def send_image(self, device_id: str, boot: int, frame: Offer | Image) -> bool:
        assert boot == 1
        self.sent.append((device_id, frame))
        return True

    def offers(self, device_id: str) -> list[Offer]:
        return [frame for one, frame in self.sent if one == device_id and isinstance(frame, Offer)]

    def images(self, device_id: str) -> list[Image]:
        return [frame for one, frame in self.sent if one == device_id and isinstance(frame, Image)]


class House:
    def __init__(self, folder: Path) -> None:
        self.links = Links()
        self.events: list[HubEvent] = []
        self.health = Health(self.events.append)
        self.work = FirmwareAtWork(
            folder,
            self.links,
            room_of=lambda _device: "",
            user_of=lambda _device: "ann",
            baudrate=921_600,
            health=self.health,
            publish=self.events.append,
            audit=Audit(folder),
        )
        self.room = self.work.room

    def come(self, *devices: str, link: str = "mqtt", max_payload: int = 2048) -> None:
        for device_id in devices:
            hello = DeviceConnected(
                device_id, 1, link, "1.0", 0, False, False, 0, KIND, True, max_payload
            )  # fmt: skip
            self.work.hear(hello)

    def asks(self, device_id: str, manifest: Manifest, offset: int = 0, length: int = 8192) -> None:
        self.work.hear(ImageAsked(device_id, 1, manifest.image, offset, length))

    def says(self, device_id: str, manifest: Manifest, state: UpdateState, reason: UpdateReason) -> None:
        self.work.hear(ImageTold(device_id, 1, manifest.image, state, reason, 0, ""))

    @property
    def state(self) -> str:
        components = self.health.report().components
        return components["firmware"].reason if "firmware" in components else ""

    async def offered(self, device_id: str, version: str = "2.0") -> Manifest:
        """The device has its offer."""
        manifest = self.room.add(file(version))
        self.room.offer(version, device=device_id)
        await passes(lambda: bool(self.links.offers(device_id)))
        return manifest


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    house = House(folder)
    with running(house.work.run()):
        yield house


async def test_what_is_asked_for_comes_in_order_and_no_more(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        manifest = await house.offered("kitchen")
        house.asks("kitchen", manifest, 1000, 5000)
        await passes(lambda: sum(len(one.data) for one in house.links.images("kitchen")) >= 5000)
        images = house.links.images("kitchen")
        assert b"".join(one.data for one in images) == (b"2.0" * SIZE)[1000:6000]
        assert [one.offset for one in images] == [1000, 3040, 5080]
        assert all(len(one.to_bytes()) <= 20 + 2048 for one in images)


async def test_a_device_that_takes_small_payloads_gets_small_pieces_and_one_too_small_nothing(
    tmp_path: Path,
) -> None:
    async with open_house(tmp_path) as house:
        house.come("tiny", max_payload=64)
        house.come("small", max_payload=200)
        manifest = house.room.add(file())
        house.room.offer("2.0", everybody=True)
        await passes(lambda: bool(house.links.offers("small")))
        house.asks("small", manifest, 0, 1000)
        await passes(lambda: sum(len(one.data) for one in house.links.images("small")) == 1000)
        assert all(len(one.data) <= 192 for one in house.links.images("small"))
        assert not house.links.offers("tiny")
        await passes(
            lambda: ("tiny", TOO_SMALL) in {(one.device_id, one.reason) for one in house.room.progress()}
        )


async def test_what_is_not_a_devices_is_not_to_be_had(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen", "hall")
        manifest = await house.offered("kitchen")
        house.asks("hall", manifest)
        house.asks("nobody", manifest)
        house.asks("kitchen", manifest, offset=SIZE)
        house.asks("kitchen", manifest, length=0)
        house.work.hear(ImageAsked("kitchen", 1, manifest.image ^ 1, 0, 8192))
        assert [one.data for one in house.links.images("hall")] == [b""]
        assert [one.data for one in house.links.images("kitchen")] == [b"", b"", b""]
        assert not house.links.images("nobody")


@pytest.mark.slow
async def test_who_asks_without_end_gets_its_share_and_the_others_theirs(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("greedy", "crumbs", "honest")
        for device in ("greedy", "crumbs", "honest"):
            manifest = await house.offered(device)
        loop = asyncio.get_running_loop()
        began = loop.time()
        at = 0
        while loop.time() < began + 1.5:
            for _ in range(200):
                house.asks("greedy", manifest, 0, 2**32 - 1)
                house.asks("crumbs", manifest, 7, 1)
            if at <= (got := sum(len(one.data) for one in house.links.images("honest"))):
                house.asks("honest", manifest, got)
                at = got + 8192
            await asyncio.sleep(0.005)
        seconds = loop.time() - began
        taken = {
            d: sum(len(one.data) for one in house.links.images(d)) for d in ("greedy", "crumbs", "honest")
        }
        assert taken["greedy"] <= NETWORK_BYTES_PER_SECOND * seconds + 2 * 8192
        assert len(house.links.images("crumbs")) <= 60 * seconds
        assert taken["honest"] > 0.3 * NETWORK_BYTES_PER_SECOND * seconds
        assert len([one for one in house.events if isinstance(one, FirmwareEvent)]) < 20


async def test_an_image_that_cannot_be_read_is_told_and_not_sent(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        manifest = await house.offered("kitchen")
        (path,) = house.room.folder.glob("*.earshot")
        path.write_bytes(path.read_bytes()[:5000])
        house.asks("kitchen", manifest, 100_000)
        await passes(lambda: bool(house.links.images("kitchen")))
        assert house.links.images("kitchen")[0].data == b""
        assert "is not what it was" in house.state


async def test_a_damaged_file_of_rollouts_changes_nothing_and_is_told(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        manifest = await house.offered("kitchen")
        (house.room.folder / "rollouts.json").write_bytes(b"{")
        await passes(lambda: "damaged" in house.state)
        house.asks("kitchen", manifest)
        await passes(lambda: bool(house.links.images("kitchen")))
        assert house.links.images("kitchen")[0].data


async def test_a_damaged_file_of_progress_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "progress.json").write_bytes(b"[")
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        await house.offered("kitchen")
        await passes(lambda: (house.room.folder / "progress.json").read_bytes() != b"[")
        assert house.room.progress()[0].device_id == "kitchen"


async def test_what_stops_is_written_told_and_audited(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        manifest = await house.offered("kitchen")
        house.says("kitchen", manifest, UpdateState.ROLLED_BACK, UpdateReason.NOT_REACHED)
        await passes(lambda: house.room.rollouts()[0].stopped_itself)
        await passes(lambda: "kitchen rolled back" in house.state)
        await passes(lambda: "stopped by itself" in (tmp_path / FILE).read_text())
        house.room.resume("2.0")
        await passes(lambda: not house.state)


@pytest.mark.slow
async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        manifest = await house.offered("kitchen")
        lock = house.room.folder / "rollouts.json.lock"
        lock.unlink()
        lock.mkdir()  # nobody can change the rollouts
        house.says("kitchen", manifest, UpdateState.ROLLED_BACK, UpdateReason.NOT_REACHED)
        await passes(lambda: "cannot be written" in house.state)
        lock.rmdir()
        await passes(lambda: house.room.rollouts()[0].stopped_itself)
        await passes(lambda: "kitchen rolled back" in house.state)
        assert (tmp_path / FILE).read_text().count("stopped by itself") == 1


async def test_a_device_that_has_left_gets_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen", "hall")
        for device in ("kitchen", "hall"):
            manifest = await house.offered(device)
        house.asks("kitchen", manifest)
        house.work.hear(DeviceDisconnected("kitchen", 1, "gone"))
        house.asks("hall", manifest)
        await passes(lambda: bool(house.links.images("hall")))  # whose turn is behind the other's
        assert house.links.images("kitchen") == []


@pytest.mark.slow
async def test_what_is_written_of_progress_is_no_reason_to_offer_anew(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.come("kitchen")
        manifest = await house.offered("kitchen")
        house.says("kitchen", manifest, UpdateState.FETCHING, UpdateReason.NONE)
        await passes(lambda: bool(house.room.progress()))
        offers = len(house.links.offers("kitchen"))
        house.room.write_progress([])
        await passes(lambda: house.work._stamps == house.room.stamps())  # it has looked, and acted on it
        assert len(house.links.offers("kitchen")) == offers
