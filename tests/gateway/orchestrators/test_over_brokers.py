"""Requests, replies, other agents and presence over each broker; and an agent that dies over a request."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.broker.base import MessageBroker, Subscription
from gateway.broker.opening import open_broker
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, PRESENCE_TOPIC, decode_presence
from gateway.contract.messages import REPLIES_TOPIC
from gateway.orchestrators.sdk import Heard, Orchestrator
from gateway.settings.broker import BrokerSettings
from tests.gateway.orchestrators.played import Gateway, running, soon
from tests.record import PATIENCE
from tests.servers.redis import Redis

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[MessageBroker]:
    broker = open_broker(url, BrokerSettings(url=url, lease_seconds=1))
    try:
        yield broker
    finally:
        await broker.close()


def boss() -> Orchestrator:
    house = Orchestrator("boss")

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        await heard.say("The helper says: ")
        return (await heard.ask("helper", f"{heard.text}?")).text

    return house


def helper(ended: asyncio.Event) -> Orchestrator:
    house = Orchestrator("helper")

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        try:
            if heard.text == "wait":
                await heard.progress("waiting")
                await asyncio.Event().wait()
        finally:
            ended.set()
        return heard.text

    return house


async def here(told: Subscription, *names: str) -> None:
    missing = set(names)
    while missing:
        delivery = await soon(anext(told))
        await delivery.ack()
        missing.discard(decode_presence(delivery.message.payload).agent)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["redis", "nats", "keeping_mosquitto", "rabbitmq"])
async def test_agents_and_a_gateway_over_a_broker(request: pytest.FixtureRequest, server: str) -> None:
    url, ended = request.getfixturevalue(server).url, asyncio.Event()
    async with (
        opened(url) as theirs,
        opened(url) as ours,
        ours.subscribe(PRESENCE_TOPIC) as told,
        ours.subscribe(REPLIES_TOPIC) as replies,
        running(boss(), helper(ended), broker=theirs),
    ):
        gateway = Gateway(ours, replies)
        await here(told, "boss", "helper")
        await gateway.ask("boss", "really")
        first, last = await gateway.replied(2)
        assert (first.text, first.final) == ("The helper says: ", False)
        assert (last.text, last.final) == ("The helper says: really?", True)
        ended.clear()
        asked = await gateway.ask("helper", "wait")
        assert (await gateway.reply()).progress == "waiting"
        await gateway.stop(asked)
        await soon(ended.wait())


@pytest.mark.slow
async def test_a_broker_that_dies_meanwhile_loses_no_answer_and_nobody_works_twice(redis: Redis) -> None:
    house, asked = Orchestrator("patient"), []
    begun, going = asyncio.Event(), asyncio.Event()

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        asked.append(heard.text)
        begun.set()
        await going.wait()
        await heard.announce(f"{heard.text} is done")
        return heard.text

    async with (
        opened(redis.url) as theirs,
        opened(redis.url) as ours,
        ours.subscribe(PRESENCE_TOPIC) as told,
        ours.subscribe(REPLIES_TOPIC) as replies,
        ours.subscribe(ANNOUNCEMENTS_TOPIC) as announced,
        running(house, broker=theirs),
    ):
        gateway = Gateway(ours, replies)
        await here(told, "patient")
        await gateway.ask("patient", "the first", request={"seconds": 30.0})
        await soon(begun.wait())
        await asyncio.to_thread(redis.kill)
        going.set()
        await asyncio.to_thread(redis.start)
        assert (await gateway.reply()).text == "the first"
        assert b"the first is done" in (await soon(anext(announced))).message.payload
        await here(told, "patient")
        await gateway.ask("patient", "the second", request={"seconds": 30.0})
        assert (await gateway.reply()).text == "the second"
        assert asked == ["the first", "the second"]


MORTAL = """
import asyncio, os, sys
from gateway.broker.opening import open_broker
from gateway.orchestrator import Orchestrator
from gateway.settings.broker import BrokerSettings

url, step = sys.argv[1:]
broker = open_broker(url, BrokerSettings(url=url, lease_seconds=1))
publish = broker.publish

async def publish_and_die(topic, key, payload, **more):
    await publish(topic, key, payload, **more)
    if step == "after its reply" and b'"final":true' in payload:
        os._exit(1)

broker.publish = publish_and_die
mortal = Orchestrator("mortal")

@mortal.on_transcript
async def answer(heard):
    if step == "before":
        os._exit(1)
    await heard.say("so ")
    if step == "in the middle":
        os._exit(1)
    return heard.text

asyncio.run(mortal.run(broker))
"""


@asynccontextmanager
async def mortal(url: str, step: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", MORTAL, url, step, cwd=ROOT)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["before", "in the middle", "after its reply"])
async def test_what_an_agent_died_over_is_answered_once_more_under_the_same_ids(
    redis: Redis, step: str
) -> None:
    async with (
        opened(redis.url) as broker,
        broker.subscribe(PRESENCE_TOPIC) as told,
        broker.subscribe(REPLIES_TOPIC) as replies,
    ):
        gateway = Gateway(broker, replies)
        async with mortal(redis.url, step) as first:
            await here(told, "mortal")
            await gateway.ask("mortal", "it goes on")
            assert await asyncio.wait_for(first.wait(), PATIENCE) == 1
        before = [
            await gateway.reply() for _ in range(["before", "in the middle", "after its reply"].index(step))
        ]
        async with mortal(redis.url, "never"):
            again = await gateway.replied(2)
            assert [reply.text for reply in again] == ["so ", "so it goes on"]
        assert [reply.message_id for reply in before] == [reply.message_id for reply in again[: len(before)]]
