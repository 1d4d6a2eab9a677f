"""The tools that one agent's model may use, and the calls of one answer, within their bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any

import structlog

from gateway.agents.tools.asking_first import question
from gateway.agents.tools.record import CallOutcome, Record, write
from gateway.agents.tools.tool import NAME, Tool, ToolFailed, ToolSource
from gateway.orchestrators.heard import Heard
from gateway.settings.agents.tools import ToolSettings

log = structlog.get_logger(__name__)

ENDING_SECONDS = 0.2
"""A call that was cancelled has so long to end; then it is left behind."""
MOST_TOOLS = 128
"""That a model is told of."""
CUT = " (cut: there is more)"
_FAILED = "Error: "


class ToConfirm(Exception):
    """Not done: the question is to be put to whoever speaks first."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self.question = asked


class Belt:
    """What is allowed of what the sources have. ``running`` is to be entered before anything is called."""

    def __init__(self, settings: ToolSettings, sources: Sequence[ToolSource]) -> None:
        self.settings = settings
        self._sources = sources
        self._ours = {*settings.builtin, *(f"ask_{name}" for name in settings.agents)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as they may be called."""
        async with AsyncExitStack() as stack:
            for source in self._sources:
                await stack.enter_async_context(source.running())
            yield

    def offered(self) -> Mapping[str, Tool]:
        """Those that the model is told of now, by name; no other can be called."""
        found: dict[str, Tool] = {}
        for tool in self._all():
            if len(found) < MOST_TOOLS and NAME.match(tool.name) and self._is_allowed(tool.name):
                found.setdefault(tool.name, tool)
        return found

    def is_confirmed_first(self, tool: Tool) -> bool:
        """Whether whoever speaks is asked before it does anything."""
        if _fits(tool.name, self.settings.confirm):
            return True
        return tool.destructive and not _fits(tool.name, self.settings.unconfirmed)

    def _all(self) -> Iterator[Tool]:
        for source in self._sources:
            yield from source.tools()

    def _is_allowed(self, name: str) -> bool:
        return name in self._ours or _fits(name, self.settings.allow)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class AnswerCalls:
    """The calls of one answer. What each gives is for the model: also why it gives nothing."""

    def __init__(self, belt: Belt, heard: Heard, record: Record) -> None:
        self._belt = belt
        self._heard = heard
        self._record = record
        self._count = 0
        self._seconds = 0.0

    async def call(self, name: str, arguments: Mapping[str, Any] | None, *, confirmed: bool = False) -> str:
        """Do it. ``arguments`` None: what the model wrote is no JSON object. Raises ToConfirm."""
        settings = self._belt.settings
        tool = self._belt.offered().get(name)
        self._count += 1
        if tool is None:
            return self._refuse(name, f"there is no tool {name:.64}", arguments)
        if arguments is None:
            return self._refuse(name, "the arguments are no JSON object; write them again", arguments)
        if self._count > settings.calls:
            return self._refuse(name, f"an answer has at most {settings.calls} calls; answer now", arguments)
        if not confirmed and self._belt.is_confirmed_first(tool):
            return self._ask_first(tool, arguments)
        return await self._within_its_time(tool, arguments)

    def _ask_first(self, tool: Tool, arguments: Mapping[str, Any]) -> str:
        if self._heard.path:
            return self._refuse(
                tool.name, "whoever speaks has to confirm it, and another agent asks for it", arguments
            )
        asked = question(tool, arguments, self._heard.language)
        if not asked:
            return self._refuse(
                tool.name, "it has to be confirmed, and is too long to be asked about", arguments
            )
        self._note(tool.name, CallOutcome.ASKED)
        raise ToConfirm(asked)

    def _refuse(self, name: str, why: str, arguments: Mapping[str, Any] | None) -> str:
        self._note(name, CallOutcome.REFUSED, reason=why, arguments="bad" if arguments is None else "good")
        return _error(why)

    async def _within_its_time(self, tool: Tool, arguments: Mapping[str, Any]) -> str:
        settings = self._belt.settings
        left = min(settings.call_seconds, settings.answer_seconds - self._seconds, self._heard.seconds_left())
        clock = asyncio.get_running_loop().time
        began = clock()
        outcome = CallOutcome.CUT
        try:
            outcome, result = await self._called(tool, arguments, max(0.0, left))
        finally:
            self._seconds += clock() - began
            self._note(tool.name, outcome, seconds=round(clock() - began, 3))
        return result

    async def _called(
        self, tool: Tool, arguments: Mapping[str, Any], seconds: float
    ) -> tuple[CallOutcome, str]:
        call = asyncio.create_task(_result(tool, arguments, self._heard), name=f"tool {tool.name}")
        try:
            await asyncio.wait({call}, timeout=seconds)
            if call.done() and not call.cancelled():
                outcome, result = call.result()
                return outcome, shortened(result, self._belt.settings.result_bytes)
        finally:
            if not call.done():
                await _end(call)
        return CallOutcome.TOO_SLOW, _error(
            f"it took longer than {seconds:.3g} s; what came of it is not known"
        )

    def _note(self, name: str, outcome: CallOutcome, **more: str | float) -> None:
        write(self._record, self._heard, name, outcome, **more)


async def _result(tool: Tool, arguments: Mapping[str, Any], heard: Heard) -> tuple[CallOutcome, str]:
    """The border to somebody else's code."""
    try:
        found = await tool.call(arguments, heard)
    except ToolFailed as error:
        return CallOutcome.FAILED, _error(str(error))
    except Exception as error:
        log.exception("a tool failed", tool=tool.name)
        return CallOutcome.FAILED, _error(f"it failed ({type(error).__name__})")
    return CallOutcome.DONE, found if isinstance(found, str) else _error("it gave no text")


async def _end(call: asyncio.Task[tuple[CallOutcome, str]]) -> None:
    call.cancel()
    await asyncio.wait({call}, timeout=ENDING_SECONDS)
    if not call.done():
        log.warning("a tool goes on, though it was cancelled", call=call.get_name())
        _left_behind.add(call)
        call.add_done_callback(_left_behind.discard)


_left_behind: set[asyncio.Task[tuple[CallOutcome, str]]] = set()


def _error(why: str) -> str:
    return f"{_FAILED}{why}."


def has_failed(result: str) -> bool:
    """Whether it says why a call gives nothing."""
    return result.startswith(_FAILED)


def shortened(text: str, size: int) -> str:
    """Of at most so many bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return text
    return data[: max(0, size - len(CUT))].decode("utf-8", "ignore") + CUT
