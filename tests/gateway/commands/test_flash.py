"""`earshot flash`, as it is typed."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result

from firmware_bridge.flashing.bootloader import Bootloader
from firmware_bridge.flashing.images import read_firmware
from firmware_bridge.flashing.nvs_pages import read_entries
from firmware_bridge.link.device_end import DeviceEnd
from gateway.commands.cli import main
from gateway.registry.file import RegistryFile
from tests.firmware_bridge.flashing import samples
from tests.firmware_bridge.flashing.board import Board, mock_bootloader
from tests.gateway.web.api.served import open_served

Plug: TypeAlias = Callable[[], Board]


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """Makes a C3 that runs a firmware which says HELLO."""
    with ExitStack() as stack:

        def make() -> Board:
            tcp = stack.enter_context(mock_bootloader(tmp_path, "esp32c3"))
            device = DeviceEnd("kitchen", boot=5, ring_frames=10, firmware="talk 1.0")
            board = Board(tmp_path / "usb-board", tcp, device)
            stack.callback(board.close)
            return board

        yield make


def flash(*words: object) -> Result:
    return CliRunner().invoke(main, ["flash", *map(str, words)])


def settings_on(board: Board) -> dict[str, object]:
    image = Bootloader(str(board.port)).read(samples.NVS_AT, samples.NVS_SIZE)
    return {one.key: one.value for one in read_entries(image)}


@pytest.mark.slow
def test_a_board_is_flashed_told_who_it_is_and_welcomed(plug: Plug, tmp_path: Path) -> None:
    board = plug()
    build = samples.build_folder(tmp_path / "build")
    result = flash(build, "--port", board.port, "--id", "kitchen", "--room", "Kitchen", "--carrier", "serial")
    assert result.exit_code == 0, result.output
    found, written, boots, hello = result.output.splitlines()
    assert found.startswith(f"{board.port}: ESP32-C3 (QFN32) (revision v0.0), 24:0a:c4")
    assert found.endswith("4 MiB of flash")
    assert written == "written, and compared with what the board has"
    assert "boot: ESP-IDF" in boots
    assert hello == "kitchen says HELLO, firmware talk 1.0; HELLO to you, kitchen"
    assert settings_on(board) == {"id": "kitchen", "room": "Kitchen", "carrier": "serial"}


@pytest.mark.slow
def test_a_board_behind_a_network_port_is_flashed_and_not_waited_for(tmp_path: Path) -> None:
    """An emulator's UART, for one: esptool knows the way."""
    build = samples.build_folder(tmp_path / "build")
    with mock_bootloader(tmp_path, "esp32c3") as tcp:
        result = flash(build, "--port", f"socket://127.0.0.1:{tcp}", "--id", "kitchen")
    assert result.exit_code == 0, result.output
    assert "nobody here waits for its HELLO" in result.output


@pytest.mark.slow
def test_settings_come_from_a_file_that_is_ours_alone(plug: Plug, tmp_path: Path) -> None:
    board = plug()
    flash(samples.build_folder(tmp_path / "build"), "--port", board.port, "--no-wait")
    file = tmp_path / "attic.yaml"
    file.write_text("id: attic\nwifi_ssid: Home\nwifi_pass: correct horse\nbaud: 115200\n", encoding="utf-8")
    file.chmod(0o644)
    refused = flash("--settings-only", "--port", board.port, "--settings", file, "--no-wait")
    assert refused.exit_code == 1
    assert f"chmod 600 {file}" in refused.output
    file.chmod(0o600)
    taken = flash("--settings-only", "--port", board.port, "--settings", file, "--room", "Attic", "--no-wait")
    assert taken.exit_code == 0, taken.output
    assert "correct horse" not in taken.output
    expected = {
        "id": "attic",
        "wifi_ssid": "Home",
        "wifi_pass": "correct horse",
        "baud": 115_200,
        "room": "Attic",
    }
    assert settings_on(board) == expected
    file.write_text("room:\n", encoding="utf-8")
    other = flash("--settings-only", "--port", board.port, "--settings", file, "--wifi", "Other", "--no-wait")
    assert other.exit_code == 0, other.output
    assert settings_on(board) == {"id": "attic", "wifi_ssid": "Other", "baud": 115_200}


@pytest.mark.slow
def test_a_board_that_says_no_hello_is_told_with_the_remedy(plug: Plug, tmp_path: Path) -> None:
    board = plug()
    board.silence()
    result = flash(samples.build_folder(tmp_path / "build"), "--port", board.port, "--wait", 0.2)
    assert result.exit_code == 1
    assert "it was flashed, and said no HELLO in 0.2 s\nremedy: press RESET" in result.output


@pytest.mark.slow
def test_a_firmware_that_does_not_take_its_id_is_told_of(plug: Plug, tmp_path: Path) -> None:
    result = flash(samples.build_folder(tmp_path / "build"), "--port", plug().port, "--id", "attic")
    assert result.exit_code == 1
    assert (
        "told to be attic, and calls itself kitchen\nremedy: its firmware reads no settings" in result.output
    )


@pytest.mark.slow
def test_a_password_is_asked_for_where_somebody_can_answer_and_is_not_shown(tmp_path: Path) -> None:
    """Typed on a terminal; the board is none, so that what was typed goes nowhere."""
    ours, theirs = pty.openpty()
    words = [
        sys.executable,
        "-m",
        "gateway",
        "flash",
        "--settings-only",
        "--wifi",
        "Home",
        "--port",
        str(tmp_path / "x"),
    ]
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        said = b""
        while b"Wi-Fi password" not in said:
            said += os.read(ours, 1000)
        os.write(ours, b"correct horse\n")
        while b"remedy" not in said:
            said += os.read(ours, 1000)
        process.wait()
    os.close(ours)
    assert process.returncode == 1
    assert b"no such port" in said
    assert b"correct" not in said


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["esptool", "esp_idf_nvs_partition_gen"])
def test_without_the_extra_it_is_told_how_to_get_it(missing: str, plug: Plug, tmp_path: Path) -> None:
    board = plug()
    build = samples.build_folder(tmp_path / "build")
    program = f"import sys; sys.modules[{missing!r}] = None; from gateway.commands.cli import main; main()"
    words = [sys.executable, "-c", program, "flash", str(build), "--port", str(board.port), "--id", "kitchen"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"remedy: {sys.executable} -m pip install 'earshot-gateway[flash]'" in done.stderr
    assert "written" not in done.stdout


@pytest.mark.slow
def test_how_far_it_is_stands_on_a_terminal(plug: Plug, tmp_path: Path) -> None:
    board = plug()
    build = samples.build_folder(tmp_path / "build")
    words = [sys.executable, "-m", "gateway", "flash", str(build), "--port", str(board.port), "--no-wait"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # that is how a terminal ends
            while data := os.read(ours, 1000):
                said += data
    os.close(ours)
    assert process.returncode == 0
    assert b"\rwriting: 100 %" in said
    assert said.endswith(b"\r                    \rwritten, and compared with what the board has\r\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "what is to be flashed?"),
        (("--settings-only",), "no setting was said"),
        (("--settings-only", "build"), "without IMAGE"),
        (("--settings-only", "--erase"), "without IMAGE"),
        (("--carrier", "smoke"), "smoke"),
        (("--out", "x.bin"), "--out takes an IMAGE"),
    ],
)
def test_a_command_line_that_says_nothing_is_wrong(words: tuple[str, ...], told: str) -> None:
    result = flash(*words)
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a list:\n  - 1\n", "holds no settings"),
        ("just words", "holds no settings"),
        ("id: [1\n", ":2 cannot be read"),
        ("wifi: x\n", "no setting 'wifi'"),
        ("id: kitchen table\n", "id is not what it has to be"),
        ("wifi_ssid: Home\nwifi_pass: 0123456789\n", "remedy: in quotes: wifi_pass: "),
        ("mqtt_pass: 1.50\n", "remedy: in quotes: mqtt_pass: "),
        ("room: true\n", "remedy: in quotes: room: "),
    ],
)
def test_a_settings_file_that_is_none_is_told_without_its_words(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "board.yaml"
    file.write_text(text, encoding="utf-8")
    result = flash("--settings-only", "--settings", file, "--port", tmp_path / "none")
    assert result.exit_code == 1
    assert told in result.output
    assert "remedy: " in result.output
    assert "123456789" not in result.output


NETWORK = ("--carrier", "mqtt", "--wifi", "Home", "--broker", "mqtt://box")


@pytest.mark.slow
async def test_a_board_on_the_network_is_seen_to_reach_its_gateway(plug: Plug, tmp_path: Path) -> None:
    board = plug()
    build = samples.build_folder(tmp_path / "build")
    async with open_served(tmp_path / "gateway") as served:
        words = (build, "--port", board.port, "--id", "kitchen", *NETWORK, "--url", served.url, "--wait", 60)
        flashing = asyncio.create_task(asyncio.to_thread(flash, *words))
        assert await asyncio.to_thread(board.greeted.wait, 60)
        async with served.works.board("kitchen"):
            result = await flashing
        assert result.exit_code == 0, result.output
        assert "kitchen has said HELLO over air-kitchen, firmware simulator" in result.output
        board.silence()
        lost = await asyncio.to_thread(flash, "--settings-only", *words[1:-1], 0.2)
    assert lost.exit_code == 1
    assert (
        "said no HELLO in 0.2 s\nremedy: press RESET; what it printed stands above. Is the Wi-Fi"
        in lost.output
    )


def test_what_is_added_has_a_key_that_the_gateway_knows_and_nobody_sees(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"journal: {{path: {tmp_path}/state/journal.db}}", encoding="utf-8")
    build, out = samples.build_folder(tmp_path / "build"), tmp_path / "attic.bin"
    words = (build, "--id", "attic", "--room", "Attic", "--user", "ann", "--carrier", "serial", "--add")
    result = flash(*words, "--out", out, "--config", config)
    assert result.exit_code == 0, result.output
    assert "attic is approved, and has a key of its own" in result.output
    nvs = {one.key: one.value for one in read_entries(out.read_bytes()[samples.NVS_AT :][: samples.NVS_SIZE])}
    known = RegistryFile(tmp_path / "state").read()["attic"]
    assert (known.key, known.facts.room, known.facts.user) == (nvs["key"], "Attic", "ann")
    assert str(nvs["key"]) not in result.output
    assert "--add needs the --id" in flash(build, "--add").output


def test_a_file_holds_what_a_boards_flash_would_and_is_ours_alone(tmp_path: Path) -> None:
    build = samples.build_folder(tmp_path / "build", "esp32")
    out = tmp_path / "kitchen.bin"
    result = flash(build, "--id", "kitchen", "--carrier", "serial", "--out", out)
    assert result.exit_code == 0, result.output
    assert out.stat().st_mode & 0o777 == 0o600
    data = out.read_bytes()
    for piece in read_firmware(build).pieces:
        assert data[piece.offset : piece.end] == piece.data
    nvs = read_entries(data[samples.NVS_AT :][: samples.NVS_SIZE])
    assert {one.key: one.value for one in nvs} == {"id": "kitchen", "carrier": "serial"}
    again = read_firmware(out)
    assert again.chip.name == "ESP32"
    refused = flash(build, "--carrier", "mqtt", "--out", out)
    assert (refused.exit_code, out.read_bytes()) == (1, data)
    assert flash(build, "--out", tmp_path / "none" / "x" / "y" / "kitchen.bin").exit_code == 0
    assert flash(build, "--out", build).exit_code == 1


def test_an_image_that_is_none_is_told_before_a_port_is_looked_for(tmp_path: Path) -> None:
    result = flash(tmp_path / "none.bin")
    assert result.exit_code == 1
    assert f"there is no {tmp_path / 'none.bin'}\nremedy: build the firmware first" in result.output
