"""What somebody wants forgotten: erased from the journal, let go of wherever else it waits, and told the house."""

from __future__ import annotations

import time
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gateway.journal import Journal
from gateway.journal.effects import USER, UTTERANCE, Erased, ForgetEverywhere
from gateway.journal.history import Belongings
from gateway.pipeline.erasing import Erasing, Whose

log = structlog.get_logger(__name__)

AT_ONCE = 50
"""Utterances that are erased in one commit, so that erasing much keeps no speech waiting."""
JUST_NOW = 60.0
"""What a user said until so few seconds ago is all that they said."""


class Forgotten(Struct, frozen=True, kw_only=True):
    """How much of a user there is no longer, by its kind; ``unheard``: utterances that had no text yet.

    ``copies``: of the journal as it was before an upgrade, of everybody's words, from which nothing can be erased.
    """

    utterances: int = 0
    unheard: int = 0
    dead_letters: int = 0
    requests: int = 0
    messages: int = 0
    copies: int = 0

    @property
    def total(self) -> int:
        """All of it that was this user's alone."""
        return self.utterances + self.unheard + self.dead_letters + self.requests + self.messages

    def and_also(self, some: Belongings, *, ended: int = 0) -> Forgotten:
        """With what was erased after it."""
        return Forgotten(
            utterances=self.utterances + len(some.utterances),
            unheard=self.unheard + len(some.speech) + ended,
            dead_letters=self.dead_letters + len(some.dead_letters),
            requests=self.requests + len(some.requests),
            messages=self.messages + len(some.letters),
        )


class Showing(Protocol):
    """What listeners are shown."""

    def erase(self, *, user_id: str = "", correlation_id: str = "") -> None:
        """Show it to nobody any more."""


class Forgetting:
    """``everywhere``: other gateways share what is remembered here, and are to forget it, too."""

    def __init__(self, journal: Journal, erasing: Erasing, showing: Showing, *, everywhere: bool) -> None:
        self._journal = journal
        self._erasing = erasing
        self._showing = showing
        self._everywhere = everywhere

    async def utterance(self, utterance_id: str, correlation_id: str) -> None:
        """One of them, whichever gateway of the house heard it."""
        if self._everywhere:
            await self._journal.commit(ForgetEverywhere(UTTERANCE, utterance_id, time.time()))
        await self.utterance_here(utterance_id, correlation_id)

    async def user(self, user_id: str) -> Forgotten:
        """All that a user ever said; how much of it there was here."""
        if self._everywhere:
            await self._journal.commit(ForgetEverywhere(USER, user_id, time.time()))
        return await self.user_here(user_id)

    async def utterance_here(self, utterance_id: str, correlation_id: str = "") -> None:
        """One of them, whether it is in the history or not."""
        if not correlation_id and (row := await self._journal.history.utterance(utterance_id)) is not None:
            correlation_id = row.correlation_id
        await self._erasing.erase(Whose(correlation_id=correlation_id, utterance_id=utterance_id))
        await self._journal.commit(Erased(utterance_id))
        if correlation_id:
            self._showing.erase(correlation_id=correlation_id)
        await self._leave_nothing()

    async def user_here(self, user_id: str) -> Forgotten:
        """All that a user ever said, some at a time."""
        whose = Whose(user_id=user_id)
        forgotten = Forgotten(unheard=await self._erasing.erase(whose))
        await self._journal.scrub()  # behind all that is being written: it is seen from here on
        while some := await self._journal.history.belongings(user_id, AT_ONCE):
            await self._journal.commit(*some.effects())
            forgotten = forgotten.and_also(some, ended=await self._erasing.erase(whose))
        self._showing.erase(user_id=user_id)
        return replace(forgotten, copies=await self._leave_nothing())

    async def as_asked(self, kind: str, subject: str, until: float, *, just_now: bool) -> None:
        """What another gateway was asked to forget; a user until then, in Unix seconds, which may be long ago."""
        if kind == UTTERANCE:
            await self.utterance_here(subject)
        elif just_now or until > time.time() - JUST_NOW:
            await self.user_here(subject)
        else:
            await self._user_until(subject, until)

    async def _user_until(self, user_id: str, until: float) -> None:
        erased = 0
        while some := await self._journal.history.belongings_until(user_id, AT_ONCE, until):
            await self._let_go(some)
            await self._journal.commit(*some.effects())
            erased += len(some)
        if erased:
            self._showing.erase(user_id=user_id)
            await self._leave_nothing()

    async def _leave_nothing(self) -> int:
        """In the journal's files; how many copies of it there were."""
        await self._journal.scrub()
        try:
            return await self._journal.drop_copies()
        except OSError as error:
            log.error("a copy of a version before cannot be deleted", reason=str(error))  # noqa: TRY400
            return 0

    async def _let_go(self, some: Belongings) -> None:
        for correlation_id in some.requests:
            await self._erasing.erase(Whose(correlation_id=correlation_id))
        for utterance_id in (*some.speech, *some.utterances):
            await self._erasing.erase(Whose(utterance_id=utterance_id))
