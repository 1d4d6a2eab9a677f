"""``earshot devices``, against a gateway's real API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.link.framing import Noise
from firmware_bridge.link.wires import Line
from gateway.commands.cli import main
from gateway.contract.events import DeviceEvent
from tests.gateway.web.api.served import Served, open_served


async def run(served: Served, *arguments: str) -> Result:
    command = ["devices", "--url", served.url, *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_who_is_here_away_and_refused_and_what_the_lines_carry(tmp_path: Path) -> None:
    devices = {"rooms": {"kitchen": "Kitchen"}, "priorities": {"rooms": {"Kitchen": "urgent"}}}
    async with open_served(tmp_path, devices=devices) as served:
        assert "no device has called yet" in (await run(served, "list")).output
        bridge = served.works.bridge
        async with served.works.board("attic"):
            await served.works.events.first(DeviceEvent, device_id="attic")
        bridge.receive(Line("mqtt", "bath"), [Hello(Header(), "cellar", 5, "", 0, 0, 0, 0)])
        bridge.carrier_weak("/dev/ttyUSB0", "only seven bits of each byte arrive", "set it to 8N1")
        async with served.works.board("kitchen"):
            await served.works.events.first(DeviceEvent, device_id="kitchen", state="connected")
            told = (await run(served, "list")).output
            as_json = (await run(served, "list", "--json")).output
    assert "attic" in told
    assert "away (out of reach) since" in told
    assert "here since" in told
    assert "Kitchen, of home, over air-kitchen, simulator, urgent" in told
    assert "REFUSED on mqtt (BAD_ID, 1 times): this topic is bath's" in told
    assert "/dev/ttyUSB0: up\n" in told
    assert "only seven bits of each byte arrive" in told
    assert "remedy: set it to 8N1" in told
    (line,) = [line for line in as_json.splitlines() if line.startswith('{"devices"')]
    assert set(json.loads(line)) == {"devices", "refused", "waiting", "registered", "links"}


async def test_a_log_is_read_and_a_device_forgotten(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        bridge = served.works.bridge
        async with served.works.board():
            bridge.receive(Line("air-kitchen"), [Noise(b"free heap \x1b[31m31 k\n")])
            bridge.receive(Line("/dev/ttyUSB0"), [Noise(b"rst:0x1 (POWERON)\n")])
            bridge.carrier_up("/dev/ttyUSB0")
            assert (await run(served, "log", "kitchen")).output.endswith("  free heap \\x1b[31m31 k\n")
            assert (await run(served, "log", "/dev/ttyUSB0")).output.endswith("  rst:0x1 (POWERON)\n")
            here = await run(served, "forget", "kitchen")
            assert (here.exit_code, "the device is here" in here.output) == (1, True)
        await served.works.events.first(DeviceEvent, state="disconnected")
        assert "kitchen is forgotten" in (await run(served, "forget", "kitchen")).output
        for arguments in (("forget", "kitchen"), ("log", "kitchen"), ("log", "/dev/ttyS9")):
            gone = await run(served, *arguments)
            assert gone.exit_code == 1
            assert "there is no" in gone.output


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [("http://127.0.0.1:9/", 1, "is the gateway running?"), ("kitchen", 2, "is not an address like")],
)
def test_without_a_gateway(url: str, status: int, said: str) -> None:
    done = CliRunner().invoke(main, ["devices", "--url", url, "list"])
    assert (done.exit_code, said in done.output) == (status, True)
