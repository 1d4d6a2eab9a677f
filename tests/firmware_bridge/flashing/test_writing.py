"""Boards flashed over a real port, by esptool, against a bootloader that answers as the chip's does."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeAlias

import pytest

from firmware_bridge.flashing.bootloader import Bootloader
from firmware_bridge.flashing.images import FlashPiece, read_firmware
from firmware_bridge.flashing.nvs_image import nvs_image
from firmware_bridge.flashing.nvs_pages import NvsEntry, read_entries
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.flashing.writing import FlashJob, write
from tests.firmware_bridge.flashing import samples
from tests.firmware_bridge.flashing.board import Board, mock_bootloader

pytestmark = pytest.mark.slow

Plug: TypeAlias = Callable[..., Board]


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """Makes boards with a bootloader of this chip."""
    with ExitStack() as stack:

        def make(chip: str, **options: int | bytes) -> Board:
            tcp = stack.enter_context(mock_bootloader(tmp_path, chip))
            board = Board(tmp_path / "usb-board", tcp, **options)  # type: ignore[arg-type]
            stack.callback(board.close)
            return board

        yield make


def settings_on(bootloader: Bootloader) -> dict[str, object]:
    image = bootloader.read(samples.NVS_AT, samples.NVS_SIZE)
    return {one.key: one.value for one in read_entries(image) if one.namespace == "earshot"}


def test_a_build_folder_and_settings_are_on_the_board(plug: Plug, tmp_path: Path) -> None:
    board = plug("esp32c3")
    steps: list[tuple[str, int]] = []
    bootloader = Bootloader(str(board.port), on_progress=lambda *step: steps.append(step))
    firmware = read_firmware(samples.build_folder(tmp_path / "build"))
    seen = bootloader.look()
    settings = {
        "id": "kitchen",
        "room": "Küche",
        "carrier": "serial",
        "baud": 921_600,
        "image_key": b"\7" * 64,
    }
    assert write(bootloader, seen, FlashJob(firmware, settings)) == settings
    assert (seen.chip.name, seen.flash_bytes) == ("ESP32-C3", 4 * 2**20)
    assert seen.mac.startswith("24:0a:c4")
    assert steps[-1] == ("writing", 100)
    for piece in firmware.pieces:
        assert bootloader.read(piece.offset, len(piece.data)) == piece.data, piece.name
    assert settings_on(bootloader) == settings


def test_a_merged_image_leaves_the_settings_that_are_there(plug: Plug, tmp_path: Path) -> None:
    board = plug("esp32")
    bootloader = Bootloader(str(board.port))
    old = [
        NvsEntry("earshot", "id", "string", "attic"),
        NvsEntry("earshot", "wifi_pass", "string", "not to be lost"),
        NvsEntry("phy", "cal_data", "blob", bytes(range(256)) * 8),
    ]
    there = nvs_image(old, samples.NVS_SIZE)
    path = tmp_path / "talk.merged.bin"
    firmware = read_firmware(_written(path, samples.merged(samples.BY_TARGET["esp32"])))
    nvs = next(one for one in firmware.partitions if one.label == "nvs")
    bootloader.write([*firmware.without(nvs), a_piece(there)])
    write(bootloader, bootloader.look(), FlashJob(firmware))
    assert bootloader.read(samples.NVS_AT, samples.NVS_SIZE) == there
    write(bootloader, bootloader.look(), FlashJob(firmware, {"room": "Attic", "id": "top"}))
    assert settings_on(bootloader) == {"id": "top", "room": "Attic", "wifi_pass": "not to be lost"}
    whole = bootloader.read(samples.NVS_AT, samples.NVS_SIZE)
    assert old[2] in read_entries(whole)


def test_a_firmware_without_a_place_for_settings_is_flashed_and_takes_none(
    plug: Plug, tmp_path: Path
) -> None:
    bootloader = Bootloader(str(plug("esp32c3").port))
    board = bootloader.look()
    rows = (("factory", 0, 0, samples.APP_AT, samples.APP_SIZE),)
    data = samples.merged(samples.BY_TARGET["esp32c3"], partitions=samples.table(rows))
    firmware = read_firmware(_written(tmp_path / "small.bin", data))
    write(bootloader, board, FlashJob(firmware))
    assert bootloader.read(0x8000, 0x8100) == data[0x8000:0x10100]
    with pytest.raises(FlashTrouble, match="no NVS partition"):
        write(bootloader, board, FlashJob(firmware, {"id": "a"}))


def test_settings_alone_go_where_the_boards_own_table_says(plug: Plug) -> None:
    bootloader = Bootloader(str(plug("esp32s3").port))
    rows = (
        ("nvs_keys", 1, 4, 0x9000, 0x1000),
        ("nvs", 1, 2, 0x20000, 0x4000),
        ("app", 0, 0, 0x30000, 0x10000),
    )
    bootloader.write([a_piece(samples.table(rows), 0x8000)])
    write(bootloader, bootloader.look(), FlashJob(settings={"id": "hall"}))
    assert read_entries(bootloader.read(0x20000, 0x4000)) == (NvsEntry("earshot", "id", "string", "hall"),)


def test_erased_is_all_of_it(plug: Plug, tmp_path: Path) -> None:
    bootloader = Bootloader(str(plug("esp32c3").port))
    firmware = read_firmware(samples.build_folder(tmp_path / "build"))
    write(bootloader, bootloader.look(), FlashJob(firmware, {"id": "a", "room": "b"}))
    write(bootloader, bootloader.look(), FlashJob(firmware, {"id": "c"}, erase=True))
    assert settings_on(bootloader) == {"id": "c"}
    write(bootloader, bootloader.look(), FlashJob(erase=True))
    assert set(bootloader.read(0, 0x20000)) == {0xFF}


def test_a_firmware_for_another_chip_is_not_written(plug: Plug, tmp_path: Path) -> None:
    bootloader = Bootloader(str(plug("esp32").port))
    firmware = read_firmware(samples.build_folder(tmp_path / "build", "esp32c3"))
    with pytest.raises(FlashTrouble, match=r"for the ESP32-C3, and the board has an ESP32$"):
        write(bootloader, bootloader.look(), FlashJob(firmware, {"id": "a"}, erase=True))
    assert set(bootloader.read(0, 0x10000)) == {0xFF}


def test_a_firmware_larger_than_the_flash_is_not_written(plug: Plug, tmp_path: Path) -> None:
    bootloader = Bootloader(str(plug("esp32").port))
    rows = (*samples.ROWS, ("storage", 1, 0x82, 0x400000, 0x400000))
    data = samples.merged(samples.BY_TARGET["esp32"], partitions=samples.table(rows))
    firmware = read_firmware(_written(tmp_path / "large.bin", data))
    with pytest.raises(FlashTrouble, match="needs 8 MiB of flash, and the board has 4"):
        write(bootloader, bootloader.look(), FlashJob(firmware))


def test_settings_that_cannot_work_are_not_written_and_nothing_is_erased(plug: Plug, tmp_path: Path) -> None:
    bootloader = Bootloader(str(plug("esp32c3").port))
    firmware = read_firmware(samples.build_folder(tmp_path / "build"))
    write(bootloader, bootloader.look(), FlashJob(firmware, {"id": "a"}))
    with pytest.raises(FlashTrouble, match="needs wifi_ssid and mqtt_url"):
        write(bootloader, bootloader.look(), FlashJob(firmware, {"carrier": "mqtt"}, erase=True))
    assert settings_on(bootloader) == {"id": "a"}


def test_a_cable_that_is_pulled_in_the_middle_is_told(plug: Plug) -> None:
    board = plug("esp32c3", pull_after=60_000)
    large = FlashPiece(samples.APP_AT, random.Random(1).randbytes(200_000), "large")
    with pytest.raises(FlashTrouble, match="unplugged in the middle") as error:
        Bootloader(str(board.port), attempts=1).write([large])
    assert "flash it again" in error.value.remedy


@pytest.mark.parametrize(
    "runs_on",
    [b"", b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", b"\xc0\0\1\2 hello, I run\xc0"],
    ids=["silent", "booting", "running"],
)
def test_a_board_that_is_not_in_download_mode_is_told_with_the_buttons(
    tmp_path: Path, runs_on: bytes
) -> None:
    board = Board(tmp_path / "usb-board", None, runs_on=runs_on)
    try:
        with pytest.raises(FlashTrouble) as error:
            Bootloader(str(board.port), attempts=1).look()
    finally:
        board.close()
    assert "hold BOOT" in error.value.remedy
    assert str(board.port) in error.value.reason


def test_a_port_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FlashTrouble, match="cannot be opened"):
        Bootloader(str(tmp_path / "usb-none"), attempts=1).look()


def test_nothing_of_what_is_written_lies_in_a_file_or_on_a_command_line(plug: Plug, tmp_path: Path) -> None:
    """Looked at while esptool writes: of a process, anybody may read the command line."""
    board = plug("esp32c3")
    secret = "correct horse battery staple"
    seen: list[bytes] = []

    def look(_what: str, _done: int) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                seen.append(process.read_bytes())

    bootloader = Bootloader(str(board.port), on_progress=look)
    firmware = read_firmware(samples.build_folder(tmp_path / "build"))
    settings = {"id": "a", "wifi_ssid": "Home", "wifi_pass": secret}
    write(bootloader, bootloader.look(), FlashJob(firmware, settings))
    assert settings_on(bootloader)["wifi_pass"] == secret
    assert any(b"write-flash" in line for line in seen)
    assert not any(secret.encode() in line for line in seen)
    assert not [path for path in _files() if secret.encode() in _bytes(path)]


def _files() -> Iterator[Path]:
    """What lies where a program would leave temporary files; other tests' come and go."""
    for path in Path(tempfile.gettempdir()).rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                yield path


def _bytes(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def a_piece(data: bytes, offset: int = samples.NVS_AT) -> FlashPiece:
    return FlashPiece(offset, data, "sample")


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
