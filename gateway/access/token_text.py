"""Tokens in writing: ``earshot_`` and 48 characters, in which nothing stands but chance and a checksum.

32 random bytes and their CRC-32 in base64url: 36 bytes fill 48 characters to the bit, so that no token can be written
in two ways. The checksum tells a token that was copied wrong from one that nobody made, and scanners for secrets
what is one; it keeps nobody out.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

PREFIX = "earshot_"
RANDOM_BYTES = 32
CHECKSUM_BYTES = 4
MAX_CHARACTERS = 8 * 1024
"""No token is longer."""
_WRITTEN = re.compile(PREFIX + r"([A-Za-z0-9_-]{48})")
_OLD = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""What earlier versions made (gateway/access/old_keys.py)."""


class BadToken(Exception):
    """Not a token of ours; the message is one of a few, and has nothing of the token."""


def new_text() -> str:
    """A token that there never was."""
    chance = secrets.token_bytes(RANDOM_BYTES)
    return PREFIX + urlsafe_b64encode(chance + _checksum(chance)).decode()


def read(text: str) -> str:
    """The digest of what may be a token; whether it is one is for the tokens' file to say. Raises BadToken."""
    if len(text) > MAX_CHARACTERS:
        raise BadToken("too long")
    if text.startswith(PREFIX):
        if not _is_whole(text):
            raise BadToken("mistyped or cut short")
    elif not _OLD.fullmatch(text):
        raise BadToken("not a token")
    return digest(text)


def is_meant_as_one(text: str) -> bool:
    """Whether somebody shows this as a token of ours, be it mistyped or ended."""
    return text.startswith(PREFIX) or _OLD.fullmatch(text) is not None


def digest(text: str) -> str:
    """What is kept of a token. Of 256 random bits it tells nothing, and needs no salt and no slowness."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_whole(text: str) -> bool:
    if (written := _WRITTEN.fullmatch(text)) is None:
        return False
    data = urlsafe_b64decode(written[1])
    return _checksum(data[:RANDOM_BYTES]) == data[RANDOM_BYTES:]


def _checksum(chance: bytes) -> bytes:
    return zlib.crc32(chance).to_bytes(CHECKSUM_BYTES)
