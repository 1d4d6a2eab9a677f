"""Boards and their lines in a whole house: pulled, renumbered, at a wrong rate, refused; and what a broker has kept."""

from __future__ import annotations

import os
import tty
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.simulator.wires import PseudoTerminal
from gateway.contract.events import DeviceEvent, HealthEvent
from gateway.observing.health import ComponentHealth
from tests.record import passes
from tests.system.house import Board, House

pytestmark = pytest.mark.slow

OFF = {"transcription": {"engine": "off"}}


def components(house: House) -> dict[str, ComponentHealth]:
    return house.gateway.health.report().components


async def test_a_board_that_is_pulled_and_plugged_in_elsewhere(house: Any, tmp_path: Path) -> None:
    async with house(**OFF) as one:
        first, second = tmp_path / "usb-1", tmp_path / "usb-2"
        async with Board("kitchen", PseudoTerminal(first)):
            await one.events.first(DeviceEvent, device_id="kitchen", state="connected")
        told = await one.events.first(HealthEvent, component=str(first), about="kitchen")
        assert (told.state, told.works) == ("degraded", False)
        assert "earshot devices forget kitchen" in told.remedy
        async with Board("kitchen", PseudoTerminal(second)):
            await one.events.first(HealthEvent, component=str(first), state="forgotten")
            assert str(first) not in components(one)
        await one.events.first(HealthEvent, component=str(second), about="kitchen")
        assert one.gateway.pipeline.forget("kitchen")
        await one.events.first(HealthEvent, component=str(second), state="forgotten")
        await one.events.first(DeviceEvent, device_id="kitchen", state="forgotten")


async def test_a_line_at_another_rate_is_told_and_goes_with_its_port(house: Any, tmp_path: Path) -> None:
    async with house(**OFF) as one:
        name = tmp_path / "usb-1"
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        name.symlink_to(os.ttyname(theirs))

        def told() -> bool:
            os.write(ours, b"\xf8\x86\x1f\xe6\x9e\0")
            return any("devices.serial.baudrate" in event.remedy for event in one.events.of(HealthEvent))

        await passes(told)
        name.unlink()
        for descriptor in (ours, theirs):
            os.close(descriptor)
        await one.events.first(HealthEvent, component=str(name), state="forgotten")


async def test_what_a_broker_has_kept_makes_no_device_and_no_reboot(house: Any, mosquitto: Any) -> None:
    stranger = await MqttConnection.open(
        BrokerAddress.parse(mosquitto.url), MqttSession(client_id="stranger"), lambda _: None
    )
    for device_id in ("ghost", "kitchen"):
        hello = Hello(Header(), device_id, 99, "of last year", 0, 0, 0, 0)
        stranger.publish(f"earshot/v1/{device_id}/up", hello.to_bytes(), retain=True)
        stranger.publish(f"earshot/v1/{device_id}/state", b"offline", retain=True)
    async with house(mqtt=mosquitto.url, **OFF) as one, one.board("kitchen", "mqtt"):
        await one.events.first(DeviceEvent, device_id="kitchen", state="connected")
        (info,) = one.gateway.bridge.devices()
        assert info.id == "kitchen"
        assert info.firmware != "of last year"
        assert not one.events.of(DeviceEvent, state="disconnected")
    await stranger.close()


async def test_a_device_under_anothers_topic_is_named_until_it_stops(house: Any, mosquitto: Any) -> None:
    stranger = await MqttConnection.open(
        BrokerAddress.parse(mosquitto.url), MqttSession(client_id="stranger"), lambda _: None
    )
    async with house(mqtt=mosquitto.url, **OFF) as one:
        await passes(lambda: "mqtt" in components(one) and components(one)["mqtt"].state == "healthy")
        hello = Hello(Header(), "cellar", 5, "", 0, 0, 0, 0)
        stranger.publish("earshot/v1/bath/up", hello.to_bytes())
        told = await one.events.first(HealthEvent, component="devices")
        assert told.reason == "cellar on mqtt is refused: this topic is bath's"
    await stranger.close()
