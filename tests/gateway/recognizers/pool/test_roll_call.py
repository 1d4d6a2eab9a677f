"""Somebody who only looks hears who is there, and believes no stranger."""

from __future__ import annotations

import asyncio

import pytest

from gateway.broker.base import BrokerUnavailable, MessageBroker, RoutingKey
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.messages import BadMessage
from gateway.contract.recognition import WORKERS_TOPIC, WorkerPresence, encode_recognition
from gateway.recognizers.pool.roll_call import Impostor, presence_in, roll_call
from gateway.recognizers.pool.workers import Need
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.workers import MODEL, StandInWorker
from tests.servers.process import free_port


async def said_to(broker: MessageBroker, payload: bytes, name: str = "w1", user: str = "pool") -> None:
    await broker.publish(WORKERS_TOPIC, RoutingKey(user, name, "presence"), payload)


async def test_all_that_speak_are_there_by_their_names() -> None:
    broker = open_broker(MEMORY, BrokerSettings())
    async with (
        StandInWorker(broker, "w2", capacity=2).at_work(),
        StandInWorker(broker, "w1", model="small").at_work(),
    ):
        called = await roll_call(broker, 0.5)
    assert [(one.worker, one.model) for one in called.present] == [("w1", "small"), ("w2", MODEL)]
    assert called.workers.hands(Need(MODEL), called.at).capacity == 2
    assert 0 <= called.silent("w1") < 1
    assert called.refused == 0
    await broker.close(0.0)


async def test_where_nobody_is_there_nobody_is_shown() -> None:
    broker = open_broker(MEMORY, BrokerSettings())
    called = await roll_call(broker, 0.05)
    assert called.present == []
    with pytest.raises(KeyError):
        called.silent("w1")
    await broker.close(0.0)


async def test_garbage_and_forgeries_are_counted_and_nobody() -> None:
    broker = open_broker(MEMORY, BrokerSettings())
    here = encode_recognition(WorkerPresence(worker="w1", model=MODEL))
    calling = asyncio.create_task(roll_call(broker, 0.5))
    await asyncio.sleep(0.1)
    await said_to(broker, b"\xff not msgpack")
    await said_to(broker, here, name="w2")
    await said_to(broker, here, user="home")
    called = await calling
    assert (called.present, called.refused) == ([], 3)
    await broker.close(0.0)


async def test_who_speaks_for_another_is_an_impostor() -> None:
    broker = open_broker(MEMORY, BrokerSettings())
    async with broker.subscribe(WORKERS_TOPIC) as told:
        await said_to(broker, encode_recognition(WorkerPresence(worker="w1")), name="w2")
        await said_to(broker, b"")
        await said_to(broker, encode_recognition(WorkerPresence(worker="w1", capacity=3)))
        with pytest.raises(Impostor):
            presence_in((await anext(told)).message)
        with pytest.raises(BadMessage) as garbage:
            presence_in((await anext(told)).message)
        assert not isinstance(garbage.value, Impostor)
        assert presence_in((await anext(told)).message).capacity == 3
    await broker.close(0.0)


@pytest.mark.slow
async def test_a_broker_that_is_away_is_an_error_and_not_an_empty_list() -> None:
    broker = open_broker(f"redis://127.0.0.1:{free_port()}", BrokerSettings(connect_seconds=0.5))
    with pytest.raises(BrokerUnavailable):
        await roll_call(broker, 0.5)
    await broker.close(0.0)
