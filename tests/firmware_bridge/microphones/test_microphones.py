"""Microphones of this machine, from the sound in the room to the gateway's events, through PulseAudio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    DeviceLog,
    HelloRefused,
    LinkChanged,
    StreamStarted,
    StreamStopped,
)
from firmware_bridge.microphones import microphone as microphone_device
from firmware_bridge.microphones import microphones as microphones_of_the_box
from firmware_bridge.microphones import sound_process
from firmware_bridge.microphones.microphone import MicrophoneCounters
from firmware_bridge.microphones.records import Listen, read_order
from firmware_bridge.settings import MicrophoneSettings, WakeSettings
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import PseudoTerminal
from firmware_bridge.speech_files import recordings
from tests.servers.pulseaudio import PulseAudio

pytestmark = pytest.mark.slow

DESK, DOOR, STUDIO = "Desk USB Mic", "Door USB Mic", "Studio"
Gateway = Callable[..., AbstractAsyncContextManager[Any]]


def microphone(name: str, **settings: Any) -> MicrophoneSettings:
    return MicrophoneSettings(name=name, **settings)


@pytest.fixture(autouse=True)
def short_silences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphones_of_the_box, "HOLD_SECONDS", 1.0)


def captures() -> list[psutil.Process]:
    """The processes that listen."""
    return [one for one in psutil.Process().children() if "capture" in " ".join(one.cmdline())]


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


async def test_a_microphone_that_comes_and_goes_is_a_state(gateway: Gateway, pulseaudio: PulseAudio) -> None:
    async with gateway(microphones={"desk": microphone(DESK)}) as house:
        missing = await house.heard.first(LinkChanged, link="microphone desk", up=False)
        assert missing.remedy
        pulseaudio.plug(DESK)
        await house.heard.first(DeviceConnected, device_id="desk", resumed=False)
        pulseaudio.play(DESK, recordings()[0].path)
        await house.heard.first(StreamStarted, device_id="desk")
        pulseaudio.unplug(DESK)
        await house.heard.first(StreamStopped, device_id="desk")  # what was said until then was all
        await house.heard.first(DeviceDisconnected, device_id="desk")
        pulseaudio.plug(DESK)
        await house.heard.first(DeviceConnected, device_id="desk", resumed=True)


async def test_a_card_that_comes_is_looked_at_at_once(
    gateway: Gateway, pulseaudio: PulseAudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SOUND_CARDS": tmp_path,
        "WATCH_SECONDS": 0.05,
        "FIRST_SECONDS": 90,
        "MOST_SECONDS": 90,
    }.items():
        monkeypatch.setattr(microphones_of_the_box, name, value)
    async with gateway(microphones={"desk": microphone(DESK)}) as house:
        await house.heard.first(LinkChanged, link="microphone desk", up=False)
        pulseaudio.plug(DESK)
        await asyncio.to_thread((tmp_path / "pcmC1D0c").touch)
        await house.heard.first(DeviceConnected, device_id="desk")


async def test_each_of_several_has_a_microphone_of_its_own(gateway: Gateway, pulseaudio: PulseAudio) -> None:
    pulseaudio.plug(DOOR)
    pulseaudio.plug(DESK)
    wanted = {"one": microphone("* usb mic"), "two": microphone("*USB*")}
    async with gateway(microphones=wanted) as house:
        await house.heard.first(DeviceConnected, device_id="one")
        await house.heard.first(DeviceConnected, device_id="two")
        for name, stream in ((DESK, 1), (DOOR, 2)):
            pulseaudio.play(name, recordings()[0].path)
            await house.heard.first(StreamStarted, count=stream)
        assert {started.device_id for started in house.heard.of(StreamStarted)} == {"one", "two"}


async def test_of_those_that_are_meant_one_that_opens_is_taken(
    gateway: Gateway, pulseaudio: PulseAudio
) -> None:
    """ALSA names Desk USB Mic, too, which is not there."""
    pulseaudio.plug(DOOR)
    async with gateway(microphones={"any": microphone("*usb mic")}) as house:
        await house.heard.first(DeviceConnected, device_id="any")


async def test_without_portaudio_it_is_said_and_all_else_goes_on(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with (
        gateway(tmp_path / "usb-*", microphones={"desk": microphone(DESK)}) as house,
        SimulatedDevice("board", PseudoTerminal(tmp_path / "usb-board"), speed=math.inf) as board,
    ):
        missing = await house.heard.first(LinkChanged, link="microphone desk", up=False)
        assert missing.reason == "PortAudio is not installed"
        assert "libportaudio2" in missing.remedy
        await board.connected()
        assert (await board.say(bytes(32_000))).reply == "reply to board"


async def test_a_process_that_dies_is_started_again(gateway: Gateway, pulseaudio: PulseAudio) -> None:
    pulseaudio.plug(DESK)
    async with gateway(microphones={"desk": microphone(DESK)}) as house:
        await house.heard.first(DeviceConnected, device_id="desk")
        (child,) = captures()
        child.kill()
        await house.heard.first(LinkChanged, link="microphone desk", up=False)
        await house.heard.first(DeviceConnected, device_id="desk", resumed=True)


async def test_a_sound_server_that_dies_and_comes_back_takes_its_microphones_with_it(
    gateway: Gateway, pulseaudio: PulseAudio
) -> None:
    pulseaudio.plug(DESK)
    async with gateway(microphones={"desk": microphone(DESK)}) as house:
        await house.heard.first(DeviceConnected, device_id="desk")
        await asyncio.to_thread(pulseaudio.kill)
        await house.heard.first(LinkChanged, link="microphone desk", up=False)
        await asyncio.to_thread(pulseaudio.start)
        await asyncio.to_thread(pulseaudio.plug, DESK)
        await house.heard.first(DeviceConnected, device_id="desk", resumed=True)


async def test_after_a_wake_word_one_may_think_as_long_as_its_settings_say(
    gateway: Gateway, pulseaudio: PulseAudio
) -> None:
    pulseaudio.plug(DESK)
    wake = WakeSettings(devices={"desk": ("okay_nabu",)}, seconds=20.0)
    async with gateway(microphones={"desk": microphone(DESK)}, wake=wake) as house:
        await house.heard.first(DeviceConnected, device_id="desk")
        (child,) = captures()
        order = read_order(child.cmdline()[-1])
        assert isinstance(order, Listen)
        assert order.hold_seconds > 20.0


async def test_no_board_has_the_id_of_a_microphone(
    gateway: Gateway, pulseaudio: PulseAudio, tmp_path: Path
) -> None:
    pulseaudio.plug(DESK)
    async with gateway(tmp_path / "usb-*", microphones={"desk": microphone(DESK)}) as house:
        await house.heard.first(DeviceConnected, device_id="desk")
        async with SimulatedDevice("desk", PseudoTerminal(tmp_path / "usb-thief")):
            await house.heard.first(HelloRefused, device_id="desk")
        assert not house.heard.of(DeviceDisconnected)


OVERRUN = """
import socket, sys, time
from firmware_bridge.microphones.records import *
answers = socket.socket(fileno=int(sys.argv[1]))
say = lambda record: answers.send(encode_record(record))
if isinstance(read_order(sys.argv[2]), Look):
    say(SoundDevices((SoundDevice("Desk USB Mic", 1, 0, 48000),)))
    sys.exit()
say(Listening(48000, 1))
say(Sound(bytes(640)))
say(Sound(bytes(640), lost=4800))
say(Measured(level_db=-40.0, overruns=1, lost_ms=300, drift_ppm=12.5))
time.sleep(0.3)
say(Measured(level_db=-40.0, overruns=1, lost_ms=300, drift_ppm=12.5))
time.sleep(60)
"""


async def test_what_a_machine_was_too_busy_for_is_a_hole_that_is_told(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PulseAudio loses nothing of a program that is busy for seconds; sound cards do."""
    await asyncio.to_thread((tmp_path / "losing.py").write_text, OVERRUN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sound_process, "MODULE", "losing")
    monkeypatch.setattr(microphone_device, "WEAK_SECONDS", 0.1)
    async with gateway(microphones={"desk": microphone(DESK)}) as house:
        assert (await house.heard.first(AudioReceived, count=2)).lost_samples == 4800
        weak = await house.heard.first(LinkChanged, link="microphone desk", count=2)
        assert (weak.up, weak.reason) == (
            True,
            "300 ms of sound were lost: this machine was too busy to take it",
        )
        assert weak.remedy
        await house.heard.first(DeviceLog, device_id="desk", text=weak.reason)
        well = await house.heard.first(LinkChanged, link="microphone desk", count=3)
        assert (well.up, well.reason) == (True, "")
        (link,) = house.bridge.links()
        assert link.counters == MicrophoneCounters(
            frames=2, overruns=1, lost_ms=300, drift_ppm=12, level_db=-40
        )
