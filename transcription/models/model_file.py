"""CTranslate2's ``model.bin``, version 6, read and written as ``ctranslate2/specs/model_spec.py`` writes it.

::

    u32 version | string specification | u32 revision
    u32 count, each: string name | u8 rank | u32 size * rank | u8 type | u32 bytes | data
    u32 count, each: string alias | string name

All little-endian; a string is its length with the final NUL as u16, and then both.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

VERSION = 6
TYPES = tuple(np.dtype(name) for name in ("<f4", "i1", "<i2", "<i4", "<f2"))
"""By the number in the file. bfloat16 follows, which numpy does not know."""


class ModelFile(Struct, frozen=True):
    """A whole model: its variables by name, quantized as they stand there, in the file's order."""

    specification: str
    revision: int
    variables: dict[str, Array]
    aliases: dict[str, str]


def read_model(path: Path) -> ModelFile:
    """Raises ValueError for a file of another version, and for one that is damaged."""
    try:
        return _read(path)
    except (struct.error, IndexError, UnicodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _read(path: Path) -> ModelFile:
    data = _Cursor(path.read_bytes())
    version = data.number("<I")
    if version != VERSION:
        raise ValueError(f"{path} has version {version}; this reads version {VERSION}")
    specification, revision = data.string(), data.number("<I")
    variables = {}
    for _ in range(data.number("<I")):
        name = data.string()
        shape = [data.number("<I") for _ in range(data.number("B"))]
        dtype = TYPES[data.number("B")]
        variables[name] = np.frombuffer(data.take(data.number("<I")), dtype).reshape(shape)
    aliases = {data.string(): data.string() for _ in range(data.number("<I"))}
    return ModelFile(specification, revision, variables, aliases)


def write_model(model: ModelFile, path: Path) -> None:
    """The same bytes as were read, if nothing was changed."""
    with path.open("wb") as file:
        file.write(struct.pack("<I", VERSION) + _string(model.specification))
        file.write(struct.pack("<II", model.revision, len(model.variables)))
        for name, value in model.variables.items():
            file.write(_string(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape))
            file.write(struct.pack("<BI", TYPES.index(value.dtype), value.nbytes))
            file.write(value.tobytes())
        file.write(struct.pack("<I", len(model.aliases)))
        for alias, name in model.aliases.items():
            file.write(_string(alias) + _string(name))


class _Cursor:
    """Bytes, and how far they have been read."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, size: int) -> memoryview:
        if size > len(self._data) - self._at:
            raise ValueError(f"the file ends before byte {self._at + size}")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, kind: str) -> int:
        (number,) = struct.unpack(kind, self.take(struct.calcsize(kind)))
        return int(number)

    def string(self) -> str:
        return bytes(self.take(self.number("<H"))[:-1]).decode()


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data
