"""Strangers on MQTT that do it the plain way, at QoS 0, against a real Mosquitto."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from gateway.broker.network import NetworkBroker
from gateway.broker.opening import open_broker
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.contract import KITCHEN, receive, take
from tests.servers.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

TOPIC = "orchestrator.replies"
PLACE = "earshot/orchestrator/replies/ann/kitchen/s_1"


@pytest_asyncio.fixture
async def broker(mosquitto: Mosquitto) -> AsyncIterator[NetworkBroker]:
    broker = open_broker(mosquitto.url, BrokerSettings(prefetch=4))
    assert isinstance(broker, NetworkBroker)
    yield broker
    await broker.close(0.0)


@pytest_asyncio.fixture
async def stranger(mosquitto: Mosquitto) -> AsyncIterator[MqttConnection]:
    """Publishes at QoS 0, as ``mosquitto_pub`` does unless it is told otherwise."""
    address = BrokerAddress.parse(mosquitto.url)
    client = await MqttConnection.open(address, MqttSession(client_id="stranger"), lambda _: None)
    yield client
    await client.close()


@pytest.mark.parametrize("group", ["", "workers"])
async def test_what_needs_no_acknowledgement_gets_none(
    broker: NetworkBroker, stranger: MqttConnection, group: str
) -> None:
    """A PUBACK that nobody asked for would be a breach of the protocol: the broker hangs up."""
    async with broker.subscribe(TOPIC, group=group) as subscription:
        began = broker.status
        for number in range(3):
            stranger.publish(PLACE, b"%d" % number)
            delivery = await take(subscription)
            assert delivery.message.payload == b"%d" % number
            assert delivery.message.routing_key == KITCHEN
            await delivery.ack()
        await broker.publish(TOPIC, KITCHEN, b"after all that")
        assert await receive(subscription, 1) == [b"after all that"]
        assert broker.status is began, "it was never lost"


async def test_the_same_again_and_again_leaves_room_for_others(
    broker: NetworkBroker, stranger: MqttConnection
) -> None:
    """More repetitions of what is in hand than the window is wide: each of them has to leave it."""
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        for _ in range(20):
            stranger.publish(PLACE, b'{"message_id": "m_1"}')
            stranger.publish(PLACE, b'{"message_id": "m_1"}')
        stranger.publish(PLACE, b'{"message_id": "m_2"}')
        seen = ""
        while seen != "m_2":
            delivery = await take(subscription)
            seen = delivery.message.message_id
            await delivery.ack()


async def test_what_the_broker_kept_is_not_said_again_at_each_connection(
    broker: NetworkBroker, stranger: MqttConnection
) -> None:
    stranger.publish(PLACE, b"of last year", retain=True)
    for group in ("", "", "workers", "workers"):
        async with broker.subscribe(TOPIC, group=group) as subscription:
            stranger.publish(PLACE, b"of today", retain=True)
            assert await receive(subscription, 1) == [b"of today"], "said now, and kept for later"
