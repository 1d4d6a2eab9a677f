"""Two gateways that hear the same devices on MQTT, of which one at a time may speak to them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link import device_end
from firmware_bridge.link.events import DeviceConnected
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import ReplyShown
from firmware_bridge.simulator.wires import Mqtt, PseudoTerminal
from tests.record import Record, passes
from tests.servers.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

SPEECH = random.Random(3).randbytes(32_000)


@pytest.fixture(autouse=True)
def impatient_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A HELLO that was lost is said again soon, for the tests' sake."""
    monkeypatch.setattr(device_end, "HELLO_AGAIN", 0.05)


def bell(mosquitto: Mosquitto, told: Record) -> SimulatedDevice:
    return SimulatedDevice("bell", Mqtt(mosquitto.url, "bell"), report=told, speed=math.inf)


async def test_a_fenced_gateway_neither_hears_nor_answers(
    gateway: Callable[..., Any], mosquitto: Mosquitto
) -> None:
    told = Record()
    async with gateway(mqtt=mosquitto.url) as fenced, gateway(mqtt=mosquitto.url) as serves:
        fenced.is_fenced = True
        async with bell(mosquitto, told) as device:
            await device.say(SPEECH, patience=0)
            await told.first(ReplyShown)
            assert [bytes(audio) for audio in serves.audio.values()] == [SPEECH]
        assert fenced.audio == {}
        assert not fenced.heard.of(DeviceConnected)
        assert len(told.of(ReplyShown)) == 1


async def test_the_fence_falls_between_two_and_nothing_is_lost(
    gateway: Callable[..., Any], mosquitto: Mosquitto
) -> None:
    told = Record()
    async with gateway(mqtt=mosquitto.url) as first, gateway(mqtt=mosquitto.url) as second:
        second.is_fenced = True
        async with bell(mosquitto, told) as device:
            await device.say(SPEECH, patience=0)
            await told.first(ReplyShown)
            first.is_fenced, second.is_fenced = True, False
            await device.say(SPEECH, patience=0)
            await told.first(ReplyShown, count=2)
        assert [len(audio) for audio in first.audio.values()] == [len(SPEECH)]
        assert [bytes(audio) for audio in second.audio.values()] == [SPEECH]


async def test_nobody_speaks_to_a_device_while_both_are_fenced(
    gateway: Callable[..., Any], mosquitto: Mosquitto
) -> None:
    told = Record()
    async with gateway(mqtt=mosquitto.url) as first, gateway(mqtt=mosquitto.url) as second:
        first.is_fenced = second.is_fenced = True
        async with bell(mosquitto, told) as device:
            stream = device.end.start_stream()
            await device._record(stream, SPEECH)
            assert not device._linked.is_set(), "it keeps what it has said"
            second.is_fenced = False
            device.end.stop_stream(stream)
            await told.first(ReplyShown)
        assert bytes(second.audio["bell", stream]) == SPEECH
        assert first.audio == {}


async def test_a_serial_line_is_its_gateways_own(gateway: Callable[..., Any], tmp_path: Path) -> None:
    told = Record()
    async with gateway(tmp_path / "usb-*") as fenced:
        fenced.is_fenced = True
        wire = PseudoTerminal(tmp_path / "usb-door")
        async with SimulatedDevice("door", wire, report=told, speed=math.inf) as device:
            await device.say(SPEECH, patience=0)
            await told.first(ReplyShown)
    await passes(lambda: fenced.audio)
    assert [bytes(audio) for audio in fenced.audio.values()] == [SPEECH]
