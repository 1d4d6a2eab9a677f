"""Firmware as builds make it: a merged image or ESP-IDF's build folder, looked at before anything is written."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.flashing.chips import BY_IMAGE_ID, BY_TARGET, Chip
from firmware_bridge.flashing.partitions import TABLE_OFFSET, TABLE_SIZE, Partition, read_partitions
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.named_files import read_named

MOST_BYTES: Final = 64 * 1024 * 1024
"""No board's flash is larger."""
FLASHER_ARGS: Final = "flasher_args.json"
PLATFORMIO_APP: Final = "firmware.bin"

_MAGIC: Final = 0xE9
_HEADER: Final = struct.Struct("<BBBBIB3xHB2x2x4xB")
_SEGMENT: Final = struct.Struct("<II")
_MOST_SEGMENTS: Final = 16
_DIGEST_BYTES: Final = 32
_APP_AT: Final = 32
_APP_MAGIC: Final = b"\x32\x54\xcd\xab"
"""Of the description that every application's first segment begins with."""
_MERGE: Final = "point at the build folder, or merge it: `idf.py merge-bin`, `esptool merge-bin`"


@dataclass(frozen=True, slots=True)
class FlashPiece:
    """Bytes, and where in flash they go."""

    offset: int
    data: bytes
    name: str

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a build is made of: pieces in order, which do not overlap."""

    chip: Chip
    pieces: tuple[FlashPiece, ...]
    partitions: tuple[Partition, ...]
    table_at: int

    def without(self, partition: Partition) -> tuple[FlashPiece, ...]:
        """The pieces, but for what they would write into this partition."""
        return tuple(part for piece in self.pieces for part in _around(piece, partition))

    def check(self, chip: Chip, flash_bytes: int) -> None:
        """Raises FlashTrouble where it is not for this chip, or does not fit its flash."""
        if chip is not self.chip:
            raise FlashTrouble(
                f"this firmware is for the {self.chip.name}, and the board has an {chip.name}",
                f"build it for this one: `idf.py set-target {chip.target}`, or choose the right board",
            )
        end = max(piece.end for piece in self.pieces)
        needed = max(end, *(partition.end for partition in self.partitions))
        if flash_bytes and needed > flash_bytes:
            raise FlashTrouble(
                f"this firmware needs {needed / 2**20:g} MiB of flash, and the board has {flash_bytes / 2**20:g}",
                "build it for a smaller flash (CONFIG_ESPTOOLPY_FLASHSIZE and partitions.csv), or take another board",
            )


def read_firmware(path: Path) -> Firmware:
    """A merged image, or a folder that ESP-IDF or PlatformIO has built in. Raises FlashTrouble."""
    if not path.is_dir():
        return _read_merged(path)
    if (path / PLATFORMIO_APP).exists() and not (path / FLASHER_ARGS).exists():
        return _read_platformio(path)
    return _read_folder(path)


class _Part(msgspec.Struct):
    offset: str
    file: str


class _Extra(msgspec.Struct):
    chip: str


class _FlasherArgs(msgspec.Struct):
    """What idf.py writes for whoever flashes."""

    flash_files: dict[str, str]
    table: _Part = msgspec.field(name="partition-table")
    extra_esptool_args: _Extra


def _read_folder(folder: Path) -> Firmware:
    args = _flasher_args(folder / FLASHER_ARGS)
    chip = BY_TARGET.get(args.extra_esptool_args.chip)
    if chip is None:
        raise FlashTrouble(
            f"{folder / FLASHER_ARGS} is for a chip {args.extra_esptool_args.chip!r}, which is not known here",
            f"one of {', '.join(BY_TARGET)}",
        )
    pieces = [
        FlashPiece(_number(offset, folder), _bytes(_inside(folder, name)), name)
        for offset, name in args.flash_files.items()
    ]
    table = read_partitions(_bytes(_inside(folder, args.table.file)))
    return _checked(Firmware(chip, _in_order(pieces), table, _number(args.table.offset, folder)))


def _read_platformio(folder: Path) -> Firmware:
    """Of `.pio/build/ENVIRONMENT/`: three files, and the places that PlatformIO puts them at."""
    app = _bytes(folder / PLATFORMIO_APP)
    chip = _chip_at(app, 0)
    if chip is None:
        raise FlashTrouble(
            f"{folder / PLATFORMIO_APP} is no firmware of an ESP32", "build it again: `pio run`"
        )
    table = _bytes(folder / "partitions.bin")
    partitions = read_partitions(table)
    pieces = [
        FlashPiece(chip.bootloader, _bytes(folder / "bootloader.bin"), "bootloader.bin"),
        FlashPiece(TABLE_OFFSET, table[:TABLE_SIZE], "partitions.bin"),
        *(FlashPiece(one.offset, app, PLATFORMIO_APP) for one in _apps(partitions)[:1]),
        # What was to be started before, of images that came over the air, is forgotten: the first one is.
        *(FlashPiece(one.offset, b"\xff" * one.size, one.label) for one in partitions if one.chooses_app),
    ]
    return _checked(Firmware(chip, _in_order(pieces), partitions, TABLE_OFFSET))


def _apps(partitions: Iterable[Partition]) -> list[Partition]:
    return sorted((one for one in partitions if one.is_app), key=lambda one: one.offset)


def _flasher_args(path: Path) -> _FlasherArgs:
    try:
        return msgspec.json.decode(read_named(path), type=_FlasherArgs)
    except FileNotFoundError as error:
        raise FlashTrouble(
            f"{path.parent} has no {FLASHER_ARGS}: it is no folder that ESP-IDF or PlatformIO has built in",
            "point at the project's build/, after `idf.py build`, or at PlatformIO's .pio/build/ENVIRONMENT/; of "
            "Arduino at the merged image",
        ) from error
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise FlashTrouble(f"{path} cannot be read: {error}", "build the firmware again") from error


def _number(text: str, folder: Path) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise FlashTrouble(
            f"{folder / FLASHER_ARGS}: {text!r} is no offset", "build the firmware again"
        ) from error


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name.replace("\0", "")).resolve()
    if "\0" in name or not path.is_relative_to(folder.resolve()):
        raise FlashTrouble(
            f"{folder / FLASHER_ARGS} names {name}, outside its folder", "build the firmware again"
        )
    return path


def _read_merged(path: Path) -> Firmware:
    data = _bytes(path)
    chip = _chip_of(data, path)
    if data[_APP_AT:][:4] == _APP_MAGIC:
        raise FlashTrouble(f"{path} is an application alone, without bootloader and partition table", _MERGE)
    table = data[TABLE_OFFSET : TABLE_OFFSET + TABLE_SIZE]
    try:
        partitions = read_partitions(table)
    except FlashTrouble as error:
        raise FlashTrouble(f"{path} is no merged image: {error.reason}", _MERGE) from error
    return _checked(Firmware(chip, (FlashPiece(0, data, path.name),), partitions, TABLE_OFFSET))


def _chip_of(data: bytes, path: Path) -> Chip:
    """By the header of the bootloader, which lies where its chip looks for it."""
    for at in (0x0, 0x1000, 0x2000):
        chip = _chip_at(data, at)
        if chip and (chip.bootloader == at or data[at + _APP_AT :][:4] == _APP_MAGIC):
            return chip
        if chip:
            raise FlashTrouble(
                f"{path} has the bootloader of an {chip.name} at {at:#x}, which looks for it at "
                f"{chip.bootloader:#x}",
                _MERGE,
            )
    raise FlashTrouble(f"{path} is no firmware of an ESP32: there is no bootloader in it", _MERGE)


def _chip_at(data: bytes, at: int) -> Chip | None:
    if len(data) < at + _HEADER.size or data[at] != _MAGIC:
        return None
    return BY_IMAGE_ID.get(_HEADER.unpack_from(data, at)[6])


def _in_order(pieces: Iterable[FlashPiece]) -> tuple[FlashPiece, ...]:
    ordered = sorted(pieces, key=lambda piece: piece.offset)
    for before, after in pairwise(ordered):
        if before.end > after.offset:
            raise FlashTrouble(f"{before.name} runs into {after.name}", "build the firmware again")
    return tuple(ordered)


def _checked(firmware: Firmware) -> Firmware:
    for offset, room, what in _images(firmware):
        _check_image(firmware, offset, room, what)
    return firmware


def _images(firmware: Firmware) -> Iterator[tuple[int, int, str]]:
    """Where images that start must lie: the bootloader, and the first application. And how much room there is."""
    yield firmware.chip.bootloader, firmware.table_at - firmware.chip.bootloader, "the bootloader"
    for app in _apps(firmware.partitions)[:1]:
        yield app.offset, app.size, f"the application in partition {app.label}"


def _check_image(firmware: Firmware, offset: int, room: int, what: str) -> None:
    """Whole, undamaged, for this chip, and no larger than its place. Raises FlashTrouble."""
    piece = next((one for one in firmware.pieces if one.offset <= offset < one.end), None)
    data = piece.data[offset - piece.offset :] if piece else b""
    chip = _chip_at(data, 0)
    again = "build the firmware again, and copy all of it"
    if chip is None:
        raise FlashTrouble(f"{what} is missing: at {offset:#x} there is no image", again)
    if chip is not firmware.chip:
        raise FlashTrouble(f"{what} is for the {chip.name}, the rest for the {firmware.chip.name}", again)
    end = _end_of_image(data)
    if end is None:
        raise FlashTrouble(f"{what} is damaged or cut off", again)
    if end > room:
        raise FlashTrouble(
            f"{what} has {end} bytes, and its place {room}", "give it more room in partitions.csv"
        )


def _end_of_image(data: bytes) -> int | None:
    """How long the image that begins here is; None where it is damaged."""
    header = _HEADER.unpack_from(data)
    at, segments, has_digest = _HEADER.size, header[1], header[-1]
    if not 0 < segments <= _MOST_SEGMENTS:
        return None
    for _ in range(segments):
        if len(data) < at + _SEGMENT.size:
            return None
        at += _SEGMENT.size + _SEGMENT.unpack_from(data, at)[1]
    at += 16 - at % 16  # the last of these bytes is its checksum
    if at + has_digest * _DIGEST_BYTES > len(data):
        return None
    if has_digest and hashlib.sha256(data[:at]).digest() != data[at : at + _DIGEST_BYTES]:
        return None
    return at + _DIGEST_BYTES * bool(has_digest)


def _around(piece: FlashPiece, partition: Partition) -> Iterator[FlashPiece]:
    """What of a piece lies before a partition, and what behind it."""
    before = piece.data[: max(0, partition.offset - piece.offset)]
    behind_at = max(piece.offset, partition.end)
    behind = piece.data[behind_at - piece.offset :]
    if before:
        yield FlashPiece(piece.offset, before, piece.name)
    if behind:
        yield FlashPiece(behind_at, behind, piece.name)


def _bytes(path: Path) -> bytes:
    try:
        data = read_named(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise FlashTrouble(f"there is no {path}", "build the firmware first: `idf.py build`") from error
    except OSError as error:
        raise FlashTrouble(
            f"{path} cannot be read: {error.strerror}", "look whose it is, and what"
        ) from error
    if not data:
        raise FlashTrouble(f"{path} is empty", "build the firmware again")
    return data
