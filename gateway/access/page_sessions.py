"""Pages that signed in with a token and have a cookie since. All but ``find`` is for a thread.

Only digests are kept, in a file beside the tokens, so that a panel on the wall stays signed in when the gateway is
restarted. A file that cannot be read or written costs no more than that.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog

from firmware_bridge.shares import HOUSE, gives_way
from gateway.access.private_files import read_private, write_private
from gateway.process.clock import DAY

log = structlog.get_logger(__name__)

FILE = "pages.json"
MAX_SESSIONS = 1_000
"""Pages signed in at once; the oldest sign-in of the token that has most is forgotten first."""
SESSION_SECONDS = 30 * DAY
"""A page signs in again after so long, if its token has not ended before."""


class PageSessions:
    """Which token each signed-in page bears. ``folder`` None: kept in memory only."""

    def __init__(
        self, folder: Path | None, clock: Callable[[], float], surely: Callable[[], float] | None = None
    ) -> None:
        """``surely``: what it is at least, though the clock be wrong; what ended before is forgotten."""
        self._path = None if folder is None else folder / FILE
        self._clock = clock
        self._surely = surely or clock
        self._sessions = OrderedDict(self._read())
        self._changing = threading.Lock()
        self.are_shared = False
        """Whether others want to know who signed out."""

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, token_id: str) -> str:
        """The secret for the cookie of a page that just signed in."""
        secret = secrets.token_urlsafe(32)
        with self._changing:
            self._sessions[digest_of(secret)] = (token_id, self._clock() + SESSION_SECONDS)
            if len(self._sessions) > MAX_SESSIONS:
                del self._sessions[self._expendable()]
            self._write()
        return secret

    def find(self, secret: str) -> str | None:
        """The token's id; None for a page that is not, or no longer, signed in."""
        token_id, until = self._sessions.get(digest_of(secret), ("", 0.0))
        return token_id if self._clock() < until else None

    def knows(self, secret: str) -> bool:
        """Whether it has ever signed in, as far as is remembered here."""
        return digest_of(secret) in self._sessions

    def end(self, secret: str) -> bool:
        """Sign out; whether it was signed in."""
        digest = digest_of(secret)
        with self._changing:
            token_id, until = self._sessions.get(digest, ("", -1.0))
            if until <= 0:
                return False
            if self.are_shared:
                self._sessions[digest] = (token_id, -until)
            else:
                del self._sessions[digest]
            self._write()
        return True

    def all(self) -> dict[str, tuple[str, float]]:
        """What is known, by the digests of the secrets: the token's id and the end; a negative one was signed out."""
        with self._changing:
            return dict(self._sessions)

    def join(self, others: Mapping[str, tuple[str, float]]) -> bool:
        """Take in what others know; whether that was news. A sign-out is never undone."""
        with self._changing:
            before, now = dict(self._sessions), self._surely()
            for digest, (token_id, until) in others.items():
                known = self._sessions.get(digest)
                if abs(until) > now and (known is None or until < known[1]):
                    self._sessions[digest] = (token_id, until)
            while len(self._sessions) > MAX_SESSIONS:
                del self._sessions[self._expendable()]
            if self._sessions == before:
                return False
            self._write()
        return True

    def _expendable(self) -> str:
        """The digest that goes when there are too many: whoever signs in again and again forgets their own."""
        most = gives_way(Counter(token_id for token_id, _ in self._sessions.values()), HOUSE)
        return next(digest for digest, (token_id, _) in self._sessions.items() if token_id == most)

    def _read(self) -> dict[str, tuple[str, float]]:
        if self._path is None:
            return {}
        try:
            kept = msgspec.json.decode(read_private(self._path), type=dict[str, tuple[str, float]])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            log.warning("pages have to sign in again", path=str(self._path), reason=str(error))
            return {}
        now = self._surely()
        return {digest: (token_id, until) for digest, (token_id, until) in kept.items() if now < abs(until)}

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            data = msgspec.json.encode(dict(self._sessions))
            write_private(self._path, data, cramped=data)  # a sign-out needs no room
        except OSError as error:
            log.warning("signed-in pages cannot be kept", path=str(self._path), reason=str(error))


def digest_of(secret: str) -> str:
    """Looking up a digest tells nobody how near a guess was."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
