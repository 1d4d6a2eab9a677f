"""A board that is written to: firmware, settings, or both; what cannot be is known before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_bridge.flashing.board_settings import check_together
from firmware_bridge.flashing.bootloader import Board, Bootloader
from firmware_bridge.flashing.images import Firmware, FlashPiece
from firmware_bridge.flashing.nvs_image import merged, nvs_image
from firmware_bridge.flashing.nvs_keys import NAMESPACE
from firmware_bridge.flashing.nvs_pages import NvsEntry, NvsValue
from firmware_bridge.flashing.partitions import (
    NVS_LABEL,
    TABLE_OFFSET,
    TABLE_SIZE,
    Partition,
    nvs_of,
    read_partitions,
)


@dataclass(frozen=True, slots=True)
class FlashJob:
    """``settings``: those that are to change; None: it is to be gone. ``erase``: nothing else is to stay."""

    firmware: Firmware | None = None
    settings: Mapping[str, NvsValue | None] = field(default_factory=dict)
    erase: bool = False


def write(bootloader: Bootloader, board: Board, job: FlashJob) -> dict[str, NvsValue]:
    """Do it, and return the settings that the board has now, so far as they were looked at.

    Raises FlashTrouble. Blocks.
    """
    if job.firmware:
        job.firmware.check(board.chip, board.flash_bytes)
    pieces, settings = _pieces(bootloader, job)
    if job.erase:
        bootloader.erase()
    if pieces:
        bootloader.write(pieces)
    return settings


def flash_file(firmware: Firmware, settings: Mapping[str, NvsValue | None]) -> bytes:
    """What a board's flash would hold from its beginning: for an emulator, or for whoever flashes many at once."""
    check_together(checked := {name: value for name, value in settings.items() if value is not None})
    nvs = nvs_of(firmware.partitions)
    image = nvs_image(merged(b"", checked), nvs.size)
    pieces = (*firmware.without(nvs), FlashPiece(nvs.offset, image, "settings"))
    flash = bytearray(b"\xff" * max(piece.end for piece in pieces))
    for piece in pieces:
        flash[piece.offset : piece.end] = piece.data
    return bytes(flash)


def _pieces(bootloader: Bootloader, job: FlashJob) -> tuple[list[FlashPiece], dict[str, NvsValue]]:
    if not job.firmware and not job.settings:
        return [], {}
    if job.firmware and not job.settings:
        return _leaving_settings(job.firmware), {}
    nvs = nvs_of(job.firmware.partitions if job.firmware else _partitions_of(bootloader))
    pieces = list(job.firmware.without(nvs)) if job.firmware else []
    entries = _entries(bootloader, job, nvs)
    settings = {one.key: one.value for one in entries if one.namespace == NAMESPACE}
    check_together(settings)
    return [*pieces, FlashPiece(nvs.offset, nvs_image(entries, nvs.size), "settings")], settings


def _leaving_settings(firmware: Firmware) -> list[FlashPiece]:
    """Also of one that keeps none."""
    nvs = next((one for one in firmware.partitions if one.label == NVS_LABEL), None)
    return list(firmware.without(nvs) if nvs else firmware.pieces)


def _partitions_of(bootloader: Bootloader) -> tuple[Partition, ...]:
    return read_partitions(bootloader.read(TABLE_OFFSET, TABLE_SIZE))


def _entries(bootloader: Bootloader, job: FlashJob, nvs: Partition) -> tuple[NvsEntry, ...]:
    """All that is to stand there: what others keep stays, and so do settings that are not to change."""
    return merged(b"" if job.erase else bootloader.read(nvs.offset, nvs.size), job.settings)
