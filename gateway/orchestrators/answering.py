"""Somebody's function, asked one thing: within its time, whatever it does, and until nobody waits any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import structlog

from gateway.orchestrators.answer import Answer, CannotAnswer, NotUnderstood, Reply, as_reply
from gateway.orchestrators.post import Letter
from gateway.orchestrators.speaking import Speaking
from gateway.process.foreign_code import is_our_end, shelter
from gateway.process.stopwatch import OnStep, Timed

log = structlog.get_logger(__name__)

Call: TypeAlias = Callable[[], Awaitable[Answer] | AsyncIterator[str]]


class TooLong(Exception):
    """It took longer than it had."""


class NotWanted(Exception):
    """Nobody waits for the answer any more."""


class Answering:
    """Functions at work, by the name of what they were asked."""

    def __init__(self, stepped: OnStep, ending_seconds: float) -> None:
        """``stepped``: told the seconds of each step of a function, from one await to the next.

        ``ending_seconds``: a function that was cancelled has so long to end; then it is left behind.
        """
        self._stepped = stepped
        self._ending_seconds = ending_seconds
        self._at_work: dict[str, asyncio.Task[_Outcome]] = {}
        self._left_behind: set[asyncio.Task[_Outcome]] = set()

    async def ask(self, name: str, call: Call, turn: Speaking, seconds: float) -> Letter | None:
        """What there is to say in all, ready to be sent; pieces are sent on the way.

        Raises TooLong, NotWanted, BrokerError, and whatever else the function raised.
        """
        task = asyncio.create_task(self._outcome(call, turn), name="answer")
        if name:
            self._at_work[name] = task
        try:
            await asyncio.wait({task}, timeout=seconds)
            was_over = task.done()
        finally:
            turn.cut()
            self._at_work.pop(name, None)
            if not task.done():
                await self._end(task)
        if not was_over:
            raise TooLong
        if task.cancelled():
            raise NotWanted
        return _unpacked(task.result())

    def stop(self, name: str) -> bool:
        """End the answer to it; whether it was being worked on."""
        task = self._at_work.get(name)
        return task is not None and task.cancel()

    async def _end(self, task: asyncio.Task[_Outcome]) -> None:
        task.cancel()
        await asyncio.wait({task}, timeout=self._ending_seconds)
        if not task.done():
            log.warning("the orchestrator goes on, though it was cancelled", seconds=self._ending_seconds)
            self._left_behind.add(task)
            task.add_done_callback(self._left_behind.discard)

    async def _outcome(self, call: Call, turn: Speaking) -> _Outcome:
        """The border to somebody else's code: whatever it raises is this inquiry's failure only."""
        try:
            return await self._whole(call, turn)
        except BaseException as error:
            if is_our_end(error, asyncio.current_task()):
                raise
            return error

    async def _whole(self, call: Call, turn: Speaking) -> Letter | None:
        shelter()
        try:
            reply = await self._said(call, turn)
        except NotUnderstood as error:
            reply = Reply(error.text, understood=False)
        return turn.ended(reply)

    async def _said(self, call: Call, turn: Speaking) -> Reply | None:
        begun = call()
        answer: Answer = begun if isinstance(begun, AsyncIterator) else await Timed(begun, self._stepped)
        if isinstance(answer, AsyncIterator):
            await turn.say_all(answer, self._stepped)
            return Reply()
        return None if answer is None else as_reply(answer)


_Outcome: TypeAlias = Letter | BaseException | None


def _unpacked(outcome: _Outcome) -> Letter | None:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def failure(error: BaseException, agent: str, seconds: float) -> str:
    """What is said of it to those who asked."""
    if isinstance(error, TooLong):
        log.warning("the orchestrator took too long", limit_seconds=seconds)
        return f"{agent} took longer than {round(seconds, 2):g} s"
    if isinstance(error, CannotAnswer):
        log.warning("an agent cannot answer", agent=agent, reason=error.reason, remedy=error.remedy)
        return f"{agent}: {error.reason}"
    log.error("the orchestrator failed", exc_info=error)
    return f"{agent} failed ({type(error).__name__})"
