"""``earshot devices``, against a gateway's real API."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.link.framing import Noise
from firmware_bridge.link.wires import Line
from gateway.commands.cli import main
from gateway.commands.device_lines import lines_of
from gateway.contract.events import DeviceEvent
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import loud

EARSHOT = (sys.executable, "-m", "gateway")


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
    assert set(json.loads(line)) == {"devices", "refused", "waiting", "registered", "links", "ports"}


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
    [
        ("http://127.0.0.1:9/", 1, "9/api/v1: Connection refused\nremedy: is the gateway running?"),
        ("kitchen", 2, "is not an address like"),
    ],
)
def test_without_a_gateway(url: str, status: int, said: str) -> None:
    done = CliRunner().invoke(main, ["devices", "--url", url, "list"])
    assert (done.exit_code, said in done.output) == (status, True)


async def test_how_loud_a_device_is_and_how_its_clock_goes(tmp_path: Path) -> None:
    """A level takes a second look, for nobody pays for one that nobody wants."""
    async with open_served(tmp_path) as served, served.works.board(speed=1.0) as board:
        await served.works.events.first(DeviceEvent, device_id="kitchen")
        assert "dBFS" not in (await run(served)).output
        stream = board.end.start_stream(end_on_silence=False)
        for _ in range(20):
            board.end.audio(stream, loud(0.02), 320)
        board._pump()
        told = (await run(served)).output
        assert "-9 dBFS" in told
        assert "ppm" not in told, "nothing tells of a clock in half a second"


def test_a_device_in_one_line() -> None:
    device = {
        "device_id": "kitchen", "user_id": "ann", "room": "Kitchen", "priority": "urgent", "state": "disconnected",
        "link": "mqtt", "firmware": "fw 1", "since": 0, "reason": "unplugged", "counters": {"lost_frames": 3},
        "name": "the board", "has_key": True, "drift_ppm": -41.6, "level": -23,
    }  # fmt: skip
    told = {"devices": [device], "waiting": [], "refused": [], "registered": [], "links": [], "ports": []}
    (line,) = lines_of(told)
    assert line.startswith("kitchen           away (unplugged) since ")
    assert line.endswith(
        ": the board, Kitchen, of ann, over mqtt, fw 1, urgent, 3 frames lost, -23 dBFS, its clock -42 ppm, has a key"
    )


async def test_ports_that_nobody_listens_to_are_named(tmp_path: Path) -> None:
    """Those that the gateway tells of stand once, whatever they are called."""
    for name in ("ttyA", "ttyB", "ttyC"):
        (tmp_path / name).touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyA")
    async with open_served(tmp_path) as served:
        served.works.bridge.carrier_up(f"{tmp_path}/by-id")
        port = served.url.rsplit(":", 1)[1].strip("/")
        config = tmp_path / "config.yaml"
        config.write_text(
            f"{{web: {{port: {port}}}, devices: {{serial: {{ports: ['{tmp_path}/tty[AB]']}}}},"
            f" journal: {{path: {tmp_path}/journal.db}}}}"
        )
        command = ["devices", "--config", str(config), "--json"]
        done = await asyncio.to_thread(CliRunner().invoke, main, command)
    (line,) = [line for line in done.output.splitlines() if line.startswith('{"devices"')]
    ports = [one for one in json.loads(line)["ports"] if one["port"].startswith(str(tmp_path))]
    assert ports == [{"port": f"{tmp_path}/ttyB", "is_watched": True}]


@pytest.mark.slow
async def test_the_list_goes_on_until_somebody_ends_it(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        watching = await asyncio.create_subprocess_exec(
            *EARSHOT, "devices", "--url", served.url, "--watch", stdout=asyncio.subprocess.PIPE
        )
        assert watching.stdout
        async with asyncio.timeout(40):
            for _ in range(2):
                while b"no device has called yet" not in await watching.stdout.readline():
                    assert not watching.stdout.at_eof()
        for _ in range(6):  # Python drops an interrupt that comes while it takes something apart
            if watching.returncode is None:
                watching.send_signal(signal.SIGINT)
                with suppress(TimeoutError):
                    await asyncio.wait_for(watching.wait(), 5)
        if watching.returncode is None:
            watching.kill()
            await watching.wait()
        assert watching.returncode == 0
