"""The emulated board's firmware, made once for all tests of a process; what the compiler finds wrong is an error."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from firmware_bridge.speech_files import SPEECH

ESP32 = Path(__file__).parents[4] / "firmware_bridge" / "esp32"
LIBRARY = ESP32 / "src"
APPLICATION = ESP32 / "examples" / "serial_push_to_talk" / "main"
EMULATED = ESP32 / "emulated"
PREFIX = "riscv64-unknown-elf-"
PICOLIBC = Path("/usr/lib/picolibc/riscv64-unknown-elf/lib/rv32imac/ilp32/libc.a")
TARGET = (
    "-march=rv32imac",
    "-mabi=ilp32",
    "-specs=picolibc.specs",
    "-std=gnu11",
    "-Os",
    "-ffunction-sections",
)
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
RAM = 128 * 1024
"""A small chip's."""
FIRMWARE_PLACES = {
    "__flash": 0x80000000,
    "__flash_size": 512 * 1024,
    "__ram": 0x80100000,
    "__ram_size": RAM,
    "__stack_size": 8 * 1024,
}
BOOTLOADER_PLACES = {
    "__flash": 0x20000000,
    "__flash_size": 256 * 1024,
    "__ram": 0x80140000,
    "__ram_size": 16 * 1024,
    "__stack_size": 4 * 1024,
}
FLASH_BYTES = 32 * 1024 * 1024
"""Of each of the machine's two."""
FLASH_SECTOR = 256 * 1024
FIRST_PLACE = 4 * FLASH_SECTOR
KNOWN = 1
"""As in images.h."""


def needs_compiler() -> None:
    """Skip the test where riscv32 cannot be compiled for."""
    if shutil.which(f"{PREFIX}gcc") is None or not PICOLIBC.exists():
        pytest.skip("gcc-riscv64-unknown-elf and picolibc-riscv64-unknown-elf are not installed")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="firmware-")


@cache
def firmware(recording: str, *definitions: str) -> Path:
    """The push-to-talk example as an ELF file, a recording (``u03``) at its microphone."""
    sources = [*LIBRARY.glob("*.c"), APPLICATION / "push_to_talk.c", *EMULATED.glob("*.[cS]")]
    named = (f'RECORDING="{SPEECH / recording}.wav"', *definitions)
    return _linked(f"{recording}-{abs(hash(definitions))}.elf", sources, FIRMWARE_PLACES, *named)


@cache
def bootloader() -> Path:
    """What starts an image out of the flash."""
    sources = [EMULATED / "bootloader" / "main.c", *(EMULATED / f"{one}.c" for one in ("kept", "flash"))]
    return _linked("bootloader.elf", [*sources, LIBRARY / "earshot_framing.c"], BOOTLOADER_PLACES)


def _linked(name: str, sources: list[Path], places: dict[str, int], *definitions: str) -> Path:
    program = Path(_folder().name) / name
    command = [
        f"{PREFIX}gcc", *TARGET, *STRICT, *(f"-I{one}" for one in (LIBRARY, APPLICATION, EMULATED)),
        *(f"-D{one}" for one in definitions), *(f"-Wl,--defsym={name}={place}" for name, place in places.items()),
        *map(str, sources), "-lsemihost", "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return program


def binary(program: Path) -> bytes:
    """The bytes of a program as they stand in flash: what goes over the air."""
    out = program.with_suffix(".bin")
    sections = (f"--only-section={name}" for name in (".init", ".text", ".data"))
    subprocess.run([f"{PREFIX}objcopy", "-O", "binary", *sections, program, out], check=True)
    return out.read_bytes()


def flashed(folder: Path, program: Path) -> tuple[Path, Path]:
    """Both flashes of a board that left the factory: the bootloader in one, an image that it starts in the other."""
    image = binary(program)
    record = struct.pack("<4I", 0, KNOWN, len(image), 0)
    counted = struct.pack("<2I", 1, len(record)) + record  # as kept.c has it
    kept = zlib.crc32(counted).to_bytes(4, "little") + counted
    return (
        _flash(folder / "flash0", {0: binary(bootloader())}),
        _flash(folder / "flash1", {FLASH_SECTOR: kept, FIRST_PLACE: image}),
    )


def _flash(file: Path, contents: dict[int, bytes]) -> Path:
    with file.open("wb") as flash:
        flash.truncate(FLASH_BYTES)
        for place, data in contents.items():
            flash.seek(place)
            flash.write(data)
    return file


class Size(NamedTuple):
    """Bytes of a compiled file."""

    text: int
    data: int
    bss: int


def sizes(*files: Path) -> dict[str, Size]:
    """What each compiled file takes."""
    told = subprocess.run([f"{PREFIX}size", *files], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in told.splitlines()[1:])
    return {Path(row[5]).name: Size(*map(int, row[:3])) for row in rows}


def library_sizes() -> dict[str, Size]:
    """What each source file of the library takes, compiled by itself."""
    folder = Path(_folder().name) / "library"
    folder.mkdir(exist_ok=True)
    objects = [folder / f"{source.stem}.o" for source in sorted(LIBRARY.glob("*.c"))]
    for source, compiled in zip(sorted(LIBRARY.glob("*.c")), objects, strict=True):
        command = [f"{PREFIX}gcc", *TARGET, *STRICT, f"-I{LIBRARY}", "-c", str(source), "-o", str(compiled)]
        subprocess.run(command, check=True)
    return sizes(*objects)


def device_bytes() -> int:
    """RAM that a device takes besides its ring."""
    folder = Path(_folder().name)
    source, compiled = folder / "device.c", folder / "device.o"
    source.write_text('#include "earshot.h"\nextern earshot_device device;\nearshot_device device;\n')
    command = [f"{PREFIX}gcc", *TARGET, f"-I{LIBRARY}", "-c", str(source), "-o", str(compiled)]
    subprocess.run(command, check=True)
    return sizes(compiled)[compiled.name].bss
