"""The harnesses over the library in C: what each begins with, and the program that it becomes.

With clang that is libFuzzer's, which coverage leads; with any other compiler ``alone.c`` makes inputs by chance. Either
way the address and undefined-behaviour sanitizers watch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

HERE = Path(__file__).parent
LIBRARY = HERE.parents[2] / "firmware_bridge" / "esp32" / "src"
VECTORS = HERE.parents[1] / "vectors"
SOURCES = sorted(LIBRARY.glob("*.c"))
HARNESSES = ("device", "framing", "adpcm", "texts", "update", "strangers")
OPTIONS = ("-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-fno-sanitize-recover=all")
_PLUG, _WELCOME, _HEAR, _TALK = 10, 4, 0xE0, 0x57


def build(name: str, folder: Path, *, afl: bool = False) -> Path | None:
    """The program; None: there is nothing to make it with."""
    program = folder / f"{name}{'-afl' if afl else ''}"
    for compiler, *beside in _AFL if afl else _COMPILERS:
        library = _library(*compiler)
        if library is None:
            continue
        options = (*OPTIONS, f"-I{LIBRARY}", "-o", str(program))
        files = map(str, (HERE / f"{name}.c", *beside, *library))
        if not subprocess.run((*compiler, *options, *files), capture_output=True, check=False).returncode:
            return program
    return None


_Compiler: TypeAlias = tuple[str, ...]
_SANITIZERS = "-fsanitize=address,undefined"
_AFL: list[tuple[_Compiler, *tuple[Path, ...]]] = [(("afl-clang-fast", "-fsanitize=fuzzer", _SANITIZERS),)]
_COMPILERS: list[tuple[_Compiler, *tuple[Path, ...]]] = [
    (("clang", "-fsanitize=fuzzer", _SANITIZERS),),
    (("cc", "-D_DEFAULT_SOURCE", _SANITIZERS), HERE / "alone.c"),
]
_folders: list[tempfile.TemporaryDirectory[str]] = []


@cache
def _library(*compiler: str) -> tuple[Path, ...] | None:
    """The library's objects, made once; None: this compiler is not there, or cannot."""
    if shutil.which(compiler[0]) is None:
        return None
    _folders.append(tempfile.TemporaryDirectory(prefix="earshot-fuzz-c-"))
    folder = Path(_folders[-1].name)
    command = (*compiler, *OPTIONS, f"-I{LIBRARY}", "-c", *map(str, SOURCES))
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        return None
    return tuple(folder.glob("*.o"))


def write_seeds(name: str, folder: Path) -> None:
    """The first inputs, out of the golden vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(_SEEDS[name]()):
        (folder / f"{number:03}").write_bytes(data)


def _stored(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_bytes())
    return vectors


def _act(what: int, data: bytes = b"") -> bytes:
    return bytes((what, len(data))) + data


def _device() -> Iterator[bytes]:
    frames = [bytes.fromhex(one["frame"])[1:] for one in _stored("frames")]
    linked = _act(_PLUG) + _act(_WELCOME, b"\x10\0\0")
    for which, frame in enumerate(frame for frame in frames if len(frame) < 256):
        yield bytes((which * 8 & 0xFF,)) + linked + _act(_TALK, bytes(32)) + _act(_HEAR, frame) + _act(0xF5)
    yield b"\x05" + linked + b"".join(_act(_HEAR, frame) for frame in frames if len(frame) < 256)
    yield (
        b"\xc3"
        + _act(_PLUG | 0x10)
        + _act(_WELCOME)
        + _act(0x2C)
        + _act(_TALK, bytes(32)) * 9
        + _act(0x55) * 3
    )


def _framing() -> Iterator[bytes]:
    for one in _stored("serial"):
        yield bytes.fromhex(one["serial"])
    for one in _stored("frames"):
        yield bytes.fromhex(one["serial"])[:-1]
    yield bytes(range(1, 256)) * 2


def _adpcm() -> Iterator[bytes]:
    for one in _stored("adpcm"):
        yield bytes.fromhex(one["payload"])
        yield bytes.fromhex(one["decoded"])


def _texts() -> Iterator[bytes]:
    for one in _stored("replies"):
        replies = b"".join(
            bytes((frame[2], frame[23], len(frame[24:]))) + frame[24:]
            for frame in map(bytes.fromhex, one["frames"])
        )
        yield bytes((20, 8 | one["wants_pieces"] << 7)) + replies


def _update() -> Iterator[bytes]:
    """An image that is offered, fetched, started and kept; one that is not reached; one that is no good."""
    offered = _act(0x06) + _act(0x04, b"\1\x14\2\1")
    fetched = offered + _act(0x00, b"\x82") * 2 + _act(0x0F) * 2 + _act(0x67)
    for reads in (b"", b"\0"):
        yield fetched + _act(0x06) + reads
        yield fetched + _act(0xE7) * 4 + _act(0x0F) + reads
        yield fetched + _act(0x0E) * 2 + _act(0x06) + _act(0x04, b"\1\x14\2\1") + reads
    yield offered + _act(0x00, b"\x82\0\5") * 2 + _act(0x0F)
    yield offered + _act(0x00, b"\x40") + _act(0x00, b"\x40\x20") + _act(0xA7) + _act(0x0D) + fetched
    yield _act(0x06) + _act(0x04, b"\1\x14\2\0") + _act(0x1C) + fetched


def _strangers() -> Iterator[bytes]:
    yield b"ssid=my+net%21&p=&password=%c3%bc"
    yield bytes.fromhex("12340100000100000000000003777777056365") + b"a\0\0\1\0\1"
    for data in (b"\1\6\3net\1x", b"\2\0", b"\3\0", b"\4\0", b"\1\x0d\3net\x08password"):
        packet = b"IMPROV\1\3" + bytes((len(data),)) + data
        yield packet + bytes((sum(packet) & 0xFF,)) + b"\n"
        yield data


_SEEDS = {
    "device": _device,
    "framing": _framing,
    "adpcm": _adpcm,
    "texts": _texts,
    "update": _update,
    "strangers": _strangers,
}
