"""Who is let in, and until when: tokens and page sessions looked up, and their bearers shown out when they end.

The tokens' file is looked at again before every decision and several times a second: what ``earshot token revoke``
ends is over at once, and open connections, with whatever is under way on them, within a second.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from gateway.access import token_text
from gateway.access.audit import Audit, What
from gateway.access.latest_time import Ends
from gateway.access.loopback import is_loopback
from gateway.access.old_keys import OldKeys, as_signed
from gateway.access.page_sessions import PageSessions, digest_of
from gateway.access.principals import LOCAL, Principal
from gateway.access.private_files import Stamp
from gateway.access.tokens import Token, TokenFile, Tokens, TokensUnreadable
from gateway.settings.web import WebSettings

LOOK_SECONDS = 0.3
"""How often the tokens' file is looked at while nothing happens."""
KEEP_SECONDS = 600.0
"""How often the latest time is written down."""
GRACE_SECONDS = 0.4
"""Somebody who is shown out may be told so politely for so long."""
UNREAD: Stamp = (0, 0, 0)
"""No file's."""
SIGNED_OUT = "the page is signed out"
MAKE_ONE = "earshot token create --role operator --days 90 {name}"


class NotAdmitted(Exception):
    """Nobody we let in; the message is one of a few, and has nothing of the token."""


class Stay:
    """One connection of somebody who was let in, as long as it lasts. ``page``: the secret of a signed-in page."""

    def __init__(self, principal: Principal, cut: Callable[[], None], page: str = "") -> None:
        self.principal = principal
        self.page = page
        self.reason = ""
        self.is_left = False
        """Whether it is over, and its connection somebody's next request's."""
        self._cut = cut
        self._over = asyncio.Event()

    async def ended(self) -> NoReturn:
        """Wait until the right to be here ends. Raises NotAdmitted."""
        await self._over.wait()
        raise NotAdmitted(self.reason)

    def end(self, reason: str) -> None:
        """Tell whoever waits; what is still open after GRACE_SECONDS is cut."""
        if not self._over.is_set():
            self.reason = reason
            self._over.set()
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        if not self.is_left:
            self._cut()


class Door:
    """Runs from ``async with`` to its end."""

    def __init__(
        self,
        settings: WebSettings,
        folder: Path | None,
        audit: Audit,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.required = is_locked(settings)
        self._ends = Ends(folder, clock)
        self.sessions = PageSessions(folder, self._ends.now, self._ends.surely)
        self._file = None if folder is None else TokenFile(folder, clock)
        self._keys = OldKeys(settings.secret_file, folder or Path(), environ)
        self._audit = audit
        self._tokens = Tokens()
        self._stamp: Stamp = None
        self._looking = asyncio.Lock()
        self._seen: set[str] = set()
        self._stays: set[Stay] = set()
        self._watch: asyncio.Task[None] | None = None
        self.trouble = ""
        """Why nobody is let in, when the tokens cannot be read."""
        self.doubt: Callable[[Token], str] = lambda _token: ""
        """Why one is not believed that is good by itself; empty when it is."""
        self.look_for: Callable[[str], Awaitable[None]] | None = None
        """Looks elsewhere for a page, by its secret's digest, that did not sign in here."""
        self._look()
        if self._tokens.tokens:
            self._ends.keep()

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._look_again(), name="door")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._tokens.tokens:
            await asyncio.to_thread(self._ends.keep)

    @property
    def has_tokens(self) -> bool:
        """Whether there is anybody who could be let in, as of the last look."""
        return bool(self._tokens.living(self._ends.now()))

    def without_token(self) -> Principal | None:
        """Who somebody is that shows nothing: whoever is on this machine, unless tokens are asked for."""
        return None if self.required else LOCAL

    async def admit(self, text: str, address: str) -> Principal:
        """Who bears this token. Raises NotAdmitted."""
        await self._up_to_date()
        return self._let_in(self._known(text), address)

    async def admit_session(self, secret: str, address: str) -> Principal:
        """Whose page this is. Raises NotAdmitted."""
        await self._up_to_date()
        token_id = self.sessions.find(secret)
        if token_id is None and self.look_for is not None and not self.sessions.knows(secret):
            await self.look_for(digest_of(secret))
            token_id = self.sessions.find(secret)
        if token_id is None:
            raise NotAdmitted(SIGNED_OUT)
        token = self._tokens.tokens.get(token_id)
        if token is None:
            raise NotAdmitted("unknown")
        return self._let_in(token, address)

    @contextmanager
    def stay(self, principal: Principal, cut: Callable[[], None], page: str = "") -> Iterator[Stay]:
        """A connection of theirs: ended, and then ``cut``, when their token ends, or its ``page`` signs out."""
        stay = Stay(principal, cut, page)
        self._stays.add(stay)
        try:
            yield stay
        finally:
            stay.is_left = True
            self._stays.discard(stay)

    async def sign_out(self, secret: str) -> bool:
        """The page's connections end, too; whether it was signed in."""
        ended = await asyncio.to_thread(self.sessions.end, secret)
        for stay in list(self._stays):
            if secret and stay.page == secret:
                stay.end(SIGNED_OUT)
        return ended

    def _let_in(self, token: Token, address: str) -> Principal:
        if problem := self._problem_of(token, self._ends.now()):
            raise NotAdmitted(problem)
        if token.token_id not in self._seen:
            self._seen.add(token.token_id)
            self._audit.note(
                What.FIRST_USED,
                token_id=token.token_id,
                name=token.name,
                role=token.role.value,
                address=address,
            )
        return token.principal

    def _known(self, text: str) -> Token:
        """The token of ours that this is, ended or not."""
        if not self._tokens.tokens:
            raise NotAdmitted(self.trouble or "unknown")
        try:
            token = self._tokens.by_digest.get(token_text.read(text))
        except token_text.BadToken as error:
            raise NotAdmitted(str(error)) from error
        if token is None:
            raise NotAdmitted("unknown")
        return as_signed(token, text)

    # -- what changes while it runs

    async def _up_to_date(self) -> None:
        """What lies on the disk is what we know: looked at here, and read in a thread when it has changed."""
        if self._is_up_to_date():
            return
        async with self._looking:
            if not self._is_up_to_date():
                await asyncio.to_thread(self._look)

    def _is_up_to_date(self) -> bool:
        if self._file is None:
            return True
        if self._file.stamp() != self._stamp:
            return False
        return self._keys.is_up_to_date or not self._tokens.some_are_signed

    def _look(self) -> None:
        """Read what has changed. Unreadable tokens let nobody in.

        It runs in a thread: a stamp is set last, when what it stands for is known.
        """
        if self._file is None:
            return
        if (stamp := self._file.stamp()) != self._stamp:
            is_read = self._read_tokens(self._file)
            self._stamp = (
                stamp if is_read else UNREAD
            )  # it may be for want of a descriptor, and is tried again
        if self._tokens.some_are_signed:
            self._keys.look()

    def _read_tokens(self, file: TokenFile) -> bool:
        try:
            self._tokens = file.read()
        except TokensUnreadable as error:
            self._tokens = Tokens()
            if not self.trouble:
                self._audit.note(What.UNREADABLE, reason=str(error))
            self.trouble = "the gateway cannot read its tokens"
        else:
            self.trouble = ""
        self._seen &= self._tokens.tokens.keys()
        return not self.trouble

    async def _look_again(self) -> None:
        kept_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look_again()
            if self._tokens.tokens and asyncio.get_running_loop().time() > kept_at + KEEP_SECONDS:
                kept_at = asyncio.get_running_loop().time()
                await asyncio.to_thread(self._ends.keep)

    async def look_again(self) -> None:
        """Whoever is not to be here any more goes."""
        await self._up_to_date()
        now = self._ends.now()
        await self._show_out(
            {
                stay: problem
                for stay in self._stays
                if not stay.reason and (problem := self._problem(stay, now))
            }
        )

    def _problem(self, stay: Stay, now: float) -> str:
        """Why it may not go on; empty when it may."""
        token = self._tokens.tokens.get(stay.principal.token_id)
        if token is None:
            return "unknown"
        if stay.page and self.sessions.find(stay.page) is None:
            return SIGNED_OUT
        return self._problem_of(token, now)

    def _problem_of(self, token: Token, now: float) -> str:
        """Why it lets nobody in; empty when it does."""
        if problem := token.problem(now):
            return problem
        is_orphan = token.is_signed and token.key and token.key not in self._keys.names
        return "its key is gone" if is_orphan else self.doubt(token)

    async def _show_out(self, ending: dict[Stay, str]) -> None:
        """It is written down before anybody learns of it."""
        for stay, problem in ending.items():
            who = stay.principal
            self._audit.note(What.SHOWN_OUT, token_id=who.token_id, name=who.name, reason=problem)
        if ending:
            await self._audit.written()
        for stay, problem in ending.items():
            stay.end(problem)


def is_locked(settings: WebSettings) -> bool:
    """Whether everybody needs a token: where others can reach the gateway, and where that is wanted."""
    from_elsewhere = bool(settings.hosts or settings.trusted_proxies)
    return settings.require_token or from_elsewhere or not is_loopback(settings.host)
