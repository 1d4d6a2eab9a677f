"""The doctor finds what is there, names a remedy for what is not, and never raises."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs
from rich.console import Console
from serial.tools.list_ports_common import ListPortInfo

from firmware_bridge.settings import DeviceSettings, MicrophoneSettings, MqttSettings, SerialSettings
from gateway.commands.cli import main
from gateway.commands.doctor import devices as doctor_devices
from gateway.commands.doctor import doctor
from gateway.commands.doctor.command import table
from gateway.commands.doctor.doctor import Report, examine
from gateway.commands.doctor.finding import Finding, warn
from gateway.config.configuration import GatewayConfig
from gateway.hub.hub import Hub
from gateway.observing.health import Health, HealthState
from gateway.settings.web import WebSettings
from tests.gateway.web.house import web_server
from tests.servers.process import free_port
from tests.servers.pulseaudio import PulseAudio
from transcription.models.models import BUNDLED
from transcription.settings import TranscriptionSettings


@pytest.fixture(autouse=True)
def quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration here, and nothing of this machine's own variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("EARSHOT_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def mqtt_config(url: str, port: int = 0) -> GatewayConfig:
    return GatewayConfig(devices=DeviceSettings(mqtt=MqttSettings(url=url, embedded_port=port)))


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


# -- the whole


def test_a_machine_that_runs_these_tests_has_what_earshot_needs() -> None:
    report = examine(None, {"EARSHOT_WEB__PORT": "0", "EARSHOT_DEVICES__MQTT__EMBEDDED_PORT": "0"})
    by_name = {finding.what: finding for finding in report.findings}
    assert by_name["configuration"].state == "ok"
    assert by_name["model"].state == "warn"
    assert by_name["package faster-whisper"].detail == importlib.metadata.version("faster-whisper")
    for name in (
        "python",
        "processor",
        "memory",
        "disk",
        "serial",
        "microphone",
        "mqtt",
        "broker",
        "web",
        "systemd",
    ):
        assert name in by_name


def test_a_wrong_configuration_fails_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("web: {prot: 1}\nlog: {level: x}\n")
    report = examine(None, {})
    failed = [finding for finding in report.findings if finding.what == "configuration"]
    assert report.state == "fail"
    assert [finding.state for finding in failed] == ["fail", "fail"]
    assert "did you mean web.port?" in failed[0].detail
    assert any(finding.what == "model" for finding in report.findings)


def test_a_check_that_breaks_is_itself_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        yield warn("machine", "so far so good")
        raise RuntimeError("no such file")

    monkeypatch.setattr(doctor, "machine", broken)
    found = [finding for finding in examine(None, {}).findings if finding.what == "machine"]
    assert [finding.detail for finding in found] == [
        "so far so good", "could not be checked: RuntimeError: no such file",
    ]  # fmt: skip


def test_the_json_is_for_programs_and_the_status_for_scripts(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--json"])
    document = json.loads(done.stdout)
    assert set(document) == {"state", "findings"}
    assert set(document["findings"][0]) == {"state", "what", "detail", "remedy"}
    assert done.exit_code == (1 if document["state"] == "fail" else 0)
    (tmp_path / "config.yaml").write_text("web: {prot: 1}")
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (1, "fail")


def test_the_table_shows_remedies_and_no_control_characters() -> None:
    finding = Finding("warn", "se[bold]rial", "USB \x1b[2J device [red]\nsecond line", "sudo it")
    console = Console(width=60, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    console.print(table(Report("warn", (finding,))))
    console.file.close()
    shown = console.export_text()
    assert "se[bold]rial" in shown
    assert r"USB \x1b[2J device [red]" in shown
    assert "-> sudo it" in shown


# -- packages and model


def test_what_is_not_installed_comes_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = [
        "no-such-thing>=1",
        'no-such-extra>=2 ; python_version != "3.12" and extra == "microphone"',
        'no-such-extra>=1 ; python_version == "3.12" and extra == "microphone"',
        'no-such-cipher>=1; extra == "tls"',
        'no-such-cipher>=1; extra == "firmware"',
        'no-such-tool; extra == "dev"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: requirements)
    needed, optional, wanted_twice = doctor.packages()
    assert (needed.state, needed.remedy) == ("fail", f"{sys.executable} -m pip install earshot-gateway")
    assert (optional.state, optional.detail) == ("ok", "optional, not installed")
    assert optional.remedy.endswith("-m pip install 'earshot-gateway[microphone]'")
    assert wanted_twice.remedy.endswith("-m pip install 'earshot-gateway[tls,firmware]'")


@pytest.mark.parametrize(
    ("settings", "state", "words"),
    [
        (TranscriptionSettings(), "warn", "bundled in "),
        (TranscriptionSettings(engine="off"), "ok", "none needed"),
        (TranscriptionSettings(engine="pocketsphinx"), "ok", "none needed"),
        (TranscriptionSettings(model="/no/such/folder"), "fail", "/no/such/folder"),
        (TranscriptionSettings(model="smal"), "fail", "no model named 'smal'"),
        (TranscriptionSettings(model="base", models_dir="/none"), "warn", "base is not on this disk"),
        (
            TranscriptionSettings(model="base", models_dir="/none", offline=True),
            "fail",
            "base is not on this disk",
        ),
    ],
)
def test_the_model(settings: TranscriptionSettings, state: str, words: str) -> None:
    finding = only(doctor.model(GatewayConfig(transcription=settings)))
    assert (finding.state, words in finding.detail) == (state, True), finding
    assert bool(finding.remedy) == (state != "ok")


# -- ports


def test_the_embedded_broker(busy_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(doctor.mqtt(mqtt_config("embedded"))).state == "ok"
    nobody_there = WebSettings(port=free_port())  # on the default port a gateway of somebody's may run
    finding = only(doctor.mqtt(structs.replace(mqtt_config("embedded", busy_port), web=nobody_there)))
    assert (finding.state, "mqtt://127.0.0.1" in finding.remedy) == ("warn", True)
    monkeypatch.setattr(doctor, "_installed", lambda _name: False)
    finding = only(doctor.mqtt(mqtt_config("embedded")))
    assert (finding.state, "[embedded]" in finding.remedy) == ("fail", True)


def test_mqtt_switched_off() -> None:
    assert only(doctor.mqtt(mqtt_config(""))).detail == "switched off"


def test_the_web_port(busy_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CONNECT_SECONDS", 0.1)
    assert only(doctor.web(GatewayConfig(web=WebSettings(port=0)))).state == "ok"
    assert only(doctor.web(GatewayConfig(web=WebSettings(enabled=False)))).detail == "switched off"
    finding = only(doctor.web(GatewayConfig(web=WebSettings(port=busy_port))))
    assert (finding.state, finding.remedy) == ("warn", "set web.port to a free one")


async def test_a_gateway_that_runs_already_is_recognized(busy_port: int) -> None:
    import asyncio

    settings = WebSettings(port=0)
    hub = Hub(settings)
    health = Health(hub.publish)
    health.set("recognizer", HealthState.HEALTHY)
    async with web_server(hub, health) as server:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        config = structs.replace(mqtt_config("embedded", busy_port), web=WebSettings(port=port))
        (web,) = await asyncio.to_thread(lambda: list(doctor.web(config)))
        (mqtt,) = await asyncio.to_thread(lambda: list(doctor.mqtt(config)))
    assert web == Finding("ok", "web", f"a gateway is running at 127.0.0.1:{port}")
    where = f"embedded, in the running gateway, on port {busy_port}"
    assert mqtt == Finding("ok", "mqtt", f"{where}; {doctor.LOG_IN}")


# -- devices


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ListPortInfo:
    """A board with a CH340, under a stable name."""
    device = tmp_path / "ttyUSB0"
    device.touch()
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-1a86_USB_Serial-if00").symlink_to(device)
    port = ListPortInfo(str(device))
    port.vid, port.pid, port.description = 0x1A86, 0x7523, "USB Serial"
    monkeypatch.setattr(doctor_devices, "BY_ID", by_id)
    monkeypatch.setattr(doctor_devices.list_ports, "comports", lambda: [port])
    return port


def test_a_board_is_named_by_its_stable_name_and_its_chip(board: ListPortInfo, tmp_path: Path) -> None:
    finding = only(doctor_devices.serial_ports(SerialSettings(ports=(f"{tmp_path}/by-id/*",))))
    name = tmp_path / "by-id" / "usb-1a86_USB_Serial-if00"
    assert finding == Finding("ok", "serial", f"{name} (1a86:7523 CH340, on many ESP32 boards)")


def test_a_board_that_nobody_watches_is_pointed_out(board: ListPortInfo, tmp_path: Path) -> None:
    found, unwatched = doctor_devices.serial_ports(SerialSettings(ports=("/dev/no-such-*",)))
    assert found.state == "ok"
    assert unwatched.state == "warn"
    assert "usb-1a86_USB_Serial-if00 to devices.serial.ports" in unwatched.remedy


def test_a_port_without_access_names_the_group(
    board: ListPortInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grp

    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    group = grp.getgrgid((tmp_path / "ttyUSB0").stat().st_gid).gr_name
    finding = only(doctor_devices.serial_ports(SerialSettings(ports=(f"{tmp_path}/tty*",))))
    assert finding.state == "fail"
    assert f"sudo usermod -aG {group} " in finding.remedy


def test_a_port_that_is_no_usb_device_is_found_by_its_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_devices.list_ports, "comports", list)
    (tmp_path / "ttyAMA0").touch()
    settings = SerialSettings(ports=(f"{tmp_path}/ttyAMA*", f"{tmp_path}/ttyAMA0"))
    assert only(doctor_devices.serial_ports(settings)) == Finding("ok", "serial", f"{tmp_path}/ttyAMA0")


def test_no_port_and_no_wish_for_one() -> None:
    assert only(doctor_devices.serial_ports(SerialSettings(ports=()))).detail == "switched off"
    nothing = only(doctor_devices.serial_ports(SerialSettings(ports=("/dev/no-such-*",))))
    assert (nothing.state, "nothing is plugged in" in nothing.detail) == ("ok", True)


@pytest.mark.parametrize(
    ("raises", "remedy"),
    [
        (
            "ModuleNotFoundError('sounddevice')",
            f"{sys.executable} -m pip install 'earshot-gateway[microphone]'",
        ),
        ("OSError('PortAudio library not found')", "sudo apt install libportaudio2"),
    ],
)
def test_a_missing_sound_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raises: str, remedy: str
) -> None:
    (tmp_path / "sounddevice.py").write_text(f"raise {raises}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = DeviceSettings(microphones={"desk": MicrophoneSettings()})
    for settings, state in (
        (DeviceSettings(), "ok"),
        (wanted, "fail"),
        (DeviceSettings(loudspeaker="default"), "fail"),
    ):
        finding = only(doctor_devices.sound(settings))
        assert (finding.state, finding.remedy) == (state, remedy)


def test_the_microphones_that_are_configured_are_looked_for(pulseaudio: PulseAudio) -> None:
    settings = DeviceSettings(
        microphones={"desk": MicrophoneSettings(name="desk*"), "gone": MicrophoneSettings(name="No such")},
        loudspeaker="default",
    )
    desk, gone, loudspeaker = doctor_devices.sound(settings)
    assert (desk.state, desk.detail) == ("ok", "desk: desk* is Desk USB Mic")
    assert (gone.state, gone.detail) == ("warn", "gone: No such cannot be opened now")
    assert gone.remedy
    assert (loudspeaker.state, loudspeaker.what) == ("ok", "loudspeaker")
    assert "Desk USB Mic" in only(doctor_devices.sound(DeviceSettings())).detail


def test_the_service_and_mosquitto_are_looked_for() -> None:
    found = list(doctor.system(structs.replace(GatewayConfig())))
    assert {finding.what for finding in found} == {"systemd", "mosquitto"}


def test_the_bundled_model_is_not_for_a_house_and_says_what_is() -> None:
    finding = only(doctor.model(GatewayConfig()))
    assert finding.state == "warn"
    assert "178" in finding.detail
    assert "for trying out" in finding.detail
    assert finding.remedy.startswith("earshot models fetch ")
    assert "earshot models bench" in finding.remedy


def test_a_model_that_is_not_here_says_how_it_comes() -> None:
    settings = TranscriptionSettings(model="base", models_dir="/none")
    assert "earshot models fetch base" in only(doctor.model(GatewayConfig(transcription=settings))).remedy


def test_a_model_that_is_larger_than_the_memory(tmp_path: Path) -> None:
    for file in BUNDLED.iterdir():
        (tmp_path / file.name).write_bytes(b"")
    with (tmp_path / "model.bin").open("wb") as model:
        model.truncate(10**13)  # a file with a hole: no disk is harmed
    finding = only(doctor.model(GatewayConfig(transcription=TranscriptionSettings(model=str(tmp_path)))))
    assert finding.state == "warn"
    assert "larger than the memory" in finding.detail
