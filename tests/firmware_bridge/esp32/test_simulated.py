"""The simulator with the library in C in it, against a gateway's real links: a terminal, a broker, mischief."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.events import DeviceConnected
from firmware_bridge.link.frames import Codec
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import DeviceWire, Mischief, Mqtt, PseudoTerminal
from firmware_bridge.speech_files import read_wav, recordings
from tests.firmware_bridge.esp32 import jig

SPEECH = recordings()[0]

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")


def simulated(wire: DeviceWire, carrier: int, **wants: Any) -> SimulatedDevice:
    """A simulated device, its end in C."""
    device = SimulatedDevice("sim", wire, speed=wants.pop("speed", math.inf), **wants)
    end = jig.Device("sim", boot=device.end.boot, ring_frames=1500, frame_size=2048, carrier=carrier)
    device.end = end  # type: ignore[assignment]
    return device


@pytest.mark.parametrize("codec", [Codec.PCM16, Codec.IMA_ADPCM])
async def test_over_a_terminal_under_mischief(gateway: Any, tmp_path: Path, codec: Codec) -> None:
    wire = PseudoTerminal(tmp_path / "usb-1")
    mischief = Mischief(seed=3, corrupt=0.05, drop=0.05, duplicate=0.05)
    pcm = read_wav(SPEECH.path)
    async with (
        gateway(tmp_path / "usb-1") as one,
        simulated(wire, jig.SERIAL, codec=codec, mischief=mischief) as sim,
    ):
        await sim.connected()
        said = await sim.say(pcm)
    assert (said.transcript, said.reply) == ("text for sim", "reply to sim")
    assert one.lost_samples == 0
    if codec is Codec.PCM16:
        assert one.audio["sim", said.stream] == pcm


async def test_over_a_broker(gateway: Any, mosquitto: Any) -> None:
    wire = Mqtt(mosquitto.url, "sim")
    pcm = read_wav(SPEECH.path)
    async with (
        gateway(mqtt=mosquitto.url) as one,
        simulated(wire, jig.MESSAGES, codec=Codec.IMA_ADPCM) as sim,
    ):
        await sim.connected()
        said = await sim.say(pcm)
    assert said.reply == "reply to sim"
    assert abs(len(one.audio["sim", said.stream]) - len(pcm)) < 4
    assert one.lost_samples == 0


@pytest.mark.slow
async def test_a_cat_that_plays_with_the_cable_costs_nothing(gateway: Any, tmp_path: Path) -> None:
    wire = PseudoTerminal(tmp_path / "usb-1")
    pcm = read_wav(SPEECH.path)
    async with (
        gateway(tmp_path / "usb-*") as one,
        simulated(wire, jig.SERIAL, speed=2, mischief=Mischief(unplug_seconds=0.3)) as sim,
    ):
        said = await sim.say(pcm)
        assert one.audio["sim", said.stream] == pcm
        assert len(one.heard.of(DeviceConnected)) > 1
        assert said.reply == "reply to sim"
