"""Pages that signed in with a token and have a cookie since. All but ``find`` is for a thread.

Only digests are kept, in a file beside the tokens, so that a panel on the wall stays signed in when the gateway is
restarted. A file that cannot be read or written costs no more than that.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
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

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, token_id: str) -> str:
        """The secret for the cookie of a page that just signed in."""
        secret = secrets.token_urlsafe(32)
        with self._changing:
            self._sessions[_digest(secret)] = (token_id, self._clock() + SESSION_SECONDS)
            if len(self._sessions) > MAX_SESSIONS:
                del self._sessions[self._expendable()]
            self._write()
        return secret

    def find(self, secret: str) -> str | None:
        """The token's id; None for a page that is not, or no longer, signed in."""
        token_id, until = self._sessions.get(_digest(secret), ("", 0.0))
        return token_id if self._clock() < until else None

    def end(self, secret: str) -> bool:
        """Sign out; whether it was signed in."""
        with self._changing:
            ended = self._sessions.pop(_digest(secret), None) is not None
            if ended:
                self._write()
        return ended

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
        return {digest: (token_id, until) for digest, (token_id, until) in kept.items() if now < until}

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            data = msgspec.json.encode(dict(self._sessions))
            write_private(self._path, data, cramped=data)  # a sign-out needs no room
        except OSError as error:
            log.warning("signed-in pages cannot be kept", path=str(self._path), reason=str(error))


def _digest(secret: str) -> str:
    """Looking up a digest tells nobody how near a guess was."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
