"""The end of an agent's day: it takes nothing more, finishes what it began, and says that it leaves."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.opening import open_broker
from gateway.contract.agents import PRESENCE_TOPIC, REQUESTS_TOPIC, decode_presence
from gateway.contract.messages import REPLIES_TOPIC, RESULTS_TOPIC
from gateway.orchestrators.sdk import BadOrchestrator, Heard, Orchestrator
from gateway.orchestrators.serving import serve
from gateway.settings.broker import BrokerSettings
from tests.gateway.orchestrators.played import Gateway, running, soon
from tests.record import PATIENCE
from tests.servers.process import free_port
from tests.servers.redis import Redis

ROOT = Path(__file__).parents[3]


class Slow:
    """An agent that answers when it is let, having asked another."""

    def __init__(self) -> None:
        self.agent = Orchestrator("slow", concurrency=1)
        self.begun, self.going = asyncio.Event(), asyncio.Event()
        self.agent.on_transcript(self.answer)

    async def answer(self, heard: Heard) -> str:
        self.begun.set()
        await self.going.wait()
        return f"{heard.text}, {(await heard.ask('helper')).text}"


def helper() -> Orchestrator:
    other = Orchestrator("helper")

    @other.on_transcript(pattern=".")
    async def answer(heard: Heard) -> str:
        return f"{heard.text} indeed"

    return other


async def test_it_finishes_what_it_took_and_takes_nothing_more() -> None:
    slow, broker = Slow(), MemoryBroker()
    async with (
        broker.subscribe(PRESENCE_TOPIC, "user.slow") as told,
        broker.subscribe(REQUESTS_TOPIC, "user.slow", group="slow") as copy,
        running(helper(), broker=broker) as gateway,
    ):
        run = asyncio.create_task(slow.agent.run(broker))
        await asyncio.sleep(0)
        await gateway.ask("slow", "first")
        await soon(slow.begun.wait())
        slow.agent.leave()
        assert decode_presence((await soon(anext(told))).message.payload).state == "here"
        assert decode_presence((await soon(anext(told))).message.payload).state == "leaving"
        await gateway.ask("slow", "second")
        assert b'"second"' in (await soon(anext(copy))).message.payload
        assert not run.done()
        slow.going.set()
        assert (await gateway.reply()).text == "first, first indeed"
        await soon(run)
        slow.agent.leave()  # it has left


async def test_what_takes_only_transcripts_needs_no_more_than_those() -> None:
    house, broker = Orchestrator("house", by_name=False), MemoryBroker()

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        return heard.text

    async with running(house, broker=broker) as gateway:
        await gateway.tell("hello")
        assert (await gateway.reply()).text == "hello"
        await gateway.settled(RESULTS_TOPIC)
        assert {row.topic for row in broker.stats()} == {RESULTS_TOPIC, REPLIES_TOPIC}


def test_what_is_wrong_with_one_of_several_is_said(redis: Redis) -> None:
    with pytest.raises(BadOrchestrator, match="on_transcript"):
        serve(helper(), Orchestrator("idle"), url=redis.url)


AGENT = """
import asyncio, sys
from gateway.orchestrator import Orchestrator, serve
one, two = Orchestrator("one"), Orchestrator("two")

@one.on_transcript
async def answer(heard):
    print("asked", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return heard.text

@two.on_transcript
async def other(heard):
    return "two"

serve(one, two, url=sys.argv[1])
"""


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def line(child: asyncio.subprocess.Process, words: bytes) -> None:
    assert child.stdout
    async with asyncio.timeout(PATIENCE):
        while words not in (read := await child.stdout.readline()):
            assert read, "it has ended"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "nats", "amqp", "mqtt"])
async def test_a_process_says_that_its_broker_is_not_there(kind: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with process(AGENT, f"{kind}://{address}") as child:
        assert child.stdout
        async with asyncio.timeout(PATIENCE):
            first = await child.stdout.readline()
        assert all(words in first for words in (b"the broker is not there", address.encode(), b"remedy="))


@pytest.mark.slow
@pytest.mark.parametrize("patient", [True, False])
async def test_a_process_of_several_ends_in_good_order(redis: Redis, *, patient: bool) -> None:
    broker = open_broker(redis.url, BrokerSettings(url=redis.url))
    try:
        async with (
            broker.subscribe(REPLIES_TOPIC) as replies,
            broker.subscribe(PRESENCE_TOPIC) as told,
            process(AGENT, redis.url) as child,
        ):
            gateway = Gateway(broker, replies)
            await line(child, b"the broker is there")
            for _ in range(2):
                await line(child, b"listening")
            await gateway.ask("two", "hello")
            assert (await gateway.reply()).text == "two"
            await gateway.ask("one", "last")
            await line(child, b"asked")
            child.send_signal(signal.SIGTERM)
            await line(child, b"leaving")
            if patient:
                assert child.stdin
                child.stdin.write(b"\n")
                assert (await gateway.reply()).text == "last"
            else:
                child.send_signal(signal.SIGINT)
                assert child.stdin
                child.stdin.close()  # the thread that reads it has to end
            assert await soon(child.wait()) == 0
            left = set()
            while len(left) < 2:
                presence = decode_presence((await soon(anext(told))).message.payload)
                if presence.state == "leaving":
                    left.add(presence.agent)
            assert left == {"one", "two"}
    finally:
        await broker.close()


STUBBORN = """
import asyncio, sys
from gateway.orchestrators import serving
serving.FINISH_SECONDS = 0.1

class Stubborn:
    async def run(self, broker):
        print("at work", flush=True)
        await asyncio.Event().wait()

    def leave(self):
        print("told", flush=True)

serving.serve(Stubborn(), url=sys.argv[1])
"""


@pytest.mark.slow
async def test_an_end_takes_a_bounded_time(redis: Redis) -> None:
    async with process(STUBBORN, redis.url) as child:
        await line(child, b"at work")
        child.send_signal(signal.SIGTERM)
        await line(child, b"told")
        assert await soon(child.wait()) == 0
