"""[teams] One of three agents is dead: how soon the others' answer is out. A hundred agents. Answers out of a cache.

A whole gateway with its journal over the memory broker; the agents are written with the SDK and run beside it. The dead
one still says that it is there, which is the worst: nothing but the deadline tells. Then it has failed too often, so
that its breaker is open, and then it does not say anything. Times begin when somebody has typed, and end when the whole
answer would be on a listener's wire. Of a hundred agents, some requests are put to all and others to one of them. What
is given again (`cache`) is asked for by one after the other, and by ten at once; its agent has left by then.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.house import gateway_here, person, watching
from benchmarks.load.puppets import puppets
from gateway.app import Gateway
from gateway.contract.events import HubEvent, ReplyEvent
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator

SLOW_SECONDS = {"a": 0.05, "b": 0.1}
"""How long the two that live think."""
DEAD = "c"
DEADLINE_SECONDS = 2.0
PEOPLE = 10
"""Who type at the same time."""
HUNDRED = tuple(f"agent{number:02}" for number in range(100))
ALL_SECONDS = 5.0
"""The deadline of the hundred."""


class Talk:
    """Who said what, when it was answered, and when each agent had answered."""

    def __init__(self, gateway: Gateway) -> None:
        self.answered: dict[str, float] = {}
        """When an agent gave the last answer to a text."""
        self.ends: dict[str, tuple[float, ReplyEvent]] = {}
        self._gateway = gateway
        self._waiting: dict[str, asyncio.Event] = {}

    def see(self, event: HubEvent) -> None:
        """What listeners are shown."""
        if isinstance(event, ReplyEvent) and event.final and not event.late:
            self.ends[event.correlation_id] = time.monotonic(), event
            self._waiting.setdefault(event.correlation_id, asyncio.Event()).set()

    async def say(self, who: str, text: str) -> tuple[float, float, ReplyEvent]:
        """Somebody says something: when that was, when it was answered, and the answer."""
        began = time.monotonic()
        said = await self._gateway.pipeline.say(text, person(who))
        await self._waiting.setdefault(said.correlation_id, asyncio.Event()).wait()
        at, reply = self.ends.pop(said.correlation_id)
        del self._waiting[said.correlation_id]
        return began, at, reply

    def agent(self, name: str, seconds: float) -> Orchestrator:
        """One that thinks for so long, and says its name."""
        one = Orchestrator(name, concurrency=64)

        @one.on_transcript
        async def answer(heard: Heard) -> str:
            await asyncio.sleep(seconds)
            self.answered[heard.text] = time.monotonic()
            return name

        return one


@asynccontextmanager
async def talking(folder: Path, **orchestrator: Any) -> AsyncIterator[tuple[Gateway, Talk]]:
    """A gateway with these settings, and somebody who listens."""
    async with gateway_here(folder, orchestrator=orchestrator) as gateway:
        talk = Talk(gateway)
        async with watching(gateway, talk.see):
            yield gateway, talk


@asynccontextmanager
async def at_work(gateway: Gateway, agents: Iterable[Orchestrator]) -> AsyncIterator[None]:
    """They run, and the gateway has heard of them all."""
    roster = gateway.pipeline.agents
    assert roster is not None
    now = asyncio.get_running_loop().time
    names = [one.name for one in agents]
    async with asyncio.TaskGroup() as tasks:
        work = [tasks.create_task(one.run(gateway.broker)) for one in agents]
        while not all((known := roster.standing(name, now())) and known.copies for name in names):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        yield
        for task in work:
            task.cancel()


def living(gateway: Gateway, talk: Talk) -> AbstractAsyncContextManager[None]:
    """The two of the three."""
    return at_work(gateway, [talk.agent(*one) for one in SLOW_SECONDS.items()])


def three(**breaker: float) -> dict[str, Any]:
    """Two that live and one that is dead, all of whom are to answer."""
    agent = {"timeout_seconds": DEADLINE_SECONDS, "breaker": breaker}
    return {
        "agents": dict.fromkeys((*SLOW_SECONDS, DEAD), agent),
        "teams": {"three": {"agents": [*SLOW_SECONDS, DEAD], "policy": "all"}},
    }


async def partial_answers(talk: Talk, turns: int) -> tuple[list[float], list[float]]:
    """Seconds of each from the text to the end, and from the last agent's answer to the end."""
    from_text, from_last = [], []
    for turn in range(turns):
        texts = [f"{person_}.{turn}" for person_ in range(PEOPLE)]
        said = await asyncio.gather(*(talk.say(f"p{number}", text) for number, text in enumerate(texts)))
        for text, (began, at, reply) in zip(texts, said, strict=True):
            if (reply.text, reply.partial, reply.missing) != ("a b", True, (DEAD,)):
                raise RuntimeError(f"not the answer of those who live: {reply}")
            from_text.append(at - began)
            from_last.append(at - talk.answered.pop(text))
    return from_text, from_last


async def one_is_dead(folder: Path, turns: int) -> list[float]:
    """Its breaker never opens: milliseconds that the answer took beyond the deadline."""
    async with (
        talking(folder, **three(failures=0)) as (gateway, talk),
        living(gateway, talk),
        puppets(gateway.broker, DEAD),
    ):
        from_text, _ = await partial_answers(talk, turns)
    return [1000 * (seconds - DEADLINE_SECONDS) for seconds in from_text]


async def its_breaker_is_open(folder: Path, turns: int) -> list[float]:
    """Milliseconds from the others' last answer."""
    settings = three(failures=1, open_seconds=3_600.0, window_seconds=3_600.0)
    async with (
        talking(folder, **settings) as (gateway, talk),
        living(gateway, talk),
        puppets(gateway.broker, DEAD),
    ):
        await partial_answers(talk, 1)  # which is the failure
        _, from_last = await partial_answers(talk, turns)
    return [1000 * seconds for seconds in from_last]


async def it_is_not_there(folder: Path, turns: int) -> list[float]:
    """Milliseconds from the others' last answer."""
    async with talking(folder, **three()) as (gateway, talk), living(gateway, talk):
        await asyncio.sleep(3.5)  # it has had its time to show itself
        _, from_last = await partial_answers(talk, turns)
    return [1000 * seconds for seconds in from_last]


async def a_hundred(folder: Path, turns: int) -> tuple[list[float], list[float], int]:
    """Seconds until the answer of all, and of one of them; and how often somebody was missing."""
    orchestrator = {
        "agents": {name: {"timeout_seconds": ALL_SECONDS} for name in HUNDRED},
        "teams": {
            "all": {"agents": list(HUNDRED), "policy": "all", "pattern": "^everybody"},
            **{name: {"agents": [name], "pattern": f"^{name}"} for name in HUNDRED},
        },
    }
    of_all, of_one, missing = [], [], 0
    async with (
        talking(folder, **orchestrator) as (gateway, talk),
        at_work(gateway, [talk.agent(name, 0.02) for name in HUNDRED]),
    ):
        for turn in range(turns):
            names = [HUNDRED[(turn * PEOPLE + number) % len(HUNDRED)] for number in range(PEOPLE)]
            asking = [talk.say(f"p{number}", f"{name}, please {turn}") for number, name in enumerate(names)]
            whole, *single = await asyncio.gather(talk.say("everyone", f"everybody {turn}"), *asking)
            of_all.append(whole[1] - whole[0])
            missing += len(whole[2].agents) != len(HUNDRED)
            of_one += [at - began for began, at, _ in single]
            missing += sum(reply.text != name for name, (_, _, reply) in zip(names, single, strict=True))
    return of_all, of_one, missing


async def given_again(folder: Path, turns: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the text to an answer that was given before: one after the other, and all at once."""
    cache = {"seconds": 3_600.0, "by": [], "conversations": True}
    asked = [f"question {number}" for number in range(PEOPLE)]
    alone, together = [], []
    async with talking(folder, agents={"a": {"cache": cache}}) as (gateway, talk):
        async with at_work(gateway, [talk.agent("a", 0.0)]):
            await asyncio.gather(*(talk.say("first", text) for text in asked))
        for _ in range(turns):
            alone += [await _again(talk, f"p{number}", text) for number, text in enumerate(asked)]
            saying = (_again(talk, f"p{number}", text) for number, text in enumerate(asked))
            together += await asyncio.gather(*saying)
    return alone, together


async def _again(talk: Talk, who: str, text: str) -> float:
    began, at, reply = await talk.say(who, text)
    if not reply.cached or reply.text != "a":
        raise RuntimeError("an answer is not out of the cache")
    return 1000 * (at - began)


def run(*, quick: bool) -> Result:
    turns = 3 if quick else 15
    with tempfile.TemporaryDirectory(prefix="earshot-teams-") as name:
        folder = Path(name)
        dead = asyncio.run(one_is_dead(folder / "dead", turns))
        broken = asyncio.run(its_breaker_is_open(folder / "broken", 4 * turns))
        absent = asyncio.run(it_is_not_there(folder / "absent", 4 * turns))
        of_all, of_one, missing = asyncio.run(a_hundred(folder / "hundred", 4 * turns))
        alone, together = asyncio.run(given_again(folder / "again", 4 * turns))
    over = sum(seconds > ALL_SECONDS for seconds in (*of_all, *of_one))
    return Result(
        {
            "people who type at once": PEOPLE,
            "deadline of the three, seconds": DEADLINE_SECONDS,
            "one is dead: after the deadline, p50_ms": percentile(dead, 50),
            "one is dead: after the deadline, max_ms": max(dead),
            "its breaker is open: after the others' last answer, p50_ms": percentile(broken, 50),
            "its breaker is open: after the others' last answer, max_ms": max(broken),
            "it is not there: after the others' last answer, max_ms": max(absent),
            "a hundred agents: requests to all of them": len(of_all),
            "a hundred agents: answer of all, p50_ms": 1000 * percentile(of_all, 50),
            "a hundred agents: answer of all, max_ms": 1000 * max(of_all),
            "a hundred agents: requests to one of them": len(of_one),
            "a hundred agents: answer of one, p50_ms": 1000 * percentile(of_one, 50),
            "a hundred agents: answer of one, max_ms": 1000 * max(of_one),
            "given again: answers": len(alone),
            "given again: from the text, p50_ms": percentile(alone, 50),
            "given again: from the text, p95_ms": percentile(alone, 95),
            "given again: from the text, max_ms": max(alone),
            "given again, ten at once: from the text, p95_ms": percentile(together, 95),
            "scheduling": scheduling(),
        },
        [
            Bar(
                "one of three is dead: the partial answer after the deadline, worst",
                max(dead),
                100.0,
                "at most",
                "ms",
            ),
            Bar(
                "its breaker is open: after the others' last answer, worst",
                max(broken),
                50.0,
                "at most",
                "ms",
            ),
            Bar("a hundred agents: requests over their deadline", over, 0, "at most"),
            Bar(
                "given again: from the text to the answer, p95",
                percentile(alone, 95),
                20.0,
                "at most",
                "ms",
            ),
            Bar("a hundred agents: answers of which somebody is missing", missing, 0, "at most"),
        ],
    )
