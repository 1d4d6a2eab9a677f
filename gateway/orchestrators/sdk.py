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

import copy
import inspect
import re
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import NamedTuple, Self, TypedDict, TypeVar, Unpack, overload

import structlog

from gateway.broker.base import Delivery, MessageBroker
from gateway.contract.audience import EVERYBODY, Audience
from gateway.contract.messages import is_token
from gateway.orchestrators.answer import Answer, AnswerFunction, Compensation, NotUnderstood, Reply, Say
from gateway.orchestrators.heard import KEEP_SECONDS, Heard
from gateway.orchestrators.serving import serve
from gateway.orchestrators.shift import Duty, Shift

__all__ = [
    "Answer",
    "AnswerFunction",
    "BadOrchestrator",
    "Heard",
    "NotUnderstood",
    "Orchestrator",
    "Reply",
    "Say",
    "serve",
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


class OnlyFor(TypedDict, total=False):
    """Filters: what passes all of them. ``pattern`` is a regular expression that is found in what was said."""

    users: Collection[str]
    devices: Collection[str]
    rooms: Collection[str]
    languages: Collection[str]
    pattern: str


class _Function(NamedTuple):
    function: AnswerFunction
    audience: Audience
    include_unheard: bool


class Orchestrator:
    """Answers transcripts from a broker, and requests that are put to its name.

    ``name`` signs the replies, and orchestrators of one name compete: each transcript goes to one of
    them. At most ``concurrency`` are answered at once; further ones wait in the broker's
    buffer. Those of one conversation are answered one after the other, in their order, and a reply that cannot be
    published is kept until it can. An answer that takes longer than ``timeout_seconds`` in all becomes an error
    reply, and so does whatever else ends it early, SystemExit included; nothing ends the orchestrator.
    What does not pass the filters (``users``, ``devices``, ``rooms``, ``languages``, ``pattern``) is not for it.
    ``version`` and ``description`` are shown to people where the gateway shows its agents. ``by_name`` false: it takes
    transcripts only, and needs no rights at the broker but to read those and to write replies.
    """

    def __init__(
        self,
        name: str = "orchestrator",
        *,
        concurrency: int = 16,
        timeout_seconds: float = 25.0,
        version: str = "",
        description: str = "",
        by_name: bool = True,
        **only_for: Unpack[OnlyFor],
    ) -> None:
        self.name = _token(name)
        self.on_blocked: Callable[[str, float], None] = _nobody_to_tell
        """Told the name and for how many seconds, when its function kept the event loop from everything else."""
        self.on_ailing: Callable[[str, str, str], None] = _nobody_to_warn
        """Told the name, why it cannot answer for now, and what helps; twice nothing when it can again."""
        self.turn: Callable[[Delivery, Heard], AbstractAsyncContextManager[bool]] = _as_it_comes
        """Around each answer; false: this transcript is not to be answered any more."""
        self.lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
        """Around all of ``run``: what is opened and closed with it, as a connection to somebody else's server."""
        self.ending_seconds = 1.0
        """A function that was cancelled has so long to end; then it is left behind."""
        self.acted: Callable[..., None] = self._note_act
        """Told the facts of each thing that it did, or refused to do, by a tool: for the audit log."""
        self._concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._by_name = by_name
        self._version = version
        self._description = description
        self._audience = _audience(only_for)
        self._functions: list[_Function] = []
        self._undo: Compensation | None = None
        self._shifts: list[Shift] = []

    @overload
    def on_transcript(self, function: _F) -> _F: ...
    @overload
    def on_transcript(self, **only_for: Unpack[OnlyFor]) -> Callable[[_F], _F]: ...

    def on_transcript(
        self, function: _F | None = None, **only_for: Unpack[OnlyFor]
    ) -> _F | Callable[[_F], _F]:
        """Decorator: ``function`` answers every transcript that has words.

        With filters (``@house.on_transcript(pattern="light")``) only what passes all of them. There may be several
        such: the first that it is for answers, and what is for none of them is for the one without filters, if any.
        """
        return self._answer_with(function, only_for, include_unheard=False)

    @overload
    def on_every_result(self, function: _F) -> _F: ...
    @overload
    def on_every_result(self, **only_for: Unpack[OnlyFor]) -> Callable[[_F], _F]: ...

    def on_every_result(
        self, function: _F | None = None, **only_for: Unpack[OnlyFor]
    ) -> _F | Callable[[_F], _F]:
        """Decorator: as ``on_transcript``, also for silence (empty text) and failures (``success`` false)."""
        return self._answer_with(function, only_for, include_unheard=True)

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
        vars(other).update(name=_token(name), _shifts=[])
        return other

    def check(self) -> None:
        """Raises BadOrchestrator when there is no function to answer with."""
        if not self._functions:
            raise BadOrchestrator("nothing answers: put @....on_transcript above an async function")

    async def run(self, broker: MessageBroker) -> None:
        """Answer until the broker is closed, or this is cancelled.

        Raises BadOrchestrator when there is no function to answer with.
        """
        self.check()
        shift = Shift(broker, self._duty())
        async with self.lifespan():
            self._shifts.append(shift)
            try:
                await shift.run()
            finally:
                self._shifts.remove(shift)

    def leave(self) -> None:
        """Take nothing more; ``run`` returns when what was taken is answered."""
        for shift in self._shifts:
            shift.leave()

    async def announce(self, text: str, *, device_id: str, keep_seconds: float = KEEP_SECONDS) -> None:
        """Tell a device something, outside any answer; it is kept for one that is away.

        Returns when the broker has it. Raises BadOrchestrator unless this runs, ValueError and BrokerError.
        """
        if not self._shifts:
            raise BadOrchestrator("nobody can be told anything before the orchestrator runs, and after")
        await self._shifts[-1].announce(text, device_id, keep_seconds)

    async def outdate(self, text: str = "") -> None:
        """What it has answered to ``text`` (empty: to anything) is not true any more: no gateway gives it again.

        Returns when the broker has it. Raises BadOrchestrator unless this runs, ValueError and BrokerError.
        """
        if not self._shifts:
            raise BadOrchestrator("nothing can be said before the orchestrator runs, and after")
        await self._shifts[-1].outdate(text)

    def run_forever(self, url: str) -> None:
        """Answer until interrupted (SIGINT, SIGTERM), in a process of its own. Raises BrokerError.

        Then it takes nothing more, finishes what it has begun, within 10 seconds, and says that it leaves.
        """
        serve(self, url=url)

    def _duty(self) -> Duty:
        return Duty(
            name=self.name,
            version=self._version,
            description=self._description,
            by_name=self._by_name,
            concurrency=self._concurrency,
            timeout_seconds=self._timeout_seconds,
            retry_seconds=RETRY_SECONDS,
            choose=self._choose,
            undo=self._undo,
            turn=self.turn,
            stepped=self._stepped,
            ending_seconds=self.ending_seconds,
        )

    def _choose(self, heard: Heard) -> AnswerFunction | None:
        if not self._audience.includes(heard):
            return None
        has_words = heard.success and bool(heard.text.strip())
        for one in self._functions:
            if (one.include_unheard or has_words) and one.audience.includes(heard):
                return one.function
        return None

    def _answer_with(
        self, function: _F | None, only_for: OnlyFor, *, include_unheard: bool
    ) -> _F | Callable[[_F], _F]:
        audience = _audience(only_for)
        if function is None:
            return partial(self._add, audience=audience, include_unheard=include_unheard)
        return self._add(function, audience=audience, include_unheard=include_unheard)

    def _add(self, function: _F, *, audience: Audience, include_unheard: bool) -> _F:
        if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            raise _not_async(function)
        added = _Function(function, audience, include_unheard)
        others = self._functions
        if others and others[-1].audience == EVERYBODY:  # it stays the last
            if audience == EVERYBODY:
                raise BadOrchestrator("an orchestrator has one function that answers; this is the second")
            others.insert(-1, added)
        else:
            others.append(added)
        return function

    def _note_act(self, **facts: str | float) -> None:
        """In a process of its own there is no audit log: a line in its own."""
        log.info("a tool was called for", name=self.name, **facts)

    def _stepped(self, seconds: float) -> None:
        if seconds >= BLOCKED_SECONDS:
            log.warning("the orchestrator blocked everything else", name=self.name, seconds=round(seconds, 1))
            self.on_blocked(self.name, seconds)


def _token(name: str) -> str:
    if not is_token(name):
        raise BadOrchestrator(f"an orchestrator's name is 1-64 of A-Z a-z 0-9 _ -; got {name!r:.80}")
    return name


def _audience(only_for: OnlyFor) -> Audience:
    for name, wanted in only_for.items():
        if name != "pattern" and isinstance(wanted, str):
            raise BadOrchestrator(f"{name} are several: write {name}=[{wanted!r}]")
    try:
        re.compile(only_for.get("pattern", ""))
        return Audience(**only_for)
    except (re.error, TypeError) as error:
        raise BadOrchestrator(f"not a filter: {error}") from error


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function)


def _not_async(function: object) -> BadOrchestrator:
    name = getattr(function, "__qualname__", repr(function))
    return BadOrchestrator(f"{name} is not an async function; write it with `async def`")


def _nobody_to_tell(_name: str, _seconds: float) -> None:
    """In a process of its own only its own conversations wait."""


def _nobody_to_warn(_name: str, _reason: str, _remedy: str) -> None:
    """Who asks it is told so."""


def _as_it_comes(_delivery: Delivery, _heard: Heard) -> AbstractAsyncContextManager[bool]:
    """In a process of its own it ends nobody else's work."""
    return nullcontext(enter_result=True)
