"""A broker whose access list denies something says so, and goes on saying it until it is allowed."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from gateway.broker.base import BrokerRefused, BrokerStatus, BrokerUnavailable, MessageBroker
from gateway.broker.network import NetworkBroker
from gateway.broker.opening import open_broker
from gateway.contract.house import EVENTS_TOPIC
from gateway.contract.messages import REPLIES_TOPIC, RESULTS_TOPIC
from gateway.contract.recognition import WORKERS_TOPIC
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.contract import KITCHEN
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytestmark = pytest.mark.slow


class Told:
    """A broker, and what it says of itself."""

    def __init__(self, url: str) -> None:
        self.statuses: list[BrokerStatus] = []
        settings = BrokerSettings(url=url, keep_for_groups=(), client_id="denied")
        self.broker: MessageBroker = open_broker(url, settings, self.statuses.append)

    @property
    def now(self) -> BrokerStatus:
        return self.statuses[-1]

    async def publish(self, topic: str = RESULTS_TOPIC) -> None:
        await self.broker.publish(topic, KITCHEN, b"{}")

    async def refused(self, topic: str = RESULTS_TOPIC) -> None:
        with pytest.raises(BrokerUnavailable) as caught:
            await self.publish(topic)
        assert isinstance(caught.value, BrokerRefused), caught.value

    async def says(self, *words: str) -> None:
        await passes(lambda: self.statuses and self.now.remedy)
        for word in words:
            assert word in f"{self.now.reason} {self.now.remedy}", self.now


@asynccontextmanager
async def told(url: str) -> AsyncIterator[Told]:
    one = Told(url)
    try:
        yield one
    finally:
        await one.broker.close(0.0)


async def reads(one: Told, topic: str = REPLIES_TOPIC) -> None:
    """Try to read, until this is cancelled."""
    async with one.broker.subscribe(topic, group="gateway-denied") as replies:
        await anext(replies)


@asynccontextmanager
async def reading(one: Told) -> AsyncIterator[None]:
    task = asyncio.create_task(reads(one))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], object]) -> None:
    await passes(what)


# -- Redis


async def allow(server: Redis, *rules: str) -> None:
    client = Client(port=server.port, decode_responses=True)
    await client.execute_command("ACL", "SETUSER", "denied", "reset", "on", ">secret", *rules)
    await client.aclose()


async def test_redis_denies_publishing(redis: Redis) -> None:
    await allow(redis, "~*", "+@all", "-xadd")
    async with told(redis.url.replace("://", "://denied:secret@")) as one:
        await one.refused()
        await one.says("does not allow it", "ACL")
        assert one.now.connected
        await allow(redis, "~*", "+@all")
        await one.publish()
        assert (one.now.connected, one.now.reason) == (True, "")


async def test_redis_denies_reading(redis: Redis) -> None:
    await allow(redis, "~*", "+@all", "-xreadgroup")
    async with told(redis.url.replace("://", "://denied:secret@")) as one, reading(one):
        await one.says("does not allow it", "ACL")
        seen = len(one.statuses)
        await until(lambda: len(one.statuses) > seen + 2)
        assert all(status.remedy for status in one.statuses[seen:]), (
            "it does not say in between that all is well"
        )
        await allow(redis, "~*", "+@all")
        await until(lambda: one.now.connected and not one.now.reason)


async def all_of_it(url: str) -> None:
    """What a gateway of a house asks of a broker."""
    broker = open_broker(url, BrokerSettings())
    assert isinstance(broker, NetworkBroker)
    try:
        for topic in (RESULTS_TOPIC, REPLIES_TOPIC, EVENTS_TOPIC, WORKERS_TOPIC):
            async with broker.subscribe(topic, group="everybody") as subscription:
                await broker.publish(topic, KITCHEN, b"words")
                async with asyncio.timeout(10):
                    delivery = await anext(subscription)
                await delivery.ack()
        assert await broker.lease("kitchen", "hall", 5.0) == "hall"
        await broker.release("kitchen", "hall")
        await broker.deposit("speech", b"s" * 1_000_000, 60.0)
        assert await broker.deposited("speech", 1_000_000) == b"s" * 1_000_000
        await broker.discard("speech")
        assert not broker.status.reason
    finally:
        await broker.close(0.0)


async def test_the_rights_that_redis_is_asked_for_are_enough(redis: Redis) -> None:
    await allow(redis, "+@connection")
    url = redis.url.replace("://", "://denied:secret@")
    async with told(url) as one:
        await one.refused()
        (rights,) = re.findall(r"allow the user (.*) in the server's ACL", one.now.remedy)
    await allow(redis, "+@connection", *rights.split())
    await all_of_it(url)


# -- NATS


def guarded_nats(folder: Path, permissions: str) -> Nats:
    server = Nats(folder)
    config = server._config.read_text()
    server._config.write_text(
        config.replace(
            "users: [", f"users: [{{user: denied, password: secret, permissions: {{{permissions}}}}}, "
        )
    )
    return server.start()


@pytest.fixture
def nats_without(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a NATS server that denies a user something; its address."""
    servers: list[Nats] = []

    def start(permissions: str) -> str:
        servers.append(guarded_nats(tmp_path, permissions))
        return servers[-1].url.replace("://", "://denied:secret@")

    yield start
    for server in servers:
        server.kill()


async def test_nats_denies_publishing(nats_without: Callable[[str], str]) -> None:
    url = nats_without('publish: {deny: "transcription.results.>"}')
    async with told(url) as one:
        await one.publish(REPLIES_TOPIC)
        await one.refused()
        await one.says("permissions violation", "transcription.results")
        assert one.now.connected
        await one.publish(REPLIES_TOPIC)
        assert one.now.remedy, "that something else is allowed changes nothing"


@pytest.mark.parametrize(
    "permissions",
    [
        'publish: {deny: "$JS.API.CONSUMER.MSG.NEXT.>"}',
        'publish: {deny: "$JS.API.CONSUMER.>"}',
        'subscribe: {deny: "_INBOX.>"}',
    ],
)
async def test_nats_denies_reading(nats_without: Callable[[str], str], permissions: str) -> None:
    async with told(nats_without(permissions)) as one, reading(one):
        await one.says("allow")
        seen = len(one.statuses)
        await asyncio.wait_for(_some_time(one, seen), 10)
        assert all(status.remedy for status in one.statuses[seen:])


async def test_the_rights_that_nats_is_asked_for_are_enough(nats_without: Callable[[str], str]) -> None:
    async with told(nats_without('publish: {deny: "transcription.>"}')) as one:
        await one.refused()
        ((publish, subscribe),) = re.findall(
            r"allow the user to publish (.*), and to subscribe to (.*)", one.now.remedy
        )
    names = ", ".join(f'"{subject}"' for subject in publish.split(", "))
    await all_of_it(nats_without(f'publish: [{names}], subscribe: ["{subscribe}"]'))


async def _some_time(one: Told, seen: int) -> None:
    """A few attempts more, where they can be told from another."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.0
    await passes(lambda: len(one.statuses) > seen + 2 or loop.time() > end)


# -- MQTT


@pytest.fixture
def guarded_mqtt(tmp_path: Path) -> Iterator[Mosquitto]:
    """Nobody may publish transcripts there."""
    (tmp_path / "acl").write_text(
        "topic readwrite earshot/orchestrator/#\ntopic read earshot/transcription/#\n"
    )
    server = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {tmp_path}/acl").start()
    yield server
    server.kill()


async def test_mqtt_denies_publishing(guarded_mqtt: Mosquitto) -> None:
    async with told(guarded_mqtt.url) as one:
        await one.publish(REPLIES_TOPIC)
        await one.refused()
        await one.says("does not allow publishing", "access list")
        assert one.now.connected


# -- RabbitMQ


@pytest.mark.xdist_group("rabbitmq")
@pytest.mark.parametrize(
    ("rights", "reads"),
    [((".*", "^earshot.orchestrator.*", ".*"), False), ((".*", ".*", "^nothing$"), True)],
)
async def test_rabbitmq_denies(rabbitmq: RabbitMQ, rights: tuple[str, str, str], *, reads: bool) -> None:
    async with told(rabbitmq.url) as everybody:
        await everybody.publish()
    user = f"denied-{secrets.token_hex(4)}"
    rabbitmq.control("add_user", user, "secret")
    rabbitmq.control("set_permissions", user, *rights)
    async with told(f"amqp://{user}:secret@127.0.0.1:{rabbitmq.port}") as one:
        if reads:
            async with reading(one):
                await one.says("ACCESS_REFUSED", "rights")
        else:
            await one.refused()
            await one.says("ACCESS_REFUSED", "rights")
            await until(lambda: one.now.connected)
            assert one.now.remedy, "a new connection does not change what is allowed"
            rabbitmq.control("set_permissions", user, ".*", ".*", ".*")
            await _published(one)
            assert (one.now.connected, one.now.reason) == (True, "")


async def _published(one: Told) -> None:
    """Try until it is taken."""
    while True:
        try:
            return await one.publish()
        except BrokerUnavailable:
            await asyncio.sleep(0.05)
