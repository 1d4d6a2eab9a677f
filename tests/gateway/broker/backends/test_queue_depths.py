"""How much waits at the server: what each of the brokers that tell says of a group that is behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from gateway.app import Gateway
from gateway.broker.base import CANNOT_TELL, BrokerUnavailable, Depths, MessageBroker, RoutingKey
from gateway.broker.opening import open_broker
from gateway.contract.messages import RESULTS_TOPIC, new_id
from gateway.settings.broker import BrokerSettings
from gateway.web.metrics.queue_depths import QueueDepths
from tests.gateway.observing.test_orchestrator_health import configured
from tests.record import passes
from tests.servers.kafka import Kafka
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytestmark = pytest.mark.slow

TELL = [
    "redis",
    "nats",
    pytest.param("rabbitmq", marks=pytest.mark.xdist_group("rabbitmq")),
    pytest.param("kafka", marks=pytest.mark.xdist_group("kafka")),
]
KEY = RoutingKey("ann", "kitchen", "s_1")
GROUP = "orchestrators"


@pytest.mark.parametrize("server", TELL)
async def test_what_nobody_has_read_waits(
    tmp_path: Path, request: pytest.FixtureRequest, server: str
) -> None:
    running: Redis | Nats | RabbitMQ | Kafka = request.getfixturevalue(server)
    config = configured(tmp_path, running.url)
    kept = structs.replace(config.broker, keep_for_groups=(GROUP,))
    async with Gateway(structs.replace(config, broker=kept)) as gateway:
        broker = gateway.broker
        assert isinstance(broker, Depths)
        before = await broker.waiting(RESULTS_TOPIC, GROUP)
        assert before >= 0
        for number in range(3):
            await broker.publish(RESULTS_TOPIC, KEY, b"{}", message_id=f"m_{tmp_path.name}_{number}"[-60:])
        async with asyncio.timeout(20):
            while await broker.waiting(RESULTS_TOPIC, GROUP) != before + 3:  # noqa: ASYNC110 - a server counts at leisure
                await asyncio.sleep(0.05)
        assert await broker.waiting(RESULTS_TOPIC, "nobody-of-that-name") == CANNOT_TELL
        await scraped(gateway, before + 3)


async def scraped(gateway: Gateway, expected: int) -> None:
    """The first scrape shows nothing yet, and waits for nothing; the next one has what the server has told."""
    running = gateway._running()
    assert running is not None
    depths = QueueDepths()
    assert depths.family(running).samples == []
    assert depths._asking is not None
    await depths._asking
    told = {sample.labels: sample.value for sample in depths.family(running).samples}
    assert told[("topic", RESULTS_TOPIC), ("group", GROUP)] == expected
    first = depths._asking
    depths.family(running)
    assert depths._asking is first, "asked again at once"


async def test_a_server_that_is_away_is_not_waited_for(tmp_path: Path) -> None:
    async with Gateway(configured(tmp_path, "redis://127.0.0.1:9/")) as gateway:
        assert isinstance(gateway.broker, Depths)
        with pytest.raises(BrokerUnavailable):
            await gateway.broker.waiting(RESULTS_TOPIC, GROUP)
        running = gateway._running()
        assert running is not None
        depths = QueueDepths()
        depths.family(running)
        assert depths._asking is not None
        await passes(depths._asking.done)
        assert depths.family(running).samples == []


def test_a_broker_in_this_process_has_no_server() -> None:
    assert not isinstance(open_broker("memory://", BrokerSettings()), Depths)


@pytest.mark.xdist_group("kafka")
async def test_of_kafka_what_is_read_waits_no_more_and_asking_makes_no_topic(kafka: Kafka) -> None:
    topic, group = new_id("t"), "readers"
    async with broker_at(kafka.url) as broker:
        assert isinstance(broker, Depths)
        assert await broker.waiting(topic, group) == CANNOT_TELL
        assert await broker.waiting(topic, group) == CANNOT_TELL, "asking has made it"
        async with broker.subscribe(topic, group=group) as deliveries:
            for number in range(5):
                await broker.publish(topic, RoutingKey("ann", "kitchen", f"s_{number}"), b"{}")
            for _ in range(5):
                await (await anext(deliveries)).ack()
            async with asyncio.timeout(20):
                while await broker.waiting(topic, group) != 0:  # noqa: ASYNC110 - it is committed at leisure
                    await asyncio.sleep(0.05)
        await broker.publish(topic, KEY, b"{}")
        assert await broker.waiting(topic, group) == 1
        kafka.kill()
        with pytest.raises(BrokerUnavailable):
            await broker.waiting(topic, group)


@asynccontextmanager
async def broker_at(url: str) -> AsyncIterator[MessageBroker]:
    broker = open_broker(url, BrokerSettings(url=url))
    try:
        await broker.readers(RESULTS_TOPIC)  # which waits until it is connected
        yield broker
    finally:
        await broker.close(0.1)


async def test_mqtt_cannot_tell(mosquitto: Mosquitto) -> None:
    """Its servers tell nobody how much waits for another's session."""
    async with broker_at(mosquitto.url) as broker:
        await broker.publish(RESULTS_TOPIC, KEY, b"{}")
        assert isinstance(broker, Depths)
        assert await broker.waiting(RESULTS_TOPIC, GROUP) == CANNOT_TELL
