"""What an orchestrator is written with: a function from what was heard to what is said.

::

    house = Orchestrator()

    @house.on_transcript
    async def answer(heard):
        return f"You said {heard.text}"

The function returns the whole reply, or an async iterator of its pieces (or is an async generator),
in which case each piece travels at once. None is no answer: another orchestrator may give one, or the
request expires. ``""`` is the answer that there is nothing to say. ``Say(text, hints)`` and ``Reply`` are replies that
also tell the gateway how to hear the rest of the session, and more. What it is given is a ``Heard``, which has tools.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Self, TypeVar

import structlog

from gateway.broker.base import BrokerError, Delivery, MessageBroker
from gateway.broker.opening import open_broker
from gateway.contract.messages import is_token
from gateway.orchestrators.answer import Answer, AnswerFunction, Compensation, NotUnderstood, Reply, Say
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.shift import Duty, Shift
from gateway.settings.broker import BrokerSettings

__all__ = [
    "Answer",
    "AnswerFunction",
    "BadOrchestrator",
    "Heard",
    "NotUnderstood",
    "Orchestrator",
    "Reply",
    "Say",
]

log = structlog.get_logger(__name__)

BLOCKED_SECONDS = 1.0
"""A step of an answer, from one await to the next, that takes so long is told: everybody else waits for it."""
RETRY_SECONDS = 1.0
"""A reply is published again after a tenth of it, and then after up to so long, until the broker is there."""

_F = TypeVar("_F", bound=AnswerFunction)
_C = TypeVar("_C", bound=Compensation)


class BadOrchestrator(Exception):
    """An orchestrator that cannot be used; the message says what to change."""


class Orchestrator:
    """Answers transcripts from a broker, and requests that are put to its name.

    ``name`` signs the replies, and orchestrators of one name compete: each transcript goes to one of
    them. At most ``concurrency`` are answered at once; further ones wait in the broker's
    buffer. Those of one conversation are answered one after the other, in their order, and a reply that cannot be
    published is kept until it can. An answer that takes longer than ``timeout_seconds`` in all becomes an error
    reply, and so does whatever else ends it early, SystemExit included; nothing ends the orchestrator.
    ``version`` and ``description`` are shown to people where the gateway shows its agents.
    """

    def __init__(
        self,
        name: str = "orchestrator",
        *,
        concurrency: int = 16,
        timeout_seconds: float = 25.0,
        version: str = "",
        description: str = "",
    ) -> None:
        self.name = _token(name)
        self.on_blocked: Callable[[str, float], None] = _nobody_to_tell
        """Told the name and for how many seconds, when its function kept the event loop from everything else."""
        self.turn: Callable[[Delivery, Heard], AbstractAsyncContextManager[bool]] = _as_it_comes
        """Around each answer; false: this transcript is not to be answered any more."""
        self._concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._version = version
        self._description = description
        self._function: AnswerFunction | None = None
        self._undo: Compensation | None = None
        self._include_unheard = False

    def on_transcript(self, function: _F) -> _F:
        """Decorator: ``function`` answers every transcript that has words."""
        return self._answer_with(function, include_unheard=False)

    def on_every_result(self, function: _F) -> _F:
        """Decorator: as ``on_transcript``, also for silence (empty text) and failures (``success`` false)."""
        return self._answer_with(function, include_unheard=True)

    def on_compensation(self, function: _C) -> _C:
        """Decorator: ``function(heard, reason)`` undoes what was done for it, since others of the team have failed.

        It is called once for each request, also for one that was stopped or failed on the way.
        """
        if self._undo is not None:
            raise BadOrchestrator("an orchestrator has one function that undoes; this is the second")
        if not _is_async(function):
            raise _not_async(function)
        self._undo = function
        return function

    def renamed(self, name: str) -> Self:
        """The same under another name."""
        other = copy.copy(self)
        other.name = _token(name)
        return other

    async def run(self, broker: MessageBroker) -> None:
        """Answer until the broker is closed, or this is cancelled.

        Raises BadOrchestrator when there is no function to answer with.
        """
        if self._function is None:
            raise BadOrchestrator("nothing answers: put @....on_transcript above an async function")
        await Shift(broker, self._duty()).run()

    def run_forever(self, url: str) -> None:
        """Answer until interrupted, in a process of its own. Raises BrokerError."""
        if url.startswith("memory:"):
            raise BrokerError(
                "memory:// lives inside the gateway; name this orchestrator there (orchestrator.app: module:name)"
            )
        with suppress(KeyboardInterrupt):
            asyncio.run(self._run_over(open_broker(url, BrokerSettings(url=url))))

    async def _run_over(self, broker: MessageBroker) -> None:
        try:
            await self.run(broker)
        finally:
            await broker.close()

    def _duty(self) -> Duty:
        return Duty(
            name=self.name,
            version=self._version,
            description=self._description,
            concurrency=self._concurrency,
            timeout_seconds=self._timeout_seconds,
            retry_seconds=RETRY_SECONDS,
            choose=self._choose,
            undo=self._undo,
            turn=self.turn,
            stepped=self._stepped,
        )

    def _choose(self, heard: Heard) -> AnswerFunction | None:
        if self._include_unheard or (heard.success and heard.text.strip()):
            return self._function
        return None

    def _answer_with(self, function: _F, *, include_unheard: bool) -> _F:
        if self._function is not None:
            raise BadOrchestrator("an orchestrator has one function that answers; this is the second")
        if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            raise _not_async(function)
        self._function, self._include_unheard = function, include_unheard
        return function

    def _stepped(self, seconds: float) -> None:
        if seconds >= BLOCKED_SECONDS:
            log.warning("the orchestrator blocked everything else", name=self.name, seconds=round(seconds, 1))
            self.on_blocked(self.name, seconds)


def _token(name: str) -> str:
    if not is_token(name):
        raise BadOrchestrator(f"an orchestrator's name is 1-64 of A-Z a-z 0-9 _ -; got {name!r:.80}")
    return name


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function)


def _not_async(function: object) -> BadOrchestrator:
    name = getattr(function, "__qualname__", repr(function))
    return BadOrchestrator(f"{name} is not an async function; write it with `async def`")


def _nobody_to_tell(_name: str, _seconds: float) -> None:
    """In a process of its own only its own conversations wait."""


def _as_it_comes(_delivery: Delivery, _heard: Heard) -> AbstractAsyncContextManager[bool]:
    """In a process of its own it ends nobody else's work."""
    return nullcontext(enter_result=True)
