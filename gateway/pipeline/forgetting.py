"""What somebody wants forgotten: erased from the journal, let go of wherever else it waits, and told the house."""

from __future__ import annotations

import time
from typing import Protocol

import structlog

from gateway.journal import Journal
from gateway.journal.effects import USER, UTTERANCE, Erased, ForgetEverywhere
from gateway.journal.history import Belongings
from gateway.pipeline.erasing import Erasing, Whose

log = structlog.get_logger(__name__)

AT_ONCE = 50
"""Utterances that are erased in one commit, so that erasing much keeps no speech waiting."""
JUST_NOW = 60.0
"""What a user said until so few seconds ago is all that they said."""


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

    async def user(self, user_id: str) -> int:
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

    async def user_here(self, user_id: str) -> int:
        """All that a user ever said, some at a time."""
        whose = Whose(user_id=user_id)
        erased = await self._erasing.erase(whose)
        await self._journal.scrub()  # behind all that is being written: it is seen from here on
        while some := await self._journal.history.belongings(user_id, AT_ONCE):
            await self._journal.commit(*some.effects())
            erased += len(some)
            erased += await self._erasing.erase(whose)
        self._showing.erase(user_id=user_id)
        await self._leave_nothing()
        return erased

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

    async def _leave_nothing(self) -> None:
        await self._journal.scrub()
        try:
            await self._journal.drop_copies()
        except OSError as error:
            log.error("a copy of a version before cannot be deleted", reason=str(error))  # noqa: TRY400

    async def _let_go(self, some: Belongings) -> None:
        for correlation_id in some.requests:
            await self._erasing.erase(Whose(correlation_id=correlation_id))
        for utterance_id in (*some.speech, *some.utterances):
            await self._erasing.erase(Whose(utterance_id=utterance_id))
