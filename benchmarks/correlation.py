"""[correlation] Ten thousand requests in flight to teams of three, whose replies are shuffled, doubled, late, forged.

A whole gateway with its journal over the memory broker, and three agents that know no better. All ten thousand are
asked before the first of them is answered. Of the replies, all in disorder, a tenth come twice (half of those as
another message), one in twenty comes when its time is over, one in twenty never, and one in a hundred is preceded by a
forged one: for another session, of another agent, or under a request id that nobody was given. Every text and every
answer names its request, so that whatever is mixed up shows; and every request has to end once. Then the same again.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.instruments.memory import resident_mb
from benchmarks.instruments.report import Bar, Result, scheduling
from benchmarks.load.house import gateway_here, person, watching
from benchmarks.load.puppets import Puppets, puppets
from gateway.app import Gateway
from gateway.contract.agents import AgentRequest
from gateway.contract.events import HubEvent, ReplyEvent

REQUESTS = 10_000
AGENTS = ("a", "b", "c")
ROUNDS, QUICK_ROUNDS = 6, 4
WARM_UP = 2
"""The rounds before the one at whose end everything that is remembered for a while is full."""
MEGABYTES = 5.0
"""Of ten thousand requests, half a kilobyte each: what is more is remembered for ever."""
DOUBLED, LATE, MISSING, FORGED = 0.10, 0.05, 0.05, 0.01
AT_ONCE = 500
"""People who type at the same moment."""
TIMEOUT_SECONDS = 60.0
PATIENCE = 600.0
SETTINGS: dict[str, dict[str, Any]] = {
    "orchestrator": {
        "agents": {name: {"timeout_seconds": TIMEOUT_SECONDS, "breaker": {"failures": 0}} for name in AGENTS},
        "teams": {"three": {"agents": list(AGENTS), "policy": "all", "timeout_seconds": 2 * TIMEOUT_SECONDS}},
        "timeout_seconds": 2 * TIMEOUT_SECONDS,
    },
    # Each round's conversations are over before the next: what is remembered of eight turns is another bound.
    "sessions": {"max_sessions": 2 * REQUESTS, "hints_seconds": 1.0},
}


Letter: TypeAlias = Callable[[], Awaitable[None]]
"""Sends a reply."""


class Ends:
    """How every request ended, by the text that was said."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        """What was said, by correlation id."""
        self.answered: dict[str, set[str]] = {}
        """Whose answers came in time, by correlation id."""
        self.ends: Counter[str] = Counter()
        self.wrong = 0
        """Requests that did not end once."""
        self.foreign = 0
        """Replies with words of another request, of somebody who did not answer, or of one twice."""
        self.missed = 0
        """Answers that were given in time, and are in no reply: the machine is too slow for so many at once."""
        self.late = 0
        self.counters: dict[str, int] = {}

    def close(self) -> None:
        """A round is over: what is remembered of it here is not the gateway's memory."""
        self.wrong += sum(count != 1 for count in self.ends.values())
        self.wrong += len(self.texts.keys() ^ self.ends.keys())
        for books in (self.texts, self.answered, self.ends):
            books.clear()

    def see(self, event: HubEvent) -> None:
        """What listeners are shown."""
        if not isinstance(event, ReplyEvent):
            return
        said = self.texts.get(event.correlation_id, "?")
        if event.late:
            self.late += 1
            self.foreign += not event.text.endswith(f":{said}")
        elif event.final:
            self.ends[event.correlation_id] += 1
            in_time = self.answered.get(event.correlation_id, set())
            words = [] if event.fallback else event.text.split(" ")
            allowed = [f"{name}:{said}" for name in sorted(in_time)]
            self.foreign += words != [word for word in allowed if word in words]
            self.missed += len(allowed) - len(words)


class Round:
    """Ten thousand requests, from the first question to the last end."""

    def __init__(self, gateway: Gateway, agents: Puppets, ends: Ends, number: int) -> None:
        self._gateway = gateway
        self._agents = agents
        self._ends = ends
        self._number = number
        self._chance = random.Random(number)

    async def ask(self) -> None:
        """Everybody says something; until each agent has all of it."""
        await _side_by_side([self._say(number) for number in range(REQUESTS)])
        await _until(lambda: len(self._asked()) == len(AGENTS) * REQUESTS)

    def _asked(self) -> list[AgentRequest]:
        """What was asked in this round: of the one before it a message may come again."""
        ours = f"{self._number}."
        return [one for one in self._agents.asked.values() if one.transcript.text.startswith(ours)]

    async def _say(self, number: int) -> None:
        text = f"{self._number}.{number}"
        said = await self._gateway.pipeline.say(text, person(f"p{number}"))
        self._ends.texts[said.correlation_id] = text
        self._ends.answered[said.correlation_id] = set()

    async def answer(self) -> list[AgentRequest]:
        """All that come in time, and what is forged; returns those that are to come too late."""
        chance = self._chance
        late: list[AgentRequest] = []
        letters: list[Letter] = []
        for request in self._asked():
            fate = chance.random()
            if fate < LATE:
                late.append(request)
            elif fate >= LATE + MISSING:
                self._ends.answered[request.transcript.correlation_id].add(request.agent)
                letters += self._letters(request)
        chance.shuffle(letters)
        self._agents.asked.clear()
        await _side_by_side([letter() for letter in letters])
        return late

    def _letters(self, request: AgentRequest) -> list[Letter]:
        """Of one who answers; what is forged comes first, for it could only then do harm."""
        agents, answer = self._agents, _answer(request)
        name = f"m_{request.request_id}"
        letters: list[Letter] = [lambda: agents.reply(request, answer, message_id=name)]
        if self._chance.random() < DOUBLED:
            again = {"message_id": name} if self._chance.random() < 0.5 else {}
            letters.append(lambda: agents.reply(request, answer, **again))
        if self._chance.random() < FORGED:
            lie = self._chance.choice(
                [{"session_id": "s_another"}, {"agent": "z"}, {"request_id": "q_guessed"}, {"request_id": ""}]
            )
            return [lambda: self._in_order(request, lie, letters)]
        return letters

    async def _in_order(self, request: AgentRequest, lie: dict[str, str], letters: list[Letter]) -> None:
        await self._agents.reply(request, "forged", **lie)
        for letter in letters:
            await letter()

    async def end(self, late: list[AgentRequest]) -> None:
        """Until everybody has an end; then come those that are late, and are shown to the listeners."""
        await _until(lambda: self._ends.ends.total() == REQUESTS)
        shown = self._ends.late
        await _side_by_side([self._agents.reply(request, _answer(request)) for request in late])
        await _until(lambda: self._ends.late >= shown + len(late))


def _answer(request: AgentRequest) -> str:
    return f"{request.agent}:{request.transcript.text}"


async def _side_by_side(work: list[Any]) -> None:
    """So many at a time, in their order."""
    for start in range(0, len(work), AT_ONCE):
        await asyncio.gather(*work[start : start + AT_ONCE])


async def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not done within {PATIENCE} s")
        await asyncio.sleep(0.1)


async def measure(folder: Path, rounds: int) -> Result:
    """All rounds."""
    ends = Ends()
    memory: list[float] = []
    seconds: list[tuple[float, float, float]] = []
    async with gateway_here(folder, **SETTINGS) as gateway, puppets(gateway.broker, *AGENTS) as agents:
        async with watching(gateway, ends.see):
            for number in range(rounds):
                began = time.monotonic()
                one = Round(gateway, agents, ends, number)
                await one.ask()
                asked = time.monotonic()
                late = await one.answer()
                answered = time.monotonic()
                await one.end(late)
                ends.close()
                seconds.append((asked - began, answered - asked, time.monotonic() - answered))
                gc.collect()
                memory.append(resident_mb())
        counters = gateway.pipeline._questions.tracker.counters  # noqa: SLF001
        ends.counters = {
            "requests that ended with an answer": counters.done,
            "requests that nobody answered in time": counters.expired,
            "replies refused as doubled": counters.duplicate,
            "replies refused as another session's": counters.forged,
            "replies refused as of nobody who was asked": counters.unasked,
        }
    return _result(ends, memory, seconds)


def _result(ends: Ends, memory: list[float], seconds: list[tuple[float, float, float]]) -> Result:
    growth = (memory[-1] - memory[WARM_UP]) / max(1, len(memory) - 1 - WARM_UP)
    return Result(
        {
            "requests in flight": REQUESTS,
            "rounds": len(memory),
            "replies that came late": ends.late,
            "answers that were too late because the machine was too slow": ends.missed,
            **ends.counters,
            "asking all of them, longest_seconds": max(asked for asked, _, _ in seconds),
            "from the last question to the last end, longest_seconds": max(a + e for _, a, e in seconds),
            **{f"mb_at end of round {number}": size for number, size in enumerate(memory, 1)},
            "scheduling": scheduling(),
        },
        [
            Bar(
                "answers with words of another session, or of nobody who was asked",
                ends.foreign,
                0,
                "at most",
            ),
            Bar("requests without their one end", ends.wrong, 0, "at most"),
            Bar("memory that ten thousand requests more leave behind", growth, MEGABYTES, "at most", "MB"),
        ],
    )


def run(*, quick: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix="earshot-correlation-") as folder:
        return asyncio.run(measure(Path(folder), QUICK_ROUNDS if quick else ROUNDS))
