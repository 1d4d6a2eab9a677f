"""[agents] What the gateway adds to the time of those whom ready-made agents ask: to the question, to the first word.

A whole gateway with its journal over the memory broker, the agents inside it. In front of the server that is asked
stands a relay that notes when the question came, when the server's first word left, and when we hung up. Times begin
when somebody has typed, and end when a piece would be on a listener's wire. Asked are llmock, which answers at once
(or, where it is not fetched, a plain server of the tests' own), and SmolLM2-135M behind llama.cpp's server, a real
model on the same cores (`make real`). An answer that is not needed any more is one of a team whose other agent was
faster; it is hung up on in the middle of its stream. Home Assistant 2025.4.4 is told to switch on a fan, by turns: by
its own API, called directly, and by the agent, over that API and over its WebSocket.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.house import gateway_here, watching
from benchmarks.load.relay import Question, Relay, relay
from benchmarks.teams import Talk, at_work
from gateway.app import Gateway
from gateway.contract.events import HubEvent, ReplyEvent
from tests.gateway.agents.openai.scripted import words
from tests.real.chat_servers import Llama, Llmock
from tests.real.home_assistant import HomeAssistant, Owner
from tests.real.things import HOME_ASSISTANT, LLAMA, LLMOCK
from tests.real.weights import SMOLLM2
from tests.servers.unruly_http import unruly

BRAIN, FASTER = "brain", "faster"
FASTER_SECONDS = 0.2
SLOWLY_MS = 40
"""Between the words of an answer that is hung up on."""
LLAMA_SETTINGS = {"temperature": 0.0, "max_tokens": 200, "context_tokens": 1024, "turns": 0}

COMMAND = "turn on the living room fan"
SWITCH = "input_boolean.fan"
WAYS: dict[str, dict[str, Any]] = {"its API": {}, "its voice assistant": {"assistant": "preferred"}}
"""How an agent may ask it, and the settings for that."""
DIRECTLY = "directly"


class Rows(NamedTuple):
    """Milliseconds."""

    to_question: list[float]
    to_piece: list[float]
    to_the_end: list[float]


class Asker(Talk):
    """Who talks, and when the first piece of each answer was on a listener's wire."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.first: dict[str, float] = {}

    def see(self, event: HubEvent) -> None:
        """What listeners are shown."""
        if isinstance(event, ReplyEvent) and event.text:
            self.first.setdefault(event.correlation_id, time.monotonic())
        super().see(event)


@asynccontextmanager
async def asking(folder: Path, **orchestrator: Any) -> AsyncIterator[tuple[Gateway, Asker]]:
    """A gateway with these settings, and somebody who listens."""
    async with gateway_here(folder, orchestrator=orchestrator) as gateway:
        asker = Asker(gateway)
        async with watching(gateway, asker.see):
            yield gateway, asker


def agents(url: str, chat: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The settings of the one that asks that server."""
    brain = {"kind": "openai", "url": f"{url}/v1", "timeout_seconds": 60.0, "openai": {"model": "m", **chat}}
    return {"agents": {BRAIN: brain, **more}, "timeout_seconds": 60.0}


async def answers(
    folder: Path, server: str, chat: dict[str, Any], count: int
) -> tuple[list[float], list[float]]:
    """Milliseconds from the text to the question at the server, and from its first word to the first piece."""
    to_question, to_piece = [], []
    async with relay(server) as between, asking(folder, **agents(between.url, chat)) as (_, talk):
        await talk.say("somebody", "What is the capital of France?")  # connections, caches
        for number in range(count):
            began, _, reply = await talk.say("somebody", f"What is the capital of France? {number}")
            question = between.questions[-1]
            if reply.error or not question.first_word:
                raise RuntimeError(f"no answer: {reply}")
            to_question.append(1000 * (question.asked - began))
            to_piece.append(1000 * (talk.first[reply.correlation_id] - question.first_word))
    return to_question, to_piece


async def hung_up(folder: Path, server: str, chat: dict[str, Any], count: int) -> list[float]:
    """Milliseconds from the reply of a faster agent to the end of our connection to the server."""
    waits = []
    async with (
        relay(server) as between,
        asking(folder, **agents(between.url, chat, **{FASTER: {}})) as (gateway, talk),
        at_work(gateway, [talk.agent(FASTER, FASTER_SECONDS)]),
    ):
        for number in range(count):
            _, at, reply = await talk.say(f"p{number}", f"Tell me a very long story. {number}")
            if reply.text != FASTER:
                raise RuntimeError(f"the other one was faster: {reply}")
            question = await last(between, number + 1)
            async with asyncio.timeout(10):
                await question.is_over.wait()
            waits.append(1000 * (question.hung_up - at))
    return waits


async def last(between: Relay, count: int) -> Question:
    """The question of that number."""
    async with asyncio.timeout(10):
        while len(between.questions) < count:  # noqa: ASYNC110 - a connection that is just made
            await asyncio.sleep(0.001)
    return between.questions[count - 1]


@asynccontextmanager
async def plain_server(folder: Path, *, slow: bool) -> AsyncIterator[str]:
    """One whose answers cost it nothing."""
    if not LLMOCK.here:
        async with unruly() as server:
            pause = SLOWLY_MS / 1000 if slow else 0.0
            server.usual = words(*["word "] * (200 if slow else 10), pause=pause)
            yield server.url
        return
    more = ("--stream-chunk-delay-ms", str(SLOWLY_MS)) if slow else ()
    server_process = await asyncio.to_thread(Llmock(folder, *more).start)
    try:
        said = {"type": "reply", "text": "word " * (200 if slow else 10), "times": None}
        await asyncio.to_thread(server_process.next, said)
        yield server_process.url
    finally:
        await asyncio.to_thread(server_process.stop)


@asynccontextmanager
async def real_model(folder: Path) -> AsyncIterator[str]:
    server = await asyncio.to_thread(Llama(folder).start)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)


async def of_plain(folder: Path, count: int) -> Rows:
    """Where nothing but the gateway takes time."""
    (folder / "server").mkdir(parents=True)
    async with plain_server(folder / "server", slow=False) as url:
        to_question, to_piece = await answers(folder / "answers", url, {}, count)
    async with plain_server(folder / "server", slow=True) as url:
        return Rows(to_question, to_piece, await hung_up(folder / "hung up", url, {}, count // 4))


async def of_a_real_one(folder: Path, count: int) -> Rows:
    """A model that thinks on the same cores."""
    (folder / "server").mkdir(parents=True)
    async with real_model(folder / "server") as url:
        to_question, to_piece = await answers(folder / "answers", url, LLAMA_SETTINGS, count)
        return Rows(to_question, to_piece, await hung_up(folder / "hung up", url, LLAMA_SETTINGS, count // 2))


async def switched_on(folder: Path, times: int) -> dict[str, list[float]]:
    """Milliseconds of each way to "Turned on", by turns, and directly; the first of each does not count."""
    server = await asyncio.to_thread(HomeAssistant(folder / "server").start)
    try:
        async with Owner.of(server) as owner:
            await owner.expose(SWITCH)
            os.environ["EARSHOT_AGENT_HOME_TOKEN"] = server.token
            async with _ways(folder, server, owner) as ways:
                waits: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(times + 1):
                    for name, way in ways.items():
                        waits[name].append(await _switched(owner, way))
        return {name: every[1:] for name, every in waits.items()}
    finally:
        os.environ.pop("EARSHOT_AGENT_HOME_TOKEN", None)
        await asyncio.to_thread(server.stop)


async def _switched(owner: Owner, way: Callable[[], Awaitable[str]]) -> float:
    await owner.post("/api/services/input_boolean/turn_off", entity_id=SWITCH)
    began = time.monotonic()
    answer = await way()
    wait = 1000 * (time.monotonic() - began)
    if not answer.startswith("Turned on") or await owner.state(SWITCH) != "on":
        raise RuntimeError(f"not switched on: {answer!r}")
    return wait


@asynccontextmanager
async def _ways(
    folder: Path, server: HomeAssistant, owner: Owner
) -> AsyncIterator[dict[str, Callable[[], Awaitable[str]]]]:
    async with (
        _talking(folder, server, "its API") as one,
        _talking(folder, server, "its voice assistant") as two,
    ):

        async def directly() -> str:
            told = await owner.post("/api/conversation/process", text=COMMAND, language="en")
            return str(told["response"]["speech"]["plain"]["speech"])

        yield {DIRECTLY: directly, "its API": one, "its voice assistant": two}


@asynccontextmanager
async def _talking(
    folder: Path, server: HomeAssistant, way: str
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    home = {"kind": "home-assistant", "url": server.url, "home_assistant": WAYS[way]}
    here = folder / way
    here.mkdir(parents=True)
    async with gateway_here(here, orchestrator={"agents": {"home": home}}) as gateway:
        talk = Talk(gateway)

        async def say() -> str:
            return (await talk.say("somebody", COMMAND))[2].text

        async with watching(gateway, talk.see):
            yield say


def run(*, quick: bool) -> Result:
    metrics: dict[str, Any] = {"scheduling": scheduling()}
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="earshot-agents-") as name:
        plain = "llmock" if LLMOCK.here else "a plain server"
        _told(plain, asyncio.run(of_plain(Path(name) / "plain", 20 if quick else 200)), metrics, bars)
        if missing := [thing.absence for thing in (LLAMA, SMOLLM2) if not thing.here]:
            metrics["llama.cpp"] = f"not measured: {'; '.join(missing)}"
        else:
            real = asyncio.run(of_a_real_one(Path(name) / "real", 4 if quick else 20))
            _told("llama.cpp", real, metrics, bars)
        if not HOME_ASSISTANT.here:
            metrics["Home Assistant"] = f"not measured: {HOME_ASSISTANT.absence}"
        else:
            waits = asyncio.run(switched_on(Path(name) / "home", 4 if quick else 40))
            _of_home_assistant(waits, metrics, bars)
    return Result(metrics, bars)


def _of_home_assistant(waits: dict[str, list[float]], metrics: dict[str, Any], bars: list[Bar]) -> None:
    directly = percentile(waits.pop(DIRECTLY), 50)
    metrics["Home Assistant: to Turned on by its API, called directly, p50_ms"] = directly
    for way, values in waits.items():
        what = f"Home Assistant: from the text to Turned on by {way}"
        metrics |= {f"{what}, p{p}_ms": percentile(values, p) for p in (50, 95)}
        bars.append(
            Bar(f"{what}, p50 above directly", percentile(values, 50) - directly, 10.0, "at most", "ms")
        )


def _told(who: str, rows: Rows, metrics: dict[str, Any], bars: list[Bar]) -> None:
    parts = {
        "text to question": (rows.to_question, 5.0),
        "its first word to the first piece": (rows.to_piece, 10.0),
    }
    metrics[f"{who}: answers"] = len(rows.to_question)
    for what, (values, limit) in parts.items():
        metrics |= {f"{who}: {what}, p{p}_ms": percentile(values, p) for p in (50, 95)}
        bars.append(Bar(f"{who}: {what}, p50", percentile(values, 50), limit, "at most", "ms"))
    metrics[f"{who}: hung up on"] = len(rows.to_the_end)
    metrics[f"{who}: not needed any more to hung up, p50_ms"] = percentile(rows.to_the_end, 50)
    worst = max(rows.to_the_end)
    bars.append(Bar(f"{who}: not needed any more to hung up, worst", worst, 50.0, "at most", "ms"))
