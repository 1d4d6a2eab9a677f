"""A real firmware against the real gateway, over the real serial adapter: the board is emulated, nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.link.events import AudioReceived, LinkEvent, StreamStopped
from firmware_bridge.settings import DeviceSettings, MqttSettings, SerialSettings
from gateway.contract.events import DeviceEvent
from gateway.observing.log import UTTERANCE
from tests.firmware_bridge.esp32.emulated.image import firmware
from tests.firmware_bridge.esp32.emulated.machine import needs_emulator, on_a_cable, on_a_terminal
from tests.record import Record, passes
from tests.system.house import RECORDINGS, open_house, pcm, text
from tests.system.process import run

pytestmark = pytest.mark.slow

ADPCM = "TALK_ADPCM=1"
"""With which the ring holds 8 s: all of the sentence, however slow the machine is on which this runs."""
SOME = 3_000
"""Bytes of a board: a third of a second of speech, in IMA ADPCM."""


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs_emulator()


async def test_it_prints_its_transcript_and_its_reply(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, on_a_terminal(firmware("u00"), tmp_path) as board:
        board.press()
        assert await board.told("heard") == text("u00")
        assert await board.told("reply") == "Demo: Timer set for 60 minutes."
        result = await house.result(device_id="emulated")
        assert (result.audio.gaps, result.audio.lost_ms, result.audio.end_reason) == (0, 0, "stop")
        assert result.audio.seconds == pytest.approx(RECORDINGS["u00"].seconds, abs=0.01)


async def test_a_pulled_cable_and_a_noisy_line_in_mid_speech_lose_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, on_a_cable(firmware("u00", ADPCM), tmp_path) as (board, cable):
        await board.told("linked")
        board.press()
        for count in (1, 2):
            await cable.carries(SOME)
            cable.pull()
            await house.events.first(DeviceEvent, state="disconnected", count=count)
            cable.plug()
        cable.flip = 2e-3  # every third frame
        assert await board.told("heard") == text("u00")
        assert await board.told("reply") == "Demo: Timer set for 60 minutes."
        result = await house.result(device_id="emulated")
        assert (result.audio.gaps, result.audio.lost_ms) == (0, 0)
        assert result.audio.seconds == pytest.approx(RECORDINGS["u00"].seconds, abs=0.01)
        assert cable.flipped


async def test_a_gateway_that_is_killed_in_mid_speech_costs_nothing(tmp_path: Path) -> None:
    async with on_a_cable(firmware("u00", ADPCM), tmp_path) as (board, cable):
        async with run(tmp_path) as gateway:
            await board.told("linked")
            board.press()
            await cable.carries(SOME)
            await gateway.kill()
        async with run(tmp_path) as gateway:
            assert await board.told("heard") == text("u00")
            assert await board.told("reply") == "Demo: Timer set for 60 minutes."
            await passes(lambda: gateway.logged(UTTERANCE))
            (line,) = gateway.logged(UTTERANCE)
        assert (line["gaps"], line["lost_ms"]) == (0, 0)
        assert line["seconds"] == pytest.approx(RECORDINGS["u00"].seconds, abs=0.01)


class Heard:
    """What a gateway's link heard of one stream, sample by sample."""

    def __init__(self) -> None:
        self.events = Record()
        self.pcm = bytearray()
        self.holes: list[tuple[int, int]] = []
        """Position and samples."""

    def __call__(self, event: LinkEvent) -> None:
        if isinstance(event, AudioReceived | StreamStopped) and event.lost_samples:
            self.holes.append((len(self.pcm) // 2, event.lost_samples))
            self.pcm += bytes(2 * event.lost_samples)
        if isinstance(event, AudioReceived):
            assert 2 * event.position == len(self.pcm)
            self.pcm += event.pcm
        self.events(event)


async def test_what_the_ring_cannot_hold_is_a_counted_gap_and_all_else_is_exact(tmp_path: Path) -> None:
    spoken, heard = bytearray(pcm("u00")), Heard()
    settings = DeviceSettings(
        serial=SerialSettings(ports=(f"{tmp_path}/usb-*",), scan_seconds=0.05), mqtt=MqttSettings(url="")
    )
    async with (
        Bridge(settings, heard),
        on_a_cable(firmware("u00", "TALK_RING_BYTES=22000"), tmp_path, seed=1) as (board, cable),
    ):
        await board.told("linked")
        cable.flip = 2e-4
        cable.pull()  # before the first word: a slow gateway is not to hear so much that the rest finds room
        board.press()
        await board.told("overrun")
        cable.plug()
        await heard.events.first(StreamStopped)
        assert sum(lost for _, lost in heard.holes) == int(await board.told("lost so far, in samples")) > 0
        for position, lost in heard.holes:
            spoken[2 * position : 2 * (position + lost)] = bytes(2 * lost)
        assert heard.pcm == spoken
