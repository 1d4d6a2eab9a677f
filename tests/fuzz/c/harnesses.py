"""The harnesses over the library in C: what each begins with, and the program that it becomes.

With clang that is libFuzzer's, which coverage leads; with any other compiler ``alone.c`` makes inputs by chance. Either
way the address and undefined-behaviour sanitizers watch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIBRARY = HERE.parents[2] / "firmware_bridge" / "esp32" / "src"
VECTORS = HERE.parents[1] / "vectors"
SOURCES = [
    LIBRARY / f"{name}.c"
    for name in ("earshot", "earshot_framing", "earshot_adpcm", "earshot_texts", "earshot_proof")
]
HARNESSES = ("device", "framing", "adpcm", "texts")
OPTIONS = ("-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-fno-sanitize-recover=all")
_PLUG, _WELCOME, _HEAR, _TALK = 10, 4, 0xE0, 0x57


def build(name: str, folder: Path, *, afl: bool = False) -> Path | None:
    """The program; None: there is nothing to make it with."""
    program = folder / f"{name}{'-afl' if afl else ''}"
    sanitizers = "-fsanitize=address,undefined"
    if afl:
        if shutil.which("afl-clang-fast") is None:
            return None
        compilers = [["afl-clang-fast", "-fsanitize=fuzzer", sanitizers]]
    else:
        compilers = [
            ["clang", "-fsanitize=fuzzer", sanitizers],
            ["cc", sanitizers, "-D_DEFAULT_SOURCE", str(HERE / "alone.c")],
        ]
    for compiler in compilers:
        command: list[str | Path] = [
            *compiler,
            *OPTIONS,
            f"-I{LIBRARY}",
            HERE / f"{name}.c",
            *SOURCES,
            "-o",
            program,
        ]
        if (
            shutil.which(compiler[0])
            and not subprocess.run(command, capture_output=True, check=False).returncode
        ):
            return program
    return None


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


_SEEDS = {"device": _device, "framing": _framing, "adpcm": _adpcm, "texts": _texts}
