"""MQTT keeps the contract, against a real Mosquitto; and what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from msgspec import structs
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker.backends import mqtt
from gateway.broker.base import BrokerStatus, BrokerUnavailable, BufferFull, Durability, MessageBroker
from gateway.broker.opening import open_broker
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from tests.gateway.broker import contract
from tests.gateway.broker.contract import (
    KITCHEN,
    SETTINGS,
    fill,
    receive,
    soon,
    take,
    until,
)
from tests.gateway.broker.network_contract import NetworkContract, Open, published
from tests.servers.certificates import Certificates
from tests.servers.mosquitto import Mosquitto, password_options, tls_options
from tests.servers.process import free_port

pytestmark = pytest.mark.slow  # `make quick` holds the contract against the memory broker and a hostile wire


@pytest.fixture
def server(keeping_mosquitto: Mosquitto) -> Mosquitto:
    return keeping_mosquitto


class Stranger:
    """An MQTT client that knows nothing of Earshot."""

    def __init__(self, port: int, protocol: int) -> None:
        self.heard: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._subscribed = asyncio.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)  # type: ignore[arg-type]
        self._client.on_message = lambda _c, _u, message: self._tell(self.heard.put_nowait, message)
        self._client.on_subscribe = lambda *_: self._tell(self._subscribed.set)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _tell(self, what: Callable[..., None], *facts: Any) -> None:
        self._loop.call_soon_threadsafe(what, *facts)

    async def subscribe(self, topic_filter: str) -> None:
        self._client.subscribe(topic_filter, 1)
        await soon(self._subscribed.wait())

    async def publish(self, topic: str, body: bytes) -> None:
        await asyncio.to_thread(self._client.publish(topic, body, 1).wait_for_publish, 10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest_asyncio.fixture(params=[paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])
async def stranger(request: pytest.FixtureRequest, server: Mosquitto) -> AsyncIterator[Stranger]:
    client = Stranger(server.port, request.param)
    yield client
    client.close()


def place(key: str = "ann/kitchen/s_1") -> str:
    return f"earshot/{contract.TOPIC.replace('.', '/')}/{key}"


class TestMqtt(NetworkContract):
    """The contract, and beyond."""

    DURABILITY = Durability.MEMORY  # whatever the server does: it has no way to tell

    async def test_it_goes_on_when_the_server_was_killed(  # type: ignore[override]
        self, opened: Open, server: Mosquitto
    ) -> None:
        """The subscriber is back first, and may see a message twice: Mosquitto forgets its last changes."""
        broker, publisher = opened(), opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await publisher.publish(contract.TOPIC, KITCHEN, b"before")
            assert await receive(subscription, 1) == [b"before"]
            server.kill()
            with pytest.raises(BrokerUnavailable):
                await soon(publisher.publish(contract.TOPIC, KITCHEN, b"lost"))
            await until(lambda: not broker.status.connected)  # type: ignore[attr-defined]
            server.start()
            await until(lambda: broker.status.connected)  # type: ignore[attr-defined]
            await published(publisher, b"after")
            payloads = await receive(subscription, 1)
            while payloads[-1] != b"after":
                payloads += await receive(subscription, 1)
            assert set(payloads) <= {b"before", b"lost", b"after"}

    async def test_what_is_in_hand_when_the_server_dies_can_be_settled(  # type: ignore[override]
        self, opened: Open, server: Mosquitto
    ) -> None:
        """It ends in peace here: killed at once, Mosquitto forgets the last messages it acknowledged."""
        broker = opened()
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await fill(broker, 3)
            await until(lambda: subscription.pending == 3)
            first, second = await take(subscription), await take(subscription)
            server.stop()
            await until(lambda: not broker.status.connected)  # type: ignore[attr-defined]
            await first.ack()
            server.start()
            await published(broker, b"after")
            await second.ack()
            assert await receive(subscription, 2) == [b"2", b"after"]
            assert subscription.pending == 0

    async def test_a_receipt_says_what_the_owner_says_of_the_server(self, opened: Open) -> None:
        broker = opened(mqtt_durability="os")
        assert (await broker.publish(contract.TOPIC, KITCHEN, b"nobody")).durability is Durability.MEMORY
        async with broker.subscribe(contract.TOPIC):
            assert (await broker.publish(contract.TOPIC, KITCHEN, b"")).durability is Durability.OS
        assert broker.status.weaknesses == ()  # type: ignore[attr-defined]

    async def test_the_end_of_a_subscription_is_not_the_connections(self, server: Mosquitto) -> None:
        statuses: list[BrokerStatus] = []
        broker = open_broker(server.url, SETTINGS, statuses.append)
        for _ in range(3):
            async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
                await broker.publish(contract.TOPIC, KITCHEN, b"")
                assert await receive(subscription, 1) == [b""]
        await broker.publish(contract.TOPIC, KITCHEN, b"")
        assert [status.connected for status in statuses] == [True]
        await broker.close()

    async def test_the_longest_names_are_no_hindrance(self, server: Mosquitto) -> None:
        settings = structs.replace(SETTINGS, client_id="c" * 48)
        broker = open_broker(server.url, settings)
        try:
            async with broker.subscribe(contract.TOPIC, group="g" * 64) as subscription:
                await published(broker, b"heard")
                assert await receive(subscription, 1) == [b"heard"]
        finally:
            await broker.close(0)

    async def test_what_the_server_is(self, broker: MessageBroker) -> None:
        await broker.publish(contract.TOPIC, KITCHEN, b"")
        status: BrokerStatus = broker.status  # type: ignore[attr-defined]
        assert status.server.startswith("mosquitto 2.")
        assert status.weaknesses == (mqtt.UNTOLD,)

    async def test_a_member_that_died_finds_its_messages_again(self, opened: Open) -> None:
        publisher = opened()
        async with opened().subscribe(contract.TOPIC, group="workers") as subscription:
            await fill(publisher, 3)
            await until(lambda: subscription.pending == 3)
            await take(subscription)
        async with opened().subscribe(contract.TOPIC, group="workers") as subscription:
            deliveries = [await take(subscription) for _ in range(3)]
            assert [delivery.message.payload for delivery in deliveries] == [b"0", b"1", b"2"]
            assert [delivery.attempt for delivery in deliveries] == [2, 2, 2]
            for delivery in deliveries:
                await delivery.ack()

    async def test_another_programs_message_needs_only_topic_and_body(
        self, broker: MessageBroker, stranger: Stranger
    ) -> None:
        async with broker.subscribe(contract.TOPIC) as subscription:
            await stranger.publish(place(), b'{"message_id": "m_7", "correlation_id": "c_7"}')
            message = (await take(subscription)).message
            assert (message.routing_key, message.message_id, message.correlation_id) == (
                KITCHEN,
                "m_7",
                "c_7",
            )
            assert (message.content_type, dict(message.headers)) == ("application/json", {})

    async def test_what_other_programs_see(self, broker: MessageBroker, stranger: Stranger) -> None:
        await stranger.subscribe("earshot/#")
        await broker.publish(
            contract.TOPIC, KITCHEN, b"{}", message_id="m_1", correlation_id="c_1",
            reply_to="orchestrator.replies", headers={"a": "b"},
        )  # fmt: skip
        message = await soon(stranger.heard.get())
        assert (message.topic, message.payload, message.qos) == (place(), b"{}", 1)
        properties: Any = message.properties
        if properties is not None:  # MQTT 5
            assert properties.ResponseTopic == "earshot/orchestrator/replies/ann/kitchen/s_1"
            assert (properties.CorrelationData, properties.ContentType) == (b"c_1", "application/json")
            assert ("message_id", "m_1") in properties.UserProperty
            assert ("a", "b") in properties.UserProperty

    @pytest.mark.parametrize("key", ["a b/kitchen/s_1", "ann/kitchen/s.1", "//", "\u00f6/b/c"])
    async def test_an_unreadable_key_is_a_dead_letter(
        self, broker: MessageBroker, stranger: Stranger, key: str
    ) -> None:
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await stranger.publish(place(key), b"?")
            await stranger.publish(place(), b"!")
            assert await receive(subscription, 1) == [b"!"]
        assert [letter.message.payload for letter in broker.dead_letters()] == [b"?"]

    @pytest.mark.parametrize("reply_to", ["house/replies", "orchestrator.replies", "", "one"])
    async def test_where_to_reply_comes_as_it_was_given(self, broker: MessageBroker, reply_to: str) -> None:
        async with broker.subscribe(contract.TOPIC) as subscription:
            await broker.publish(contract.TOPIC, KITCHEN, b"", reply_to=reply_to)
            assert (await take(subscription)).message.reply_to == reply_to


# -- who may come in


async def test_a_password(tmp_path: Path) -> None:
    server = Mosquitto(tmp_path, password_options(tmp_path, "gateway", "s3cret")).start()
    try:
        url = f"mqtt://gateway:s3cret@127.0.0.1:{server.port}"
        assert (await first_status(url)).connected
        for wrong in (server.url, url.replace("s3cret", "wr0ng"), url.replace("gateway", "nobody")):
            status = await first_status(wrong)
            assert not status.connected
            assert "Not authorized" in status.reason
            assert "password" in status.remedy
            assert "wr0ng" not in status.reason
            assert "s3cret" not in status.reason
    finally:
        server.kill()


@pytest.mark.filterwarnings(
    "ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning"
)  # paho's, of a bad handshake
async def test_tls_and_a_certificate_of_ours(tmp_path: Path, certificates: Certificates) -> None:
    server = Mosquitto(tmp_path, tls_options(certificates, client_certificate=True)).start()
    try:
        ca = str(certificates.ca)
        ours = BrokerTlsSettings(
            ca_file=ca, cert_file=str(certificates.client_cert), key_file=str(certificates.client_key)
        )
        assert (await first_status(server.tls_url, tls=ours)).connected
        without = await first_status(server.tls_url, tls=BrokerTlsSettings(ca_file=ca))
        assert not without.connected
        assert "cert_file" in without.remedy
        unknown = await first_status(server.tls_url)
        assert "CERTIFICATE_VERIFY_FAILED" in unknown.reason
        assert "ca_file" in unknown.remedy
        plain = await first_status(server.url)
        assert not plain.connected
    finally:
        server.kill()


async def test_much_arrives_over_tls(tmp_path: Path, certificates: Certificates) -> None:
    """What is decrypted already wakes nobody: nothing may be left lying there."""
    server = Mosquitto(tmp_path, tls_options(certificates)).start()
    settings = BrokerSettings(tls=BrokerTlsSettings(ca_file=str(certificates.ca)))
    broker = open_broker(server.tls_url, settings)
    try:
        async with broker.subscribe(contract.TOPIC) as subscription:
            publishes = [broker.publish(contract.TOPIC, KITCHEN, b"%d" % n * 100) for n in range(300)]
            await soon(asyncio.gather(*publishes))
            assert await receive(subscription, 300) == [b"%d" % n * 100 for n in range(300)]
    finally:
        await broker.close()
        server.kill()


async def test_what_may_not_be_published_is_refused(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read earshot/#\n")
    server = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {acl}").start()
    broker = open_broker(server.url, SETTINGS)
    try:
        with pytest.raises(BrokerUnavailable, match="does not allow publishing") as caught:
            await broker.publish(contract.TOPIC, KITCHEN, b"")
        assert "access list" in caught.value.remedy
    finally:
        await broker.close(0.0)
        server.kill()


async def test_a_message_larger_than_the_server_takes_is_refused(tmp_path: Path) -> None:
    server = Mosquitto(tmp_path, "allow_anonymous true\nmax_packet_size 20000").start()
    broker = open_broker(server.url, BrokerSettings())
    try:
        with pytest.raises(BufferFull, match="more than the broker takes"):
            await broker.publish(contract.TOPIC, KITCHEN, bytes(19_000))
        await broker.publish(contract.TOPIC, KITCHEN, bytes(10_000))
    finally:
        await broker.close()
        server.kill()


# -- MQTT 3.1.1


@asynccontextmanager
async def old_server() -> AsyncIterator[int]:
    """Amqtt as it is, which lets everybody in; its port."""
    port = free_port()
    server = Broker(
        BrokerConfig(
            listeners={"default": ListenerConfig(bind=f"127.0.0.1:{port}")},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await server.start()
    yield port
    await server.shutdown()


async def test_a_server_that_speaks_only_3_1_1() -> None:
    async with old_server() as port:
        broker = open_broker(f"mqtt://127.0.0.1:{port}", SETTINGS)
        async with broker.subscribe(contract.TOPIC) as subscription:
            body = b'{"message_id": "m_7", "correlation_id": "c_7"}'
            await soon(broker.publish(contract.TOPIC, KITCHEN, body, headers={"a": "lost"}))
            message = (await take(subscription)).message
            assert (message.payload, message.message_id, message.correlation_id) == (body, "m_7", "c_7")
            assert not message.headers
        status: BrokerStatus = broker.status  # type: ignore[attr-defined]
        assert mqtt.OLD in status.weaknesses
        assert status.server == "MQTT 3.1.1 broker"
        await broker.close()


async def first_status(url: str, **changes: Any) -> BrokerStatus:
    statuses: list[BrokerStatus] = []
    broker = open_broker(url, BrokerSettings(url=url, **changes), statuses.append)
    try:
        await soon(broker.publish(contract.TOPIC, KITCHEN, b""))
    except BrokerUnavailable:
        pass
    finally:
        await broker.close()
    return statuses[0]
