"""Firmware as builds make it, so far as anybody looks into it before it is flashed."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from pathlib import Path

from firmware_bridge.flashing.chips import BY_TARGET, Chip

NVS_AT, NVS_SIZE = 0x9000, 0x6000
APP_AT, APP_SIZE = 0x10000, 0x100000
ROWS = (
    ("nvs", 1, 2, NVS_AT, NVS_SIZE),
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("factory", 0, 0, APP_AT, APP_SIZE),
)


def table(rows: tuple[tuple[str, int, int, int, int], ...] = ROWS, *, digest: bool = True) -> bytes:
    """A partition table as gen_esp32part.py writes it."""
    lines = b"".join(
        struct.pack("<2sBBII16sI", b"\xaaP", kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in rows
    )
    if digest:
        lines += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(lines).digest()
    return lines.ljust(0xC00, b"\xff")


def image(chip: Chip, *, size: int = 5000, app: bool = False, seed: int = 1) -> bytes:
    """An image that starts: a header, one segment, checksum and digest."""
    body = (random.Random(seed).randbytes(1000) * (size // 1000 + 1))[: size - size % 4]
    if app:
        body = b"\x32\x54\xcd\xab" + body[4:]
    header = struct.pack("<BBBBIB3xHB2x2x4xB", 0xE9, 1, 2, 0x20, 0x40080000, 0xEE, chip.image_id, 0, 1)
    data = header + struct.pack("<II", 0x3F400020, len(body)) + body
    data = data.ljust(len(data) + 15 - len(data) % 16, b"\0") + b"\xef"
    return data + hashlib.sha256(data).digest()


def merged(chip: Chip, *, app_size: int = 50_000, partitions: bytes = b"") -> bytes:
    """What `idf.py merge-bin` makes."""
    flash = bytearray(b"\xff" * APP_AT)
    boot = image(chip)
    flash[chip.bootloader : chip.bootloader + len(boot)] = boot
    flash[0x8000:0x8C00] = partitions or table()
    return bytes(flash) + image(chip, size=app_size, app=True)


def build_folder(folder: Path, target: str = "esp32c3", *, app_size: int = 50_000) -> Path:
    """What `idf.py build` leaves, so far as flashing goes by it."""
    chip = BY_TARGET[target]
    files = {
        hex(chip.bootloader): ("bootloader/bootloader.bin", image(chip)),
        hex(APP_AT): ("talk.bin", image(chip, size=app_size, app=True)),
        "0x8000": ("partition_table/partition-table.bin", table()),
    }
    for name, data in files.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    args = {
        "write_flash_args": ["--flash_mode", "dio", "--flash_size", "2MB", "--flash_freq", "80m"],
        "flash_settings": {"flash_mode": "dio", "flash_size": "2MB", "flash_freq": "80m"},
        "flash_files": {offset: name for offset, (name, _) in files.items()},
        "bootloader": {
            "offset": hex(chip.bootloader),
            "file": "bootloader/bootloader.bin",
            "encrypted": "false",
        },
        "app": {"offset": hex(APP_AT), "file": "talk.bin", "encrypted": "false"},
        "partition-table": {
            "offset": "0x8000",
            "file": "partition_table/partition-table.bin",
            "encrypted": "false",
        },
        "extra_esptool_args": {
            "after": "hard_reset",
            "before": "default_reset",
            "stub": True,
            "chip": target,
        },
    }
    (folder / "flasher_args.json").write_text(json.dumps(args), encoding="utf-8")
    return folder
