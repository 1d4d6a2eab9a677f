"""Who waits inside the gateway for what becomes of an utterance: the request that it came in. No I/O.

A witness is forgotten with whoever holds it; nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from gateway.contract.messages import Data, TranscriptionMessage
from gateway.pipeline.sessions.names import UtteranceName


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a request, as the listeners see it."""

    text: str
    agent: str = ""
    error: str | None = None
    fallback: bool = False
    flags: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    data: Data | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Witness:
    """What is known of one utterance so far."""

    name: UtteranceName
    message: TranscriptionMessage | None = None
    """Its text, or why there is none."""
    answer: Answer | None = None
    failed: str = ""
    """Why there will be no answer."""
    understood: asyncio.Event = field(default_factory=asyncio.Event)
    """Its text is known, or there will be none."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing more becomes of it."""

    def end(self) -> None:
        """Nothing more becomes of it. Idempotent."""
        self.understood.set()
        self.over.set()


class Witnesses:
    """Those that somebody holds, by correlation id."""

    def __init__(self) -> None:
        self._there: WeakValueDictionary[str, Witness] = WeakValueDictionary()

    def of(self, name: UtteranceName) -> Witness:
        """Of an utterance of which nothing is known yet."""
        witness = self._there[name.correlation_id] = Witness(name)
        return witness

    def heard(self, message: TranscriptionMessage) -> None:
        """What was said, or why nobody knows."""
        witness = self._there.get(message.correlation_id)
        if witness is None:
            return
        witness.message = message
        witness.understood.set()
        if not (message.success and message.text):  # nobody is asked
            witness.failed = message.error or ""
            witness.over.set()

    def answered(self, correlation_id: str, answer: Answer) -> None:
        """The whole answer."""
        witness = self._there.get(correlation_id)
        if witness is not None and not witness.over.is_set():
            witness.answer = answer
            witness.end()

    def failed(self, correlation_id: str, reason: str) -> None:
        """There will be none."""
        witness = self._there.get(correlation_id)
        if witness is not None and not witness.over.is_set():
            witness.failed = reason
            witness.end()

    def erase(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Of these nobody is told any words."""
        for witness in list(self._there.values()):
            if is_gone(witness.name):
                witness.message = witness.answer = None
                witness.failed = "it was erased"
                witness.end()
