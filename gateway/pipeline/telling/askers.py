"""Programs that have put a question and wait for its answer: each is told its own, as the device that spoke is.

Listeners are shown what everybody may see, if words are shown at all; whoever asked is told the words in any case.
What has not been read yet is kept as one text, so that slow readers cost no more than that. Everything runs on one
event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from msgspec import Struct

MOST_ASKERS = 1_024
"""Questions of programs that wait at once."""
LEFT = "the gateway is stopping"


class Grown(Struct, frozen=True):
    """What the answer grows by."""

    text: str


class First(Struct, frozen=True):
    """A whole first answer, in place of all before; a better one follows."""

    text: str


class SignOfLife(Struct, frozen=True):
    """A sign of life; ``detail``: what an agent says that it is doing."""

    detail: str


class WholeAnswer(Struct, frozen=True, kw_only=True):
    """The end. ``text``: the whole answer, or (``error``, ``fallback``) what a device is told without one.

    ``puzzled``: whoever answered did not understand. ``data``: for programs; that of several by their names
    (``agents``).
    """

    text: str
    error: str | None = None
    fallback: bool = False
    puzzled: bool = False
    agent: str = ""
    agents: tuple[str, ...] = ()
    data: dict[str, Any] | None = None


Told: TypeAlias = Grown | First | SignOfLife | WholeAnswer


class Asker:
    """One question's way back: ``async for told in asker``, to its end."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._grown = ""
        self._work: str | None = None
        self._end: WholeAnswer | None = None
        self._some = asyncio.Event()

    def tell(self, told: Told) -> None:
        """Without waiting. After the end nothing is told any more."""
        if self._end is not None:
            return
        match told:
            case Grown(text):
                self._grown += text
            case First(text):
                self._first, self._grown = text, ""
            case SignOfLife(detail):
                self._work = detail
            case WholeAnswer():
                self._end = told
        self._some.set()

    async def __aiter__(self) -> AsyncIterator[Told]:
        while True:
            await self._some.wait()
            told = self._next()
            if told is None:
                self._some.clear()
                continue
            yield told
            if isinstance(told, WholeAnswer):
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


class Askers:
    """Those that wait, by correlation id."""

    def __init__(self) -> None:
        self._askers: dict[str, Asker] = {}

    def __len__(self) -> int:
        return len(self._askers)

    @property
    def are_full(self) -> bool:
        """Whether as many wait as may."""
        return len(self._askers) >= MOST_ASKERS

    @contextmanager
    def expect(self, correlation_id: str) -> Iterator[Asker]:
        """Be told what is answered to it, until the end of ``with``; to be entered before it is published."""
        asker = self._askers[correlation_id] = Asker()
        try:
            yield asker
        finally:
            self._askers.pop(correlation_id, None)

    def tell(self, correlation_id: str, told: Told) -> None:
        """Whoever asked that; nobody, mostly."""
        asker = self._askers.get(correlation_id)
        if asker is not None:
            asker.tell(told)

    def close(self) -> None:
        """There will be no more answers."""
        for asker in self._askers.values():
            asker.tell(WholeAnswer(text="", error=LEFT))
