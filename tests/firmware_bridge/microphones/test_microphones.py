"""Microphones of this machine, from the sound in the room to the gateway's events, through PulseAudio."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from firmware_bridge.link.events import DeviceConnected, LinkChanged, StreamStarted, StreamStopped
from firmware_bridge.settings import MicrophoneSettings
from firmware_bridge.speech_files import recordings
from tests.servers.pulseaudio import PulseAudio

pytestmark = pytest.mark.slow

DESK, DOOR, STUDIO = "Desk USB Mic", "Door USB Mic", "Studio"
Gateway = Callable[..., AbstractAsyncContextManager[Any]]


def microphone(name: str, **settings: Any) -> MicrophoneSettings:
    return MicrophoneSettings(name=name, **settings)


async def test_what_a_microphone_hears_is_a_stream_of_a_device(
    gateway: Gateway, pulseaudio: PulseAudio
) -> None:
    pulseaudio.plug(DESK)
    spoken = recordings()[0]
    async with gateway(microphones={"desk": microphone(DESK)}) as house:
        await house.heard.first(DeviceConnected, device_id="desk", link="microphone desk")
        pulseaudio.play(DESK, spoken.path)
        await house.heard.first(StreamStarted, device_id="desk", end_on_silence=True)
        await house.heard.first(StreamStopped, device_id="desk")
        heard = len(house.audio["desk", 1]) / 32_000
        assert spoken.seconds < heard < spoken.seconds + 5
        assert house.lost_samples == 0
    assert house.heard.of(LinkChanged, link="microphone desk", up=True)
