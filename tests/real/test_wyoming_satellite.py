"""The satellite that people run (wyoming-satellite 1.0.0), unmodified, before a whole gateway that dials it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.contract.events import DeviceEvent
from gateway.pipeline.telling.roster import Presence
from tests.real.things import WYOMING_SATELLITE, interpreter
from tests.record import passes
from tests.servers.process import ServerProcess, free_port
from tests.system.house import RECORDINGS, House, open_house, text

pytestmark = [pytest.mark.slow, pytest.mark.real(WYOMING_SATELLITE)]

PROGRAMS = Path(__file__).with_name("satellite_programs.py")
SAYS = min(RECORDINGS, key=lambda name: RECORDINGS[name].seconds)


class RealSatellite(ServerProcess):
    """Its microphone plays a recording whenever it is asked to; it notes each text that it is told."""

    READY = b"Ready"

    def __init__(self, folder: Path, *, wakes: bool) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._wakes = wakes

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        wake = ["--wake-command", _program("wake_word", "hey_earshot")] if self._wakes else []
        notes = [
            part
            for event in ("transcript", "synthesize", "stt-start", "stt-stop")
            for part in (f"--{event}-command", _program("note", str(self.folder / event)))
        ]
        microphone = _program("microphone", str(RECORDINGS[SAYS].path), str(self.folder / "speak"))
        return [
            str(interpreter(WYOMING_SATELLITE)), "-m", "wyoming_satellite", "--name", "Kitchen", "--no-zeroconf",
            "--uri", self.address, "--mic-command", microphone, *wake, *notes,
        ]  # fmt: skip

    def speak(self) -> None:
        """Somebody says the recording in front of it."""
        (self.folder / "speak").touch()

    def noted(self, event: str) -> list[str]:
        """What its command for that event was given, each time."""
        place = self.folder / event
        return place.read_text().splitlines() if place.exists() else []


def _program(*words: str) -> str:
    return " ".join([sys.executable, str(PROGRAMS), *words])


@contextmanager
def satellite(folder: Path, *, wakes: bool = False) -> Iterator[RealSatellite]:
    folder.mkdir()
    one = RealSatellite(folder, wakes=wakes)
    try:
        yield one.start()
    finally:
        one.kill()


def dialling(one: RealSatellite) -> dict[str, dict[str, object]]:
    return {
        "adapters": {"wyoming": {"satellites": {"kitchen": one.address}}},
        "devices": {"rooms": {"kitchen": "Kitchen"}},
    }


async def here(house: House) -> Presence:
    """It is a device that is there, and as what it said HELLO."""
    roster = house.gateway.pipeline.roster
    await passes(lambda: [one for one in roster.devices() if one.gone is None])
    (satellite,) = roster.devices()
    return satellite


async def away(house: House) -> str:
    """It is not, and what is to be done."""
    health = house.gateway.health
    await passes(lambda: getattr(health.report().components.get("satellite kitchen"), "reason", ""))
    return health.report().components["satellite kitchen"].remedy


async def hears(house: House, one: RealSatellite, count: int) -> None:
    """It speaks, and is told the text and the answer."""
    one.speak()
    await passes(lambda: len(one.noted("transcript")) >= count)
    assert one.noted("transcript")[count - 1] == (await house.result()).text
    await passes(lambda: len(one.noted("synthesize")) >= count)


@pytest.mark.parametrize("wakes", [False, True])
async def test_a_satellite_is_heard_and_told(tmp_path: Path, *, wakes: bool) -> None:
    with satellite(tmp_path / "satellite", wakes=wakes) as one:
        async with open_house(tmp_path, **dialling(one)) as house:
            hello = (await here(house)).hello
            assert (hello.device_id, hello.link) == ("kitchen", "satellite kitchen")
            for count in (1, 2):
                await hears(house, one, count)
            assert one.noted("transcript") == [text(SAYS)] * 2
            assert all(answer.startswith("Demo: ") for answer in one.noted("synthesize"))
            assert len(one.noted("stt-start")) >= 2
            assert len(one.noted("stt-stop")) >= 2
            if wakes:
                await house.events.first(DeviceEvent, device_id="kitchen", notice="wake_word")


async def test_a_satellite_that_is_switched_off_is_found_again(tmp_path: Path) -> None:
    with satellite(tmp_path / "satellite") as one:
        async with open_house(tmp_path, **dialling(one)) as house:
            await here(house)
            one.kill()
            assert "it is dialled again by itself" in await away(house)
            one.start()
            await here(house)
            await hears(house, one, 1)


async def test_one_that_another_gateway_has_stays_with_that(tmp_path: Path) -> None:
    """This version of the program does not say so to the second: it hears nothing."""
    (tmp_path / "other").mkdir()
    with satellite(tmp_path / "satellite") as one:
        async with open_house(tmp_path / "other", **dialling(one)) as first:
            await here(first)
            async with open_house(tmp_path, **dialling(one)) as second:
                await here(second)
                await hears(first, one, 1)
                assert not second.results.items
