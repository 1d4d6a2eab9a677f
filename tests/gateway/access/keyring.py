"""Tokens as ``earshot token`` makes them, for a gateway whose files lie in one folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.access.principals import Role
from gateway.access.signing import KeyFile
from gateway.access.tokens import Token, TokenFile, Wish


@dataclass
class Keyring:
    """Who has a token here."""

    folder: Path
    clock: Callable[[], float] = time.time

    @property
    def file(self) -> TokenFile:
        return TokenFile(self.folder, self.clock)

    @property
    def key(self) -> KeyFile:
        return KeyFile.located("", self.folder, {})

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
        return self.file.create(wish, self.key.read_or_make().sign)

    def token(self, name: str = "ann", role: Role = Role.LISTENER, **more: tuple[str, ...]) -> str:
        return self.make(name, role, devices=more.get("devices", ()), users=more.get("users", ()))[1]
