"""Firmware looked at before it is written: what it is for, and whether it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.flashing.chips import BY_TARGET, CHIPS, Chip
from firmware_bridge.flashing.images import FlashPiece, read_firmware
from firmware_bridge.flashing.partitions import Partition, nvs_of, read_partitions
from firmware_bridge.flashing.trouble import FlashTrouble
from tests.firmware_bridge.flashing import samples

ESP32, C3, C5 = BY_TARGET["esp32"], BY_TARGET["esp32c3"], BY_TARGET["esp32c5"]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.slow
def test_the_chips_are_esptools() -> None:
    from esptool.targets import CHIP_DEFS

    theirs = {
        Chip(one.CHIP_NAME, one.IMAGE_CHIP_ID, one.BOOTLOADER_FLASH_OFFSET)
        for one in CHIP_DEFS.values()
        if one.IMAGE_CHIP_ID is not None
    }
    assert theirs >= set(CHIPS)
    assert {chip.name for chip in CHIPS} >= {"ESP32", "ESP32-S3", "ESP32-C3", "ESP32-C6"}


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.target)
def test_a_merged_image_is_known_by_its_bootloader(chip: Chip, tmp_path: Path) -> None:
    firmware = read_firmware(written(tmp_path / "talk.bin", samples.merged(chip)))
    assert firmware.chip is chip
    assert nvs_of(firmware.partitions) == Partition("nvs", 1, 2, samples.NVS_AT, samples.NVS_SIZE)


def test_a_build_folder_is_its_pieces_in_order(tmp_path: Path) -> None:
    firmware = read_firmware(samples.build_folder(tmp_path, "esp32"))
    assert firmware.chip is ESP32
    assert [piece.offset for piece in firmware.pieces] == [0x1000, 0x8000, 0x10000]


def test_what_would_cover_the_settings_is_left_out(tmp_path: Path) -> None:
    data = samples.merged(C3)
    firmware = read_firmware(written(tmp_path / "talk.bin", data))
    nvs = nvs_of(firmware.partitions)
    before, behind = firmware.without(nvs)
    assert before == FlashPiece(0, data[: samples.NVS_AT], "talk.bin")
    assert behind == FlashPiece(0xF000, data[0xF000:], "talk.bin")


def _platformio(folder: Path) -> Path:
    rows = (
        ("nvs", 1, 2, 0x9000, 0x5000),
        ("otadata", 1, 0, 0xE000, 0x2000),
        ("app1", 0, 0x11, 0x150000, 0x140000),
        ("app0", 0, 0x10, 0x10000, 0x140000),
    )
    written(folder / "firmware.bin", samples.image(ESP32, app=True, size=30_000))
    written(folder / "bootloader.bin", samples.image(ESP32))
    written(folder / "partitions.bin", samples.table(rows))
    return folder


def test_what_platformio_has_built_is_put_where_it_belongs(tmp_path: Path) -> None:
    firmware = read_firmware(_platformio(tmp_path))
    assert firmware.chip is ESP32
    assert [(piece.offset, piece.name) for piece in firmware.pieces] == [
        (0x1000, "bootloader.bin"),
        (0x8000, "partitions.bin"),
        (0xE000, "otadata"),
        (0x10000, "firmware.bin"),
    ]
    assert set(firmware.pieces[2].data) == {0xFF}, "no image that came over the air is started instead"


def test_what_platformio_has_not_finished_is_told(tmp_path: Path) -> None:
    folder = _platformio(tmp_path)
    (folder / "bootloader.bin").unlink()
    with pytest.raises(FlashTrouble, match=r"there is no .*bootloader\.bin"):
        read_firmware(folder)
    written(folder / "firmware.bin", b"nothing of the kind")
    with pytest.raises(FlashTrouble, match="no firmware of an ESP32"):
        read_firmware(folder)


def _cut(data: bytes) -> bytes:
    return data[:-100]


def _flipped(data: bytes) -> bytes:
    return (
        data[: samples.APP_AT + 4000]
        + bytes([data[samples.APP_AT + 4000] ^ 1])
        + data[samples.APP_AT + 4001 :]
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"hello" * 5000, "no firmware of an ESP32"),
        (os.urandom(3), "no firmware of an ESP32"),
        (samples.image(ESP32, app=True), "an application alone"),
        (samples.image(C3, app=True), "an application alone"),
        (samples.image(C3), "no merged image"),
        (samples.merged(C3)[: samples.APP_AT], "in partition factory is missing"),
        (_cut(samples.merged(C3)), "damaged or cut off"),
        (_flipped(samples.merged(C3)), "damaged or cut off"),
        (samples.merged(C3)[:0x8000] + b"\0" * 0xC00 + samples.merged(C3)[0x8C00:], "no partition table"),
        (b"\xff" * 0x1000 + samples.merged(C3), "has the bootloader of an ESP32-C3 at 0x1000"),
        (samples.merged(C3)[: samples.APP_AT] + samples.image(C5, app=True), "the rest for the ESP32-C3"),
        (samples.merged(C3, app_size=samples.APP_SIZE + 1000), "its place 1048576"),
    ],
    ids=[
        "empty",
        "text",
        "three bytes",
        "application",
        "application at a bootloader's place",
        "bootloader",
        "no application",
        "cut off",
        "flipped bit",
        "no table",
        "shifted",
        "two chips",
        "too large for its partition",
    ],
)
def test_what_is_no_firmware_is_told_before_anything_is_written(
    data: bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(FlashTrouble, match=told) as error:
        read_firmware(written(tmp_path / "talk.bin", data))
    assert error.value.remedy


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FlashTrouble, match="there is no"):
        read_firmware(tmp_path / "none.bin")


def _without_args(folder: Path) -> None:
    (folder / "flasher_args.json").unlink()


def _change(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "flasher_args.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changed), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_without_args, "has no flasher_args.json"),
        (lambda folder: (folder / "talk.bin").unlink(), "there is no .*talk.bin"),
        (_change(flash_files="nothing"), "cannot be read"),
        (_change(flash_files={"zero": "talk.bin"}), "'zero' is no offset"),
        (_change(flash_files={"0x0": "../outside.bin"}), "outside its folder"),
        (_change(flash_files={"0x0": "a\0.bin"}), "outside its folder"),
        (_change(extra_esptool_args={"chip": "esp8266"}), "which is not known here"),
        (_change(flash_files={"0x10000": "talk.bin", "0x10100": "talk.bin"}), "runs into"),
        (_change(flash_files={"0x10000": "talk.bin"}), "the bootloader is missing"),
    ],
    ids=[
        "no args",
        "a file is missing",
        "no files",
        "offset",
        "outside",
        "no name",
        "chip",
        "overlap",
        "none",
    ],
)
def test_a_folder_that_cannot_be_flashed_is_told(
    harm: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    folder = samples.build_folder(tmp_path / "build")
    harm(folder)
    with pytest.raises(FlashTrouble, match=told):
        read_firmware(folder)


def test_a_chip_or_a_flash_it_is_not_for_is_told(tmp_path: Path) -> None:
    firmware = read_firmware(samples.build_folder(tmp_path / "build"))
    firmware.check(C3, 4 * 2**20)
    firmware.check(C3, 0)
    with pytest.raises(FlashTrouble, match="for the ESP32-C3, and the board has an ESP32") as error:
        firmware.check(ESP32, 4 * 2**20)
    assert "set-target esp32`" in error.value.remedy
    with pytest.raises(FlashTrouble, match="and the board has 1"):
        firmware.check(C3, 2**20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(place=st.integers(0, 0x11000), harm=st.binary(min_size=1, max_size=40))
def test_no_file_breaks_it(place: int, harm: bytes, tmp_path: Path) -> None:
    data = samples.merged(C3)
    path = written(tmp_path / "talk.bin", data[:place] + harm + data[place + len(harm) :])
    with suppress(FlashTrouble):
        assert read_firmware(path).chip is C3


@given(st.binary(max_size=200))
def test_no_table_breaks_it(table: bytes) -> None:
    with suppress(FlashTrouble):
        assert read_partitions(table)


def test_a_table_whose_checksum_is_wrong_is_none() -> None:
    table = samples.table()
    with pytest.raises(FlashTrouble, match="checksum"):
        read_partitions(table[:4] + b"\1" + table[5:])
    assert read_partitions(samples.table(digest=False)) == read_partitions(table)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ((("factory", 0, 0, 0x10000, 0x10000),), "no NVS partition called nvs"),
        ((("keys", 1, 2, 0x9000, 0x4000),), "no NVS partition called nvs"),
        ((("nvs", 1, 2, 0x9000, 0x2000),), "0x2000 bytes"),
    ],
)
def test_settings_need_a_partition(rows: tuple[tuple[str, int, int, int, int], ...], told: str) -> None:
    with pytest.raises(FlashTrouble, match=told):
        nvs_of(read_partitions(samples.table(rows)))
