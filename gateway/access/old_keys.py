"""What is left of the keys that tokens were signed with, by earlier versions: such a token ends with its key.

Those were JSON Web Tokens. They are found by their digest like all others, so no signature has to be looked at; which
key it was stands in the token's row, or in the token. Keys are read here and neither made nor used.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from firmware_bridge.named_files import read_named
from gateway.access.private_files import read_private
from gateway.access.tokens import Token, TokenError

FILE = "token.key"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
_KEY = re.compile(r"[0-9a-f]{64}")
_UNREAD = (0, 0)
"""No file's: it may be for want of a descriptor, and is tried again."""


class OldKeys:
    """The names of the keys in a file, as of the last look; none where it cannot be read."""

    def __init__(self, configured: str, folder: Path, environ: Mapping[str, str]) -> None:
        """As configured, else beside the tokens. What systemd hands over under that name (LoadCredential=) is first."""
        credential = Path(
            environ.get(CREDENTIALS_VARIABLE, ""), Path(configured).name if configured else FILE
        )
        self.path = Path(configured).expanduser() if configured else folder / FILE
        self._read = read_named if configured else read_private
        if environ.get(CREDENTIALS_VARIABLE) and credential.exists():
            self.path, self._read = credential, read_named
        self.names: frozenset[str] = frozenset()
        self._stamp: tuple[int, int] | None = None

    @property
    def is_up_to_date(self) -> bool:
        """Whether the file is as it was at the last look."""
        return self._stamp_now() == self._stamp

    def look(self) -> None:
        """Read the file where it has changed. For a thread."""
        if (stamp := self._stamp_now()) == self._stamp:
            return
        try:
            self.names = frozenset() if stamp is None else self.read()
        except TokenError:
            self.names, stamp = frozenset(), _UNREAD
        self._stamp = stamp

    def read(self) -> frozenset[str]:
        """The names as they are in the file now. Raises TokenError, also when there is no file."""
        try:
            lines = self._read(self.path).decode("ascii").split()
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise TokenError(f"the key of the tokens, {self.path}, cannot be read: {reason}") from error
        if not lines or not all(map(_KEY.fullmatch, lines)):
            raise TokenError(f"{self.path} does not hold keys: 64 hexadecimal digits a line")
        return frozenset(map(_name, lines))

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


class _Head(Struct):
    kid: str


def as_signed(token: Token, text: str) -> Token:
    """The token with what it calls its key, also where its row does not say so."""
    if token.key:
        return token
    head = text.partition(".")[0]
    try:
        named = msgspec.json.decode(urlsafe_b64decode(head + "=" * (-len(head) % 4)), type=_Head).kid
    except ValueError:
        named = "nobody knows"
    return msgspec.structs.replace(token, key=named)


def _name(key: str) -> str:
    """What a token calls the key it was signed with."""
    return hashlib.sha256(b"earshot key " + bytes.fromhex(key)).hexdigest()[:16]
