"""That an agent is there: told while it is, whoever listens, and never in the way of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerError, BrokerRefused, BrokerUnavailable, Receipt, Subscription
from gateway.contract.agents import PRESENCE_TOPIC, AgentPresence, decode_presence
from gateway.orchestrators.sdk import Heard, Orchestrator
from tests.gateway.orchestrators.played import running, soon
from tests.record import PATIENCE


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.orchestrators.presence.PRESENCE_SECONDS", 0.01)


async def presence(told: Subscription) -> AgentPresence:
    delivery = await soon(anext(told))
    await delivery.ack()
    said = decode_presence(delivery.message.payload)
    key = delivery.message.routing_key
    assert (key.user, key.device, key.session) == (said.agent, said.instance, "presence")
    assert said.timestamp > 1.7e9
    return said


async def until_told(told: Subscription, **wanted: Any) -> AgentPresence:
    async with asyncio.timeout(PATIENCE):
        while True:
            said = await presence(told)
            if all(getattr(said, name) == value for name, value in wanted.items()):
                return said


class OddBroker(MemoryBroker):
    """Does not take what is told of presence."""

    error: BrokerError | None = None
    tried = 0

    async def publish(self, topic: str, *args: Any, **kwargs: Any) -> Receipt:
        if topic == PRESENCE_TOPIC:
            self.tried += 1
            if self.error is not None:
                raise self.error
        return await super().publish(topic, *args, **kwargs)


def worker(going: asyncio.Event) -> Orchestrator:
    house = Orchestrator("house", concurrency=3, version="1.4", description="Switches the lights.")

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        await going.wait()
        if heard.text == "fail":
            raise ValueError
        return heard.text

    return house


@asynccontextmanager
async def listening(broker: MemoryBroker) -> AsyncIterator[Subscription]:
    async with broker.subscribe(PRESENCE_TOPIC) as told:
        yield told


async def test_it_is_told_what_it_is_and_does_while_it_is_there() -> None:
    broker, going = MemoryBroker(), asyncio.Event()
    async with listening(broker) as told:
        async with running(worker(going), broker=broker) as gateway:
            first = await presence(told)
            assert (first.agent, first.state, first.version) == ("house", "here", "1.4")
            assert (first.description, first.concurrency) == ("Switches the lights.", 3)
            assert (first.answering, first.answered, first.failed) == (0, 0, 0)
            await gateway.ask("house", "one", session_id="s_1")
            await gateway.ask("house", "fail", session_id="s_2")
            await until_told(told, answering=2, instance=first.instance)
            going.set()
            await gateway.replied(2)
            await until_told(told, answering=0, answered=1, failed=1)
        await until_told(told, state="leaving")
        assert told.pending == 0


async def test_each_copy_is_another() -> None:
    broker, going = MemoryBroker(), asyncio.Event()
    async with listening(broker) as told, running(worker(going), worker(going), broker=broker):
        first = await presence(told)
        async with asyncio.timeout(PATIENCE):
            while (await presence(told)).instance == first.instance:
                pass


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), BrokerRefused("not yours")])
async def test_a_broker_that_does_not_take_it_is_no_trouble(error: BrokerError) -> None:
    broker, going = OddBroker(), asyncio.Event()
    broker.error = error
    going.set()
    with structlog.testing.capture_logs() as logs:
        async with running(worker(going), broker=broker) as gateway:
            for _ in range(3):
                await gateway.ask("house", "hello")
                await asyncio.sleep(0.02)
            await gateway.replied(3)
    refused = isinstance(error, BrokerRefused)
    warnings = [entry["event"] for entry in logs if entry["log_level"] != "info"]
    assert warnings == (["nobody is told that this agent is here"] if refused else [])
    assert broker.tried == 2 if refused else broker.tried >= 3


async def test_it_is_told_again_when_the_broker_is_there_again() -> None:
    broker, going = OddBroker(), asyncio.Event()
    broker.error = BrokerUnavailable("away")
    async with listening(broker) as told, running(worker(going), broker=broker):
        async with asyncio.timeout(PATIENCE):
            while broker.tried < 3:  # noqa: ASYNC110 - nothing is told, so nothing tells
                await asyncio.sleep(0.005)
        assert told.pending == 0
        broker.error = None
        assert (await presence(told)).state == "here"
