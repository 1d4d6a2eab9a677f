"""A microphone of this machine and the whole gateway: what is said in the room is transcribed and answered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from gateway.contract.events import DeviceEvent
from tests.servers.pulseaudio import PulseAudio
from tests.system.house import RECORDINGS, House, text

pytestmark = pytest.mark.slow

DESK = "Desk USB Mic"


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
