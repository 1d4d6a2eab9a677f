"""The library compiles wherever there is a compiler, without a warning, and needs only what its header says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.firmware_bridge.esp32.emulated.image import device_bytes, library_sizes, needs_compiler
from tests.firmware_bridge.esp32.made import COMPONENT, CORE, compiler

LIBRARY = COMPONENT / "src"
SOURCES = sorted(LIBRARY.glob("*.c"))
HEADERS = sorted(LIBRARY.glob("earshot*.h"))  # EarshotDevice.h is C++, for Arduino alone
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
RISCV = ("-march=rv32imac", "-mabi=ilp32", "-ffreestanding", "-specs=picolibc.specs")
LINK = ("earshot", "earshot_framing", "earshot_adpcm")
"""What every device on a line needs."""
LIBC = {"memcpy", "memmove", "memset", "memcmp", "strlen"}
WRITABLE = set("BbCDdGgSsVv")
"""As nm calls variables."""
SIZES = ("-DEARSHOT_MTU=2048", "-DEARSHOT_CREDIT=256", "-DEARSHOT_OUTBOX=4096")
ODDS = ("-DEARSHOT_MTU=64", "-DEARSHOT_CREDIT=1", "-DEARSHOT_OUTBOX=64")
pytestmark = pytest.mark.slow


def compile_all(folder: Path, *command: str) -> list[Path]:
    """Each source file by itself; the objects."""
    done = subprocess.run(
        [*command, f"-I{LIBRARY}", "-c", *SOURCES], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    assert not done.stderr
    return sorted(folder.glob("*.o"))


@pytest.mark.parametrize("name", ["gcc", "clang"])
@pytest.mark.parametrize("level", ["-Os", "-O3"])
def test_for_this_machine(tmp_path: Path, name: str, level: str) -> None:
    compile_all(tmp_path, compiler(name), *STRICT, level)


@pytest.mark.parametrize("sizes", [SIZES, ODDS], ids=["largest", "smallest"])
def test_with_other_sizes(tmp_path: Path, sizes: tuple[str, ...]) -> None:
    compile_all(tmp_path, compiler(), *STRICT, *sizes)


def test_sizes_that_cannot_be_do_not_compile(tmp_path: Path) -> None:
    for wrong in ("MTU=63", "MTU=2049", "CREDIT=0", "CREDIT=257", "OUTBOX=63"):
        command = [compiler(), f"-DEARSHOT_{wrong}", f"-I{LIBRARY}", "-fsyntax-only", LIBRARY / "earshot.c"]
        assert subprocess.run(command, capture_output=True, cwd=tmp_path, check=False).returncode != 0, wrong


def test_as_later_c(tmp_path: Path) -> None:
    compile_all(tmp_path, compiler(), *STRICT, "-std=c17", "-O2")


def test_the_analyzer_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        (compiler("gcc"), "-fanalyzer", "-E", "-"), input="", capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this gcc has no analyzer")
    compile_all(tmp_path, compiler("gcc"), *STRICT, "-O1", "-fanalyzer")


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_every_header_alone_in_c_plus_plus(tmp_path: Path, name: str) -> None:
    """And what it declares is called as C."""
    cxx = compiler(name)
    for header in HEADERS:
        source = tmp_path / f"{header.stem}.cc"
        source.write_text(f'#include "{header.name}"\n#include "{header.name}"\n')
        command = (
            cxx,
            "-std=c++11",
            "-pedantic",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{LIBRARY}",
            "-fsyntax-only",
            source,
        )
        subprocess.run(command, check=True)
        assert 'extern "C" {' in header.read_text(encoding="utf-8")


def test_for_riscv32_without_a_system(tmp_path: Path) -> None:
    needs_compiler()
    compile_all(tmp_path, compiler("riscv64-unknown-elf-gcc"), *STRICT, *RISCV, "-Os")


@pytest.mark.parametrize("target", ["riscv32-none-elf", "thumbv7m-none-eabi", "mips-none-elf"])
def test_for_other_machines_by_clang(tmp_path: Path, target: str) -> None:
    """Pointers and numbers of other sizes than here; what their C library would declare, a header of ours does."""
    clang = compiler("clang")
    (tmp_path / "string.h").write_text(
        "#include <stddef.h>\n"
        "void *memcpy(void *, const void *, size_t);\nvoid *memmove(void *, const void *, size_t);\n"
        "void *memset(void *, int, size_t);\nsize_t strlen(const char *);\n"
        "int memcmp(const void *, const void *, size_t);\n"
    )
    command = [
        clang,
        f"--target={target}",
        "-ffreestanding",
        *STRICT,
        f"-I{tmp_path}",
        f"-I{LIBRARY}",
    ]
    subprocess.run([*command, "-fsyntax-only", *SOURCES], check=True)


def test_for_the_esp32_by_clang(tmp_path: Path) -> None:
    clang = compiler("clang")
    targets = subprocess.run((clang, "--print-targets"), capture_output=True, text=True, check=True).stdout
    if "xtensa" not in targets:
        pytest.skip("this clang has no xtensa")
    compile_all(tmp_path, clang, "--target=xtensa-esp-elf", "-ffreestanding", *STRICT, "-Os")


def test_it_needs_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    """Of a C library five functions, of the compiler its own; no variable that is written to."""
    needs_compiler()
    for compiled in compile_all(tmp_path, compiler("riscv64-unknown-elf-gcc"), *RISCV, "-Os"):
        told = subprocess.run(
            ("riscv64-unknown-elf-nm", compiled), capture_output=True, text=True, check=True
        ).stdout
        symbols = [line.split()[-2:] for line in told.splitlines()]
        assert not [name for kind, name in symbols if kind in WRITABLE], compiled.name
        wanted = {name for kind, name in symbols if kind == "U"}
        strange = {name for name in wanted - LIBC if not re.match(r"__|earshot_", name)}
        assert not strange, compiled.name


def test_the_link_is_under_eight_kilobytes_of_code_and_four_of_ram() -> None:
    needs_compiler()
    taken = library_sizes()
    assert sum(taken[f"{name}.o"].text for name in LINK) < 8 * 1024
    assert {(size.data, size.bss) for size in taken.values()} == {(0, 0)}
    assert device_bytes() < 4 * 1024


def test_three_standard_headers_are_enough_for_the_core() -> None:
    allowed = {"stdbool.h", "stdint.h", "string.h"}
    for file in (*SOURCES, *HEADERS):
        included = set(re.findall(r"#include <(.*?)>", file.read_text(encoding="utf-8")))
        assert included <= (allowed if f"{file.stem}.c" in CORE else allowed | {"stddef.h"}), file.name


def test_a_chip_may_bring_its_own_crc(tmp_path: Path) -> None:
    header = tmp_path / "rom.h"
    header.write_text(
        "#include <stdint.h>\nuint32_t esp_rom_crc32_le(uint32_t, uint8_t const *, uint32_t);\n"
        "#define EARSHOT_CRC32(crc, bytes, size) esp_rom_crc32_le(crc, bytes, (uint32_t)(size))\n"
    )
    compiled = tmp_path / "framing.o"
    source = LIBRARY / "earshot_framing.c"
    subprocess.run(
        [compiler(), *STRICT, "-include", header, f"-I{LIBRARY}", "-c", source, "-o", compiled], check=True
    )
    nm = shutil.which("nm")
    assert nm
    assert (
        "esp_rom_crc32_le"
        in subprocess.run((nm, "-u", compiled), capture_output=True, text=True, check=True).stdout
    )
