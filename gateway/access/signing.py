"""Tokens in writing: JSON Web Tokens, HS256. The one file that knows PyJWT; imported when the first token comes.

The keys lie in one file, mode 0600, made on first use: 64 hexadecimal digits a line, the first signs, all are
accepted. A key alone makes no token that is let in: its id has to be in the tokens' file, with its digest.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import jwt
from msgspec import Struct

from firmware_bridge.named_files import read_named
from gateway.access.private_files import alone, read_private, write_private
from gateway.access.tokens import Token, TokenError

FILE = "token.key"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
AUDIENCE = "earshot"
MAX_CHARACTERS = 8 * 1024
"""No token is longer."""
MAX_KEYS = 4
_KEY = re.compile(r"[0-9a-f]{64}")


class BadToken(Exception):
    """Not a token of ours; the message is one of a few, and has nothing of the token."""


class KeyFile(Struct, frozen=True):
    """Where the keys are, whether a missing one is made, and whether somebody ``named`` the file, perhaps a link."""

    path: Path
    made: bool = True
    named: bool = False

    @classmethod
    def located(cls, configured: str, folder: Path, environ: Mapping[str, str]) -> KeyFile:
        """As configured, else beside the tokens. What systemd hands over under that name (LoadCredential=) is first."""
        name = Path(configured).name if configured else FILE
        credential = Path(environ.get(CREDENTIALS_VARIABLE, ""), name)
        if environ.get(CREDENTIALS_VARIABLE) and credential.exists():
            return cls(credential, made=False, named=True)
        return cls(Path(configured).expanduser(), named=True) if configured else cls(folder / FILE)

    def stamp(self) -> tuple[int, int] | None:
        """Another one when the file has changed."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def read(self) -> Keys:
        """The keys. Raises TokenError, also when there is no file."""
        try:
            lines = (read_named if self.named else read_private)(self.path).decode("ascii").split()
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise TokenError(f"the key of the tokens, {self.path}, cannot be read: {reason}") from error
        if not lines or not all(_KEY.fullmatch(line) for line in lines):
            raise TokenError(f"{self.path} does not hold keys: 64 hexadecimal digits a line")
        return Keys(tuple(bytes.fromhex(line) for line in lines))

    def read_or_make(self) -> Keys:
        """The keys; a new one where there is no file. Raises TokenError."""
        if self.path.exists() or not self.made:
            return self.read()
        return self.renew(keep=0)

    def renew(self, *, keep: int) -> Keys:
        """A new key in front of the first ``keep`` of the old ones. Raises TokenError."""
        try:
            with alone(self.path):
                old = self.read().keys if self.path.exists() else ()
                keys = (secrets.token_bytes(32), *old[: min(keep, MAX_KEYS - 1)])
                data = "".join(f"{key.hex()}\n" for key in keys).encode()
                write_private(self.path, data, cramped=data)
        except OSError as error:
            raise TokenError(f"{self.path} cannot be written: {error.strerror or error}") from error
        return Keys(keys)


class Keys(Struct, frozen=True):
    """The keys: the first signs, all are accepted."""

    keys: tuple[bytes, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What tokens call them."""
        return tuple(map(_name, self.keys))

    def sign(self, token: Token) -> tuple[str, str, str]:
        """The token in writing, its digest, and what it calls its key."""
        claims = {
            "aud": AUDIENCE,
            "jti": token.token_id,
            "sub": token.name,
            "role": token.role.value,
            "users": token.users,
            "devices": token.devices,
            "iat": int(token.made_at),
            "exp": int(token.expires_at),
        }
        name = _name(self.keys[0])
        text = jwt.encode(claims, self.keys[0], algorithm="HS256", headers={"kid": name})
        return text, digest(text), name

    def read(self, text: str) -> str:
        """The id of a token in writing. Raises BadToken. Whether it has ended is for the tokens' file to say."""
        if len(text) > MAX_CHARACTERS:
            raise BadToken("too long")
        try:
            named = str(jwt.get_unverified_header(text).get("kid"))
            key = next((key for key in self.keys if _name(key) == named), self.keys[0])
            claims = jwt.decode(
                text,
                key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                options={"require": ["jti", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError as error:
            raise BadToken("not signed by this gateway") from error
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise BadToken("not a token") from error
        return str(claims["jti"])


def is_the_one(text: str, token: Token) -> bool:
    """Whether ``text`` is that very token; takes as long for every other one."""
    return hmac.compare_digest(digest(text), token.digest)


def digest(text: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _name(key: bytes) -> str:
    """What a token calls the key it was signed with."""
    return hashlib.sha256(b"earshot key " + key).hexdigest()[:16]
