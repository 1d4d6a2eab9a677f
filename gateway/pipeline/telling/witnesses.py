"""Who waits inside the gateway for what becomes of an utterance: the request that it came in, the program that asked.

Listeners are shown what everybody may see, if words are shown at all; whoever is told here has said or asked it, and is
told the words in any case. A witness is forgotten with whoever holds it; nothing waits for it. No I/O.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from weakref import WeakValueDictionary

from msgspec import Struct

from gateway.contract.messages import Data, TranscriptionMessage
from gateway.pipeline.sessions.names import UtteranceName


class Grown(Struct, frozen=True):
    """What the answer grows by."""

    text: str


class First(Struct, frozen=True):
    """A whole first answer, in place of all before; a better one follows."""

    text: str


class SignOfLife(Struct, frozen=True):
    """Nothing yet; ``detail``: what an agent says that it is doing."""

    detail: str


Step: TypeAlias = Grown | First | SignOfLife
"""Towards an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a request, as the listeners see it.

    ``puzzled``: whoever answered did not understand. ``apology``: what a device is told where there is no text.
    """

    text: str
    agent: str = ""
    error: str | None = None
    fallback: bool = False
    flags: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    data: Data | None = None
    puzzled: bool = False
    apology: str = ""

    @property
    def words(self) -> str:
        """What a device is told."""
        return self.text or self.apology


class Onlooker(Protocol):
    """Somebody who is told. Nothing here waits."""

    @property
    def name(self) -> UtteranceName:
        """Of which utterance."""

    def heard(self, message: TranscriptionMessage) -> None:
        """What was said, or why nobody knows; who is asked about it, nobody, where it has no text."""

    def grown(self, step: Step) -> None:
        """Its answer comes nearer."""

    def answered(self, answer: Answer) -> None:
        """The whole answer; a late one may come behind it."""

    def failed(self, apology: str) -> None:
        """There will be none, and what a device is told."""

    def erased(self) -> None:
        """Nobody is told any words of it."""

    def left(self) -> None:
        """This gateway tells nothing more."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Witness:
    """What is known of one utterance so far."""

    name: UtteranceName
    message: TranscriptionMessage | None = None
    """Its text, or why there is none."""
    answer: Answer | None = None
    why_not: str = ""
    """Why there will be no answer."""
    understood: asyncio.Event = field(default_factory=asyncio.Event)
    """Its text is known, or there will be none."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing more becomes of it."""

    def heard(self, message: TranscriptionMessage) -> None:
        """What was said, or why nobody knows."""
        self.message = message
        self.understood.set()
        if not (message.success and message.text):  # nobody is asked
            self.why_not = message.error or ""
            self.over.set()

    def grown(self, step: Step) -> None:
        """What is on its way, it does not want to know."""

    def answered(self, answer: Answer) -> None:
        """The whole answer."""
        if not self.over.is_set():
            self.answer = answer
            self.end()

    def failed(self, apology: str) -> None:
        """There will be none."""
        if not self.over.is_set():
            self.why_not = apology
            self.end()

    def erased(self) -> None:
        """Nobody is told any words of it."""
        self.message = self.answer = None
        self.why_not = "it was erased"
        self.end()

    def left(self) -> None:
        """What is safe is the next gateway's."""

    def end(self) -> None:
        """Nothing more becomes of it. Idempotent."""
        self.understood.set()
        self.over.set()


class Witnesses:
    """Those that somebody holds, by correlation id."""

    def __init__(self) -> None:
        self._there: WeakValueDictionary[str, Onlooker] = WeakValueDictionary()

    def of(self, name: UtteranceName) -> Witness:
        """Of an utterance of which nothing is known yet."""
        witness = Witness(name)
        self.add(witness)
        return witness

    def add(self, onlooker: Onlooker) -> None:
        """Tell it, as long as somebody holds it."""
        self._there[onlooker.name.correlation_id] = onlooker

    def heard(self, message: TranscriptionMessage) -> None:
        """What was said, or why nobody knows."""
        if (one := self._there.get(message.correlation_id)) is not None:
            one.heard(message)

    def grown(self, correlation_id: str, step: Step) -> None:
        """An answer comes nearer."""
        if (one := self._there.get(correlation_id)) is not None:
            one.grown(step)

    def answered(self, correlation_id: str, answer: Answer) -> None:
        """The whole answer."""
        if (one := self._there.get(correlation_id)) is not None:
            one.answered(answer)

    def failed(self, correlation_id: str, apology: str) -> None:
        """There will be none."""
        if (one := self._there.get(correlation_id)) is not None:
            one.failed(apology)

    def erase(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Of these nobody is told any words."""
        for one in list(self._there.values()):
            if is_gone(one.name):
                one.erased()

    def close(self) -> None:
        """Nobody is told anything more."""
        for one in list(self._there.values()):
            one.left()
