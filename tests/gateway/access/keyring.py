"""Tokens as ``earshot token`` makes them, for a gateway whose files lie in one folder."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.access.principals import Role
from gateway.access.token_text import digest
from gateway.access.tokens import Token, TokenFile, Wish

OLD_KEY = bytes(range(32))
"""What tokens of earlier versions are signed with here."""


@dataclass
class Keyring:
    """Who has a token here."""

    folder: Path
    clock: Callable[[], float] = time.time

    @property
    def file(self) -> TokenFile:
        return TokenFile(self.folder, self.clock)

    def make(
        self,
        name: str = "ann",
        role: Role = Role.LISTENER,
        *,
        days: float = 1.0,
        devices: tuple[str, ...] = (),
        users: tuple[str, ...] = (),
    ) -> tuple[Token, str]:
        wish = Wish(name=name, role=role, days=days, users=users, devices=devices)
        return self.file.create(wish)

    def token(self, name: str = "ann", role: Role = Role.LISTENER, **more: tuple[str, ...]) -> str:
        return self.make(name, role, devices=more.get("devices", ()), users=more.get("users", ()))[1]

    @property
    def key(self) -> Path:
        return self.folder / "token.key"

    def make_old(
        self, name: str = "ann", key: bytes = OLD_KEY, *, is_noted: bool = True, **more: tuple[str, ...]
    ) -> tuple[Token, str]:
        """As an earlier version made it; ``is_noted``: with its key's name in its row, as only the last of them did."""
        made, _ = self.make(name, **more)
        text = signed_as_before(made, key)
        old = msgspec.structs.replace(made, digest=digest(text), key=key_name(key) if is_noted else "")
        self.put([*(token for token in self.file.read().tokens.values() if token != made), old])
        if not self.key.exists():
            self.key.write_text(f"{key.hex()}\n")
            self.key.chmod(0o600)
        return old, text

    def put(self, tokens: list[Token]) -> None:
        """By hand: these and no others."""
        self.file.path.write_bytes(msgspec.json.encode(tokens))


def key_name(key: bytes) -> str:
    return hashlib.sha256(b"earshot key " + key).hexdigest()[:16]


def signed_as_before(token: Token, key: bytes) -> str:
    """To the byte what PyJWT wrote."""
    head = {"alg": "HS256", "kid": key_name(key), "typ": "JWT"}
    claims = {
        "aud": "earshot",
        "jti": token.token_id,
        "sub": token.name,
        "role": token.role.value,
        "users": token.users,
        "devices": token.devices,
        "iat": int(token.made_at),
        "exp": int(token.expires_at),
    }
    signed = b".".join(_part(json.dumps(one, separators=(",", ":")).encode()) for one in (head, claims))
    return (signed + b"." + _part(hmac.digest(key, signed, "sha256"))).decode()


def _part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
