"""The emulated board's firmware, made once for all tests of a process; what the compiler finds wrong is an error."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
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
PLACES = {
    "__flash": 0x80000000,
    "__flash_size": 512 * 1024,
    "__ram": 0x80100000,
    "__ram_size": RAM,
    "__stack_size": 8 * 1024,
}


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
    program = Path(_folder().name) / f"{abs(hash((recording, definitions)))}.elf"
    sources = [*LIBRARY.glob("*.c"), *APPLICATION.glob("push_to_talk.c"), *EMULATED.glob("*.[cS]")]
    subprocess.run(
        [
            f"{PREFIX}gcc", *TARGET, *STRICT, *(f"-I{one}" for one in (LIBRARY, APPLICATION, EMULATED)),
            f'-DRECORDING="{SPEECH / recording}.wav"', *(f"-D{one}" for one in definitions),
            *(f"-Wl,--defsym={name}={place}" for name, place in PLACES.items()),
            *sources, "-lsemihost", "-o", program,
        ],
        check=True,
    )  # fmt: skip
    return program


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
