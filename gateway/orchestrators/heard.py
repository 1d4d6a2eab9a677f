"""What a handler is given: what was heard, what is known around it, and what can be done beside returning an answer."""

from __future__ import annotations

import math
from typing import Any, Protocol, overload

import msgspec

from gateway.contract.agents import AgentAnswer, Turns
from gateway.contract.messages import Id, Line, Text, TranscriptionMessage, WantedHints

KEEP_SECONDS = 86_400.0
"""An announcement is kept for so long for a device that is away."""


class TurnOver(RuntimeError):
    """A tool was used after the answer had ended, or outside any."""


class CannotAsk(ValueError):
    """Another agent that makes no sense to be asked: itself, or one that is asking already."""


class AgentAnswers(tuple[AgentAnswer, ...]):
    """What others answered before, in their order; by number, or by the agent's name."""

    __slots__ = ()

    @overload  # type: ignore[override]
    def __getitem__(self, which: int) -> AgentAnswer: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[AgentAnswer, ...]: ...
    @overload
    def __getitem__(self, which: str) -> AgentAnswer: ...

    def __getitem__(self, which: int | slice | str) -> AgentAnswer | tuple[AgentAnswer, ...]:
        """Raises KeyError for the name of an agent that was not asked."""
        if not isinstance(which, str):
            return super().__getitem__(which)
        for answer in self:
            if answer.agent == which:
                return answer
        raise KeyError(which)

    def get(self, name: str) -> AgentAnswer | None:
        """That agent's, if it was asked."""
        return next((answer for answer in self if answer.agent == name), None)


class Tools(Protocol):
    """What a handler can do while it answers; :class:`Heard` says what each is."""

    def seconds_left(self) -> float:
        """Until nobody waits any more."""

    async def say(self, text: str) -> None:
        """A piece."""

    async def interim(self, text: str) -> None:
        """A first answer."""

    async def progress(self, text: str) -> None:
        """A sign of life."""

    async def hints(self, hints: WantedHints) -> None:
        """With the end."""

    async def attach(self, data: dict[str, Any]) -> None:
        """With the end."""

    async def announce(self, text: str, device_id: str | None, keep_seconds: float) -> None:
        """To a device."""

    async def ask(self, agent: str, text: str | None, seconds: float | None) -> AgentAnswer:
        """Another agent."""


class Heard(TranscriptionMessage, frozen=True, kw_only=True, dict=True):
    """One utterance, as a handler gets it: the transcript, and more where agents are named.

    ``conversation``: the last turns before this one, oldest first. ``role`` and ``team``: what the settings say that
    this agent is, and of which team it is asked. ``answers``: of agents that were asked before. ``attempt`` above 1: it
    was asked before, and failed. ``request_id``: empty where no agents are named. ``path``: the agents by which it is
    asked.
    """

    conversation: Turns = ()
    role: Text = ""
    team: Line = ""
    answers: AgentAnswers = AgentAnswers()
    attempt: int = 1
    request_id: Id = ""
    path: tuple[str, ...] = ()

    def with_tools(self, tools: Tools) -> Heard:
        """As it is given to a handler: another one, which the tools do not know, so that there is no cycle."""
        given = msgspec.structs.replace(self)
        given.__dict__["tools"] = tools
        return given

    def seconds_left(self) -> float:
        """For how long an answer is still waited for; infinite outside an orchestrator."""
        tools: Tools | None = self.__dict__.get("tools")
        return math.inf if tools is None else tools.seconds_left()

    async def say(self, text: str) -> None:
        """A piece of the answer, now. More may follow, and what is returned is the last. Raises TurnOver."""
        await self._tools.say(text)

    async def interim(self, text: str) -> None:
        """A whole first answer, shown at once; a better one follows, or this is it. Raises TurnOver."""
        await self._tools.interim(text)

    async def progress(self, text: str) -> None:
        """A sign of life: what is being done. Raises TurnOver."""
        await self._tools.progress(text)

    async def hints(self, hints: WantedHints) -> None:
        """How what is said next is to be heard; travels with the end of the answer. Raises TurnOver."""
        await self._tools.hints(hints)

    async def attach(self, data: dict[str, Any]) -> None:
        """For programs; travels with the end of the answer, beside what was attached before.

        Raises TurnOver, and ValueError for what is no JSON or has more than 64 KiB.
        """
        await self._tools.attach(data)

    async def announce(
        self, text: str, *, device_id: str | None = None, keep_seconds: float = KEEP_SECONDS
    ) -> None:
        """Tell a device something outside this answer, and also after it; it is kept for one that is away.

        The device that spoke, if no other is named. Returns when the broker has it. Raises ValueError and BrokerError.
        """
        await self._tools.announce(text, device_id, keep_seconds)

    async def ask(self, agent: str, text: str | None = None, *, seconds: float | None = None) -> AgentAnswer:
        """Another agent the same, or ``text``: what it says, or (``error``) why it does not.

        It has nine tenths of the time that is left here, or ``seconds`` of them. Raises CannotAsk for one that is
        asking already (an answer would never come), TurnOver and BrokerError.
        """
        return await self._tools.ask(agent, text, seconds)

    @property
    def _tools(self) -> Tools:
        tools: Tools | None = self.__dict__.get("tools")
        if tools is None:
            raise TurnOver("tools are there while an orchestrator answers, on what its handler was given")
        return tools


def heard(message: TranscriptionMessage, **around: Any) -> Heard:
    """The transcript as a handler gets it. Raises TypeError for a field that there is not."""
    return Heard(**msgspec.structs.asdict(message), **around)
