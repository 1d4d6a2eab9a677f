"""Tokens as they are kept: who has one, for what and until when, and never the token itself.

One JSON file beside the journal, changed by ``earshot token`` while the gateway runs, which looks at it again
when it has changed. A token that is not in it is nobody's.

::

    TokenError
      TokensUnreadable     the file cannot be read or is not what it should be; nobody is let in then
      TokensUnwritable     what should be in it is not; what was good before is good still
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from msgspec import Struct, structs

from gateway.access.latest_time import latest
from gateway.access.principals import Principal, Role
from gateway.access.private_files import Stamp
from gateway.access.private_records import PrivateRecords
from gateway.access.token_text import digest, new_text
from gateway.contract.messages import is_device_token, is_token
from gateway.process.clock import DAY

FILE = "tokens.json"
MAX_TOKENS = 1_000
MAX_SCOPE = 64
"""Users or devices that one token names."""
FORGET_DAYS = 30
"""So long after its end a token is still listed."""
UNSIGNED = "-"
"""In place of a key's name, in what is not signed."""


class TokenError(Exception):
    """It cannot be done; the message says why."""


class TokensUnreadable(TokenError):
    """The file cannot be read, or is not what it should be."""


class TokensUnwritable(TokenError):
    """The file cannot be written."""


class Token(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one token. Times are Unix time.

    ``digest`` is the SHA-256 of the token, in hexadecimal. ``revoked_at`` is 0 for one that was not. ``key``: what
    one of an earlier version calls the key that signed it; empty where nobody wrote that down.
    """

    token_id: str
    name: str
    role: Role
    digest: str
    made_at: float
    expires_at: float
    users: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    revoked_at: float = 0.0
    key: str = ""

    @property
    def is_signed(self) -> bool:
        """Whether an earlier version made it, and it ends with its key (gateway/access/old_keys.py)."""
        return self.key != UNSIGNED

    def problem(self, now: float) -> str:
        """Why it lets nobody in; empty when it does."""
        if self.revoked_at:
            return "revoked"
        return "expired" if now >= self.expires_at else ""

    @property
    def principal(self) -> Principal:
        """Whoever bears it."""
        return Principal(
            name=self.name,
            role=self.role,
            users=frozenset(self.users),
            devices=frozenset(self.devices),
            token_id=self.token_id,
            expires_at=self.expires_at,
        )


def joined(one: Token, other: Token) -> Token:
    """What two places know of one token: of two ends the earlier, so that no end is ever undone.

    What it is for never changes: where they differ about that, ``one`` is right.
    """
    revoked = [at for at in (one.revoked_at, other.revoked_at) if at]
    return structs.replace(
        one, revoked_at=min(revoked, default=0.0), expires_at=min(one.expires_at, other.expires_at)
    )


class Wish(Struct, frozen=True, kw_only=True):
    """A token to be made."""

    name: str
    role: Role
    days: float
    users: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises TokenError for what no token may say."""
        names = ((one, is_token(one)) for one in (self.name, *self.users))
        devices = ((one, is_device_token(one)) for one in self.devices)
        for value, is_name in (*names, *devices):
            if not is_name:
                raise TokenError(
                    f"{value!r:.80} is not a name: 1 to 64 of A-Z a-z 0-9 _ and -; a device's may have single dots"
                )
        if len(self.users) > MAX_SCOPE or len(self.devices) > MAX_SCOPE:
            raise TokenError(f"a token names at most {MAX_SCOPE} users and {MAX_SCOPE} devices")
        if self.role is Role.DEVICE and not self.devices:
            raise TokenError("a device's token names its device: --device ID")


class Tokens(Struct, frozen=True):
    """All of them, by id and by digest."""

    tokens: dict[str, Token] = {}
    by_digest: dict[str, Token] = {}
    """Looking up a digest tells nobody how near a guess was."""
    some_are_signed: bool = False

    @classmethod
    def of(cls, tokens: Iterable[Token]) -> Self:
        """All of these."""
        by_id = {token.token_id: token for token in tokens}
        some_are_signed = any(token.is_signed for token in by_id.values())
        return cls(by_id, {token.digest: token for token in by_id.values()}, some_are_signed)

    def living(self, now: float) -> list[Token]:
        """Those that let somebody in."""
        return [token for token in self.tokens.values() if not token.problem(now)]

    def find(self, which: str, now: float) -> list[Token]:
        """The one with that id, else the living ones of that name."""
        if which in self.tokens:
            return [self.tokens[which]]
        return [token for token in self.living(now) if token.name == which]


class TokenFile:
    """The file in ``folder``, and what may be done to it from any process. Everything raises TokenError."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._records = PrivateRecords(self.path, Token, TokensUnreadable, TokensUnwritable)

    def stamp(self) -> Stamp:
        """Another one when the file has changed."""
        return self._records.stamp()

    def read(self) -> Tokens:
        """All tokens; none where there is no file. Raises TokensUnreadable."""
        return Tokens.of(self._records.read())

    def create(self, wish: Wish) -> tuple[Token, str]:
        """A new token, and it in writing."""
        wish.check()
        with self._records.changing():
            there, now = self.read(), self._clock()
            if any(token.name == wish.name for token in there.living(now)):
                raise TokenError(
                    f"there is a token {wish.name!r} already\n"
                    f"remedy: earshot token rotate {wish.name}, or another name"
                )
            token, text = self._made(wish)
            self._write([*there.tokens.values(), token])
        return token, text

    def revoke(self, which: str) -> list[Token]:
        """End the token with that id, or all of that name, now."""
        return self._revoke(lambda there: self._found(there, which))

    def revoke_all(self) -> list[Token]:
        """End every token there is, now."""
        return self._revoke(lambda there: there.tokens.values())

    def _revoke(self, which: Callable[[Tokens], Iterable[Token]]) -> list[Token]:
        with self._records.changing():
            there, now = self.read(), self._clock()
            ended = {
                token.token_id: structs.replace(token, revoked_at=now)
                for token in which(there)
                if not token.revoked_at
            }
            self._write([ended.get(token.token_id, token) for token in there.tokens.values()])
        return list(ended.values())

    def rotate(self, which: str, *, days: float, overlap: float) -> tuple[Token, str]:
        """A new token in place of another, which stays good for ``overlap`` seconds more."""
        with self._records.changing():
            there, now = self.read(), self._clock()
            old = [token for token in self._found(there, which) if not token.problem(now)]
            if not old:
                raise TokenError(f"{which!r:.80} has ended already; `earshot token create` makes another")
            model = max(old, key=lambda token: token.made_at)
            wish = Wish(name=model.name, role=model.role, days=days, users=model.users, devices=model.devices)
            new, text = self._made(wish)
            shortened = {
                token.token_id: structs.replace(token, expires_at=min(token.expires_at, now + overlap))
                for token in old
            }
            self._write([shortened.get(token.token_id, token) for token in there.tokens.values()] + [new])
        return new, text

    def join(self, others: Iterable[Token]) -> bool:
        """Take in what others know; whether that was news. Of those that are too many the new ones stay out."""
        with self._records.changing():
            there, now = self.read(), self._clock()
            kept, others = dict(there.tokens), list(others)
            over = self.over(others)
            for other in sorted(others, key=lambda token: bool(token.problem(now))):
                if (known := kept.get(other.token_id)) is not None:
                    kept[other.token_id] = joined(known, other)
                elif len(kept) < MAX_TOKENS and other.token_id not in over:
                    kept[other.token_id] = other
            if kept == there.tokens:
                return False
            self._write(kept.values())
        return True

    def over(self, tokens: Iterable[Token]) -> set[str]:
        """The ids of those that ended so long ago that they are not even listed. Reads a file."""
        long_ago = latest(self.path.parent, self._clock()) - FORGET_DAYS * DAY
        return {
            token.token_id
            for token in tokens
            if min(token.expires_at, token.revoked_at or token.expires_at) <= long_ago
        }

    def _made(self, wish: Wish) -> tuple[Token, str]:
        now, text = self._clock(), new_text()
        token = Token(
            token_id=f"t_{secrets.token_hex(16)}",
            name=wish.name,
            role=wish.role,
            digest=digest(text),
            made_at=now,
            expires_at=now + wish.days * DAY,
            users=wish.users,
            devices=wish.devices,
            key=UNSIGNED,
        )
        return token, text

    def _found(self, there: Tokens, which: str) -> list[Token]:
        if found := there.find(which, self._clock()):
            return found
        raise TokenError(f"there is no token {which!r:.80}; `earshot token list` shows them")

    def _write(self, tokens: Iterable[Token]) -> None:
        tokens = list(tokens)
        over = self.over(tokens)
        kept = [token for token in tokens if token.token_id not in over]
        if len(kept) > MAX_TOKENS:
            raise TokenError(
                f"there are {MAX_TOKENS} tokens already; those that ended go after {FORGET_DAYS} days"
            )
        self._records.write(kept)
