"""A file encrypted with a passphrase: AES-256-GCM in pieces, the key by scrypt.

``EARSHOT-SEALED-1`` and a line's end, 16 bytes of salt, then pieces: four bytes of length (big endian) and what AES-GCM
makes of up to a mebibyte. Each piece's nonce is its number and whether it is the last one, so that none can be left
out, added or moved.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from gateway.backups.errors import BackupError

MAGIC: Final = b"EARSHOT-SEALED-1\n"
PIECE: Final = 1024 * 1024
_SALT = 16
_TAG = 16
_LENGTH = struct.Struct(">I")


class SealedWriter:
    """To be written to like a file, and closed at the end."""

    def __init__(self, file: IO[bytes], passphrase: bytes) -> None:
        salt = os.urandom(_SALT)
        self._seal = _cipher(passphrase, salt).encrypt
        self._file = file
        self._waiting = bytearray()
        self._number = 0
        file.write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        """As a file's."""
        self._waiting += data
        while len(self._waiting) > PIECE:
            self._put(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return len(data)

    def close(self) -> None:
        """What is left, as the last piece."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, data: bytes, *, last: bool) -> None:
        sealed = self._seal(_nonce(self._number, last=last), data, None)
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)
        self._number += 1


class SealedReader:
    """To be read like a file. Raises BackupError for a wrong passphrase, and whatever is not as it was written."""

    def __init__(self, file: IO[bytes], passphrase: bytes) -> None:
        """``file``: behind its ``MAGIC``."""
        salt = file.read(_SALT)
        self._pieces = _opened(file, _cipher(passphrase, salt).decrypt)
        self._waiting = b""

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        parts, wanted = [], size if size >= 0 else 1 << 62
        while wanted > 0:
            if not self._waiting:
                self._waiting = next(self._pieces, b"")
                if not self._waiting:
                    break
            parts.append(self._waiting[:wanted])
            self._waiting = self._waiting[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)


def _opened(file: IO[bytes], unseal: Callable[[bytes, bytes, None], bytes]) -> Iterator[bytes]:
    from gateway.access.ciphers import InvalidTag  # noqa: PLC0415 - where it is sealed

    number, last = 0, False
    while not last:
        head = file.read(_LENGTH.size)
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        sealed = file.read(length) if _TAG <= length <= PIECE + _TAG else b""
        if len(sealed) < _TAG or len(sealed) != length:
            raise BackupError("the backup breaks off\nremedy: fetch it again, or take another one")
        try:
            data = unseal(_nonce(number, last=False), sealed, None)
        except InvalidTag:
            last = True
            try:
                data = unseal(_nonce(number, last=True), sealed, None)
            except InvalidTag as error:
                what = "the passphrase is wrong, or the" if number == 0 else "the"
                raise BackupError(f"{what} backup was damaged or changed") from error
        number += 1
        if data:
            yield data


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">QI", number, last)


def _cipher(passphrase: bytes, salt: bytes) -> Any:
    try:
        from gateway.access.ciphers import AESGCM, Scrypt  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BackupError(
            "a sealed backup needs the package cryptography\nremedy: pip install 'earshot-gateway[tls]'"
        ) from error
    if len(salt) != _SALT:
        raise BackupError("the backup breaks off\nremedy: fetch it again, or take another one")
    return AESGCM(Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase))
