"""A device is never left without a word: what is waited for is told again, and where nobody is there, that is.

Where agents are named, their team knows who of them is there (``teams/``); here it is whoever reads the transcripts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from firmware_bridge.link.events import DeviceStatus
from gateway.pipeline.asking.by_name import ByName
from gateway.pipeline.asking.endings import Endings
from gateway.pipeline.asking.questions import Question, Questions
from gateway.pipeline.asking.somebody import Somebody
from gateway.pipeline.sessions.session import TurnState
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.mishaps import Mishaps

LOOK_SECONDS = 0.25
"""How often it is looked whose patience is at its end."""
WAITED_FOR = frozenset({TurnState.THINKING, TurnState.REPLYING})
A_WAIT = "the wait for an answer"
"""The kind of work, as mishaps are counted."""


class Patience:
    """Looks after the questions about which there is silence, as long as ``run`` runs."""

    def __init__(
        self,
        questions: Questions,
        endings: Endings,
        somebody: Somebody,
        announcer: Announcer,
        *,
        by_name: ByName,
        mishaps: Mishaps,
    ) -> None:
        self._questions = questions
        self._endings = endings
        self._somebody = somebody
        self._announce = announcer
        self._by_name = by_name
        self._mishaps = mishaps
        self._now = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._questions.to_nobody.wait()
            with self._mishaps.contained(A_WAIT):
                await self.look()

    async def look(self) -> None:
        """Tell what is to be told now."""
        questions = self._questions
        for name in questions.silence.falls(self._now()):
            self._tell_again(questions.get(name))
        await self._give_up(questions.asked_nobody())
        if self._by_name.named:
            return
        silent = [one for name in questions.silence.silent if (one := questions.get(name)) is not None]
        in_vain = [one for one in silent if one.is_published and not one.awaited]
        if in_vain and await self._somebody.is_there():
            for one in in_vain:  # who does not say that it goes is waited for until the deadline
                one.awaited = not self._somebody.will_be_missed
        else:
            await self._give_up(one for one in in_vain if not self._may_be_at_work(one))

    def _may_be_at_work(self, question: Question) -> bool:
        question.awaited = self._somebody.was_reading(question.request.published_at)
        return question.awaited

    def _tell_again(self, question: Question | None) -> None:
        """That it is waited for."""
        if question is not None and question.spoken.turn.state in WAITED_FOR:
            with self._mishaps.contained(A_WAIT, correlation_id=question.request.correlation_id):
                self._announce.status(question.spoken.session, DeviceStatus.THINKING)

    async def _give_up(self, questions: Iterable[Question]) -> None:
        """Nobody is there who could answer them."""
        given_up = [
            one.request
            for one in questions
            if self._questions.tracker.give_up(one.request.correlation_id, self._now())
        ]
        await asyncio.gather(
            *(self._endings.give_the_fallback(one, cause=Apology.NOBODY) for one in given_up)
        )
