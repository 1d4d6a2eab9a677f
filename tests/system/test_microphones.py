"""A microphone of this machine and the whole gateway: what is said in the room is transcribed and answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from firmware_bridge.settings import MicrophoneSettings
from gateway.config import strict_yaml
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import DeviceEvent
from tests.servers.pulseaudio import PulseAudio
from tests.system.house import RECORDINGS, House, text

pytestmark = pytest.mark.slow

DESK = "Desk USB Mic"
PAGE = (Path(__file__).parents[2] / "docs" / "microphones.md").read_text(encoding="utf-8")


def test_the_settings_of_the_page_are_settings() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    devices = msgspec.convert(strict_yaml.parse(block[1]).data, GatewayConfig).devices
    assert devices.microphones["door"] == MicrophoneSettings(name="Scarlett*", channel=2, rate=48_000)
    assert devices.known["desk"].room == "Office"


@pytest.mark.parametrize("heard_by", [{}, {"rate": 44_100, "channel": 2}])
async def test_what_is_said_in_the_room_is_transcribed_and_answered(
    house: Callable[..., AbstractAsyncContextManager[House]], pulseaudio: PulseAudio, heard_by: dict[str, int]
) -> None:
    pulseaudio.plug(DESK)
    devices = {
        "microphones": {"desk": {"name": "desk usb*", **heard_by}},
        "users": {"desk": "ann"},
        "rooms": {"desk": "Office"},
    }
    async with house(devices=devices) as home:
        await home.events.first(DeviceEvent, device_id="desk", state="connected", room="Office")
        pulseaudio.play(DESK, RECORDINGS["u05"].path)
        heard = await home.result(device_id="desk", user_id="ann")
        assert heard.text == text("u05")
        await home.idle()
