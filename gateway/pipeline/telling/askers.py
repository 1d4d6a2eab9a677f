"""A program that has put a question and waits for its answer: it is told each step of it, to its end.

What has not been read yet is kept as one text, so that slow readers cost no more than that. Everything runs on one
event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

from gateway.contract.messages import TranscriptionMessage
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.telling.witnesses import Answer, First, Grown, SignOfLife, Step

MOST_ASKERS = 1_024
"""Questions of programs that wait at once."""
LEFT = "the gateway is stopping"
FAILED = "it failed inside the gateway, or was erased"

Told: TypeAlias = Step | Answer


class Asker:
    """One question's way back: ``async for told in asker``, to its end, which is an Answer."""

    def __init__(self, name: UtteranceName) -> None:
        self._name = name
        self._first: str | None = None
        self._grown = ""
        self._work: str | None = None
        self._end: Answer | None = None
        self._some = asyncio.Event()

    @property
    def name(self) -> UtteranceName:
        """Of the question."""
        return self._name

    # -- what it is told (Onlooker)

    def heard(self, message: TranscriptionMessage) -> None:
        """The question, which it knows; one of which nothing is left is answered with nothing."""
        if message.success and not message.text:
            self.answered(Answer(""))

    def grown(self, step: Step) -> None:
        """The answer comes nearer. After its end nothing is told any more."""
        if self._end is not None:
            return
        match step:
            case Grown(text):
                self._grown += text
            case First(text):
                self._first, self._grown = text, ""
            case SignOfLife(detail):
                self._work = detail
        self._some.set()

    def answered(self, answer: Answer) -> None:
        """The end; what comes late is not told."""
        if self._end is None:
            self._end = answer
            self._some.set()

    def failed(self, apology: str) -> None:
        """There is no answer."""
        self.answered(Answer("", "gateway", FAILED, apology=apology))

    def erased(self) -> None:
        """Neither the question nor anything of its answer is told."""
        self._first, self._grown = None, ""
        self.answered(Answer("", "gateway", FAILED))

    def left(self) -> None:
        """The gateway stops before there is an answer."""
        self.answered(Answer("", "gateway", LEFT))

    # -- and reads

    async def __aiter__(self) -> AsyncIterator[Told]:
        while True:
            await self._some.wait()
            told = self._next()
            if told is None:
                self._some.clear()
                continue
            yield told
            if isinstance(told, Answer):
                return

    def _next(self) -> Told | None:
        told: Told | None = self._end
        if self._first is not None:
            told, self._first = First(self._first), None
        elif self._grown:
            told, self._grown = Grown(self._grown), ""
        elif self._work is not None:
            told, self._work = SignOfLife(self._work), None
        return told
