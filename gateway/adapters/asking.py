"""Questions of other people's programs, put to whoever answers here; and how each of their speakers is known.

A question's answer comes as :mod:`gateway.pipeline.telling.askers` has it, and always to an end: whatever becomes of
it, whoever asked does not wait for longer than an answer may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from gateway.access.principals import Principal, Role
from gateway.contract.messages import WantedHints
from gateway.pipeline.telling.askers import Asker, Told
from gateway.pipeline.telling.witnesses import Answer
from gateway.settings.orchestrator import OrchestratorSettings

GRACE_SECONDS = 5.0
"""Beyond the time that an answer may take: until then its end is told, if there is one."""
TOO_LATE = "there was no answer in time"
MOST_NAME = 200
"""Characters of what a program calls one of its speakers."""

Ask = Callable[[str, Principal, WantedHints | None], AbstractAsyncContextManager[Asker]]


def speaker(program: str, name: str = "") -> Principal:
    """Somebody who speaks through a program, by the name that it has for them.

    What two of them say is in two conversations, and neither is anybody's that has a token. They share what
    the program may take.
    """
    known_as = f"{program}: {name[:MOST_NAME]}" if name else f"{program}:"
    one = Principal(name=known_as, role=Role.LISTENER, token_id=f"program {program}")
    return replace(one, devices=frozenset({one.own_device}))


def longest_answer(settings: OrchestratorSettings) -> float:
    """So many seconds an answer may take, whoever gives it."""
    teams = (team.timeout_seconds for team in settings.teams.values())
    agents = (agent.timeout_seconds for agent in settings.agents.values())
    return max(settings.timeout_seconds, *teams, *agents, 0.0)


class ProgramQuestions:
    """The way of programs to whoever answers."""

    def __init__(self, ask: Ask, longest: Callable[[], float]) -> None:
        """``ask``: the pipeline's. ``longest``: seconds that an answer may take."""
        self._ask = ask
        self._longest = longest

    async def ask(self, text: str, who: Principal, language: str = "") -> AsyncGenerator[Told, None]:
        """What is answered, until its end, which is a :class:`Answer`. To be closed by who leaves before.

        Raises SayError, before anything comes.
        """
        deadline = asyncio.get_running_loop().time() + self._longest() + GRACE_SECONDS
        hints = WantedHints(language=language) if language else None
        async with self._ask(text, who, hints) as asker:
            told = aiter(asker)
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        one = await anext(told, None)
                except TimeoutError:
                    one = Answer("", error=TOO_LATE)
                if one is None:
                    return
                yield one
                if isinstance(one, Answer):
                    return
