"""What is asked of a Kafka cluster beside messages, and who lets whom in: TLS, logins, the admin's requests.

librdkafka's mock has none of these; ``tests/servers/kafka_gate.py`` puts them before it, after the protocol.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiokafka import errors

from gateway.broker.address import Scheme, resolve
from gateway.broker.backends import kafka, kafka_client
from gateway.broker.backends.kafka_client import KafkaClient
from gateway.broker.base import (
    CANNOT_TELL,
    BrokerRefused,
    BrokerUnavailable,
    BufferFull,
    Durability,
    Message,
    MessageBroker,
    NoDeposits,
    NoLeases,
)
from gateway.broker.buffer import Readership
from gateway.broker.opening import open_broker
from gateway.broker.patterns import EVERYTHING
from gateway.contract.messages import RESULTS_TOPIC
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from tests.gateway.broker.contract import KITCHEN, TOPIC, receive, soon
from tests.gateway.broker.network_contract import published
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.kafka import Kafka
from tests.servers.kafka_gate import (
    CREATE_TOPICS,
    DELETE_GROUPS,
    DESCRIBE_CONFIGS,
    DESCRIBE_GROUPS,
    LIST_GROUPS,
    NEWEST,
    KafkaGate,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kafka")]

DENIED, NOT_CONTROLLER = 29, 41
SETTINGS = BrokerSettings(connect_seconds=5.0, confirm_seconds=5.0)
RESULTS = f"earshot.{RESULTS_TOPIC}"


@pytest.fixture(autouse=True)
def answers_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock answers a request for messages when its time is over, where Kafka does so as soon as there is one."""
    monkeypatch.setattr(kafka_client, "FETCH_SECONDS", 0.02)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kafka]:
    """Of one broker, so that there is one way to it."""
    server = Kafka(tmp_path, brokers=1).start()
    yield server
    server.end()


Opened = Callable[..., MessageBroker]


@pytest_asyncio.fixture
async def opened() -> AsyncIterator[Opened]:
    brokers: list[MessageBroker] = []

    def open_one(url: str, **changes: Any) -> MessageBroker:
        brokers.append(open_broker(url, msgspec.structs.replace(SETTINGS, **changes)))
        return brokers[-1]

    yield open_one
    await asyncio.gather(*(broker.close(0.0) for broker in brokers))


Connected = Callable[..., Awaitable[kafka.KafkaWire]]


@pytest_asyncio.fixture
async def connected() -> AsyncIterator[Connected]:
    """A wire, to whoever it is."""
    wires: list[kafka.KafkaWire] = []

    async def connect(url: str, **changes: Any) -> kafka.KafkaWire:
        settings = msgspec.structs.replace(SETTINGS, **changes)
        scheme = Scheme(9092, tls=url.startswith("kafkas"))
        wires.append(await soon(kafka.connect(resolve(url, scheme, settings), lambda *_: None)))
        return wires[-1]

    yield connect
    await asyncio.gather(*(wire.close() for wire in wires))


def with_login(url: str, login: str) -> str:
    return url.replace("://", f"://{login}@")


def ours(certificates: Certificates) -> BrokerTlsSettings:
    return BrokerTlsSettings(
        ca_file=str(certificates.ca),
        cert_file=str(certificates.client_cert),
        key_file=str(certificates.client_key),
    )


# -- TLS


async def test_messages_go_through_tls(cluster: Kafka, certificates: Certificates, opened: Opened) -> None:
    async with KafkaGate(cluster, certificates) as gate:
        broker = opened(gate.url, tls=ours(certificates))
        async with broker.subscribe(TOPIC, group="workers") as subscription:
            await broker.publish(TOPIC, KITCHEN, b"guarded")
            assert await receive(subscription, 1) == [b"guarded"]
        assert gate.url.startswith("kafkas://")


async def test_a_server_of_an_unknown_authority_is_not_trusted(
    cluster: Kafka, certificates: Certificates, connected: Connected, tmp_path: Path
) -> None:
    others = make_certificates(tmp_path)
    async with KafkaGate(cluster, certificates) as gate:
        with pytest.raises(BrokerRefused, match="kafkas://127") as caught:
            await connected(gate.url, tls=BrokerTlsSettings(ca_file=str(others.ca)))
    assert "ca_file" in caught.value.remedy


async def test_a_certificate_that_has_ended_is_said(
    cluster: Kafka, connected: Connected, tmp_path: Path
) -> None:
    ended = make_certificates(tmp_path, ended=True)
    async with KafkaGate(cluster, ended) as gate:
        with pytest.raises(BrokerRefused, match="expired"):
            await connected(gate.url, tls=ours(ended))


async def test_tls_where_there_is_none_and_none_where_there_is(
    cluster: Kafka, certificates: Certificates, connected: Connected
) -> None:
    async with KafkaGate(cluster) as gate:
        with pytest.raises(BrokerUnavailable):
            await connected(gate.url.replace("kafka", "kafkas"), tls=ours(certificates), connect_seconds=1.0)
    async with KafkaGate(cluster, certificates) as gate:
        with pytest.raises(BrokerUnavailable):
            await connected(gate.url.replace("kafkas", "kafka"), connect_seconds=1.0)


# -- logins

PASSWORD = "s3cret:with/all@of%it"
QUOTED = "s3cret%3Awith%2Fall%40of%25it"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_login_lets_us_in(cluster: Kafka, opened: Opened, mechanism: str) -> None:
    async with KafkaGate(cluster, logins={"gateway": PASSWORD}, mechanisms=(mechanism,)) as gate:
        broker = opened(with_login(gate.url, f"gateway:{QUOTED}"), kafka_sasl=mechanism)
        async with broker.subscribe(TOPIC) as subscription:
            await soon(broker.publish(TOPIC, KITCHEN, b"let in"))
            assert await receive(subscription, 1) == [b"let in"]


async def test_a_login_inside_tls(
    cluster: Kafka, certificates: Certificates, opened: Opened, tmp_path: Path
) -> None:
    """And the password in a file."""
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    async with KafkaGate(cluster, certificates, logins={"gateway": PASSWORD}) as gate:
        broker = opened(
            with_login(gate.url, "gateway"),
            password_file=str(password),
            kafka_sasl="SCRAM-SHA-512",
            tls=ours(certificates),
        )
        async with broker.subscribe(TOPIC) as subscription:
            await soon(broker.publish(TOPIC, KITCHEN, b"let in"))
            assert await receive(subscription, 1) == [b"let in"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("login", ["gateway:wr0ng", "somebody:wr0ng"])
async def test_a_wrong_login_is_told_with_its_remedy_and_without_its_password(
    cluster: Kafka, connected: Connected, mechanism: str, login: str
) -> None:
    async with KafkaGate(cluster, logins={"gateway": PASSWORD}) as gate:
        with pytest.raises(BrokerRefused) as caught:
            await connected(with_login(gate.url, login), kafka_sasl=mechanism)
    assert "broker.password_file" in caught.value.remedy
    assert "wr0ng" not in str(caught.value)


async def test_a_login_that_the_server_does_not_know_is_told(cluster: Kafka, connected: Connected) -> None:
    async with KafkaGate(cluster, logins={"gateway": PASSWORD}, mechanisms=("SCRAM-SHA-256",)) as gate:
        with pytest.raises(BrokerRefused) as caught:
            await connected(with_login(gate.url, f"gateway:{QUOTED}"))
    assert "broker.kafka_sasl" in caught.value.remedy


async def test_who_says_nobody_where_somebody_must_be_told_is_let_in_nowhere(
    cluster: Kafka, connected: Connected
) -> None:
    async with KafkaGate(cluster, logins={"gateway": PASSWORD}) as gate:
        with pytest.raises(BrokerUnavailable):
            await connected(gate.url, connect_seconds=1.0, confirm_seconds=1.0)


# -- topics, as the admin's requests have them


@pytest.mark.parametrize("version", range(4))
async def test_a_topic_is_made_as_it_is_set(cluster: Kafka, connected: Connected, version: int) -> None:
    async with KafkaGate(cluster, newest={**NEWEST, CREATE_TOPICS: version}) as gate:
        wire = await connected(gate.url, kafka_partitions=7, stream_replicas=3)
        assert gate.made == {RESULTS: (7, 3)}
        assert (await wire._topic(RESULTS_TOPIC)).partitions == 7
        assert int(gate.settings[RESULTS]["max.message.bytes"] or 0) > 1_000_000


async def test_one_copy_is_the_servers_own_choice(cluster: Kafka, connected: Connected) -> None:
    async with KafkaGate(cluster) as gate:
        await connected(gate.url)
        assert gate.made == {RESULTS: (12, -1)}


async def test_a_topic_that_is_there_is_taken_as_it_is(cluster: Kafka, connected: Connected) -> None:
    cluster.order(f"topic {RESULTS} 3 1")
    async with KafkaGate(cluster) as gate:
        wire = await connected(gate.url)
        assert not gate.made
        assert (await wire._topic(RESULTS_TOPIC)).partitions == 3


async def test_who_keeps_nothing_for_anybody_only_looks(cluster: Kafka, connected: Connected) -> None:
    async with KafkaGate(cluster, settings={RESULTS: {"flush.messages": "1"}}) as gate:
        looking = await connected(gate.url, keep_for_groups=())
        assert (gate.made, looking.facts.durability) == ({}, Durability.MEMORY)
        await connected(gate.url)
        looking = await connected(gate.url, keep_for_groups=())
        assert (list(gate.made), looking.facts.durability) == ([RESULTS], Durability.FSYNC)


async def test_there_are_no_leases_and_no_deposits_and_it_is_said(cluster: Kafka, opened: Opened) -> None:
    broker: Any = opened(cluster.url)
    with pytest.raises(NoLeases, match="Kafka knows of no leases"):
        await soon(broker.lease("door", "one", 1.0))
    with pytest.raises(NoDeposits, match="Kafka keeps messages only"):
        await soon(broker.deposit("key", b"", 1.0))


async def test_two_that_make_a_topic_at_once_both_have_it(cluster: Kafka, connected: Connected) -> None:
    async with KafkaGate(cluster) as gate:
        wires = await asyncio.gather(connected(gate.url), connected(gate.url))
        topics = [await wire._topic(RESULTS_TOPIC) for wire in wires]
        assert [topic.partitions for topic in topics] == [12, 12]


@pytest.mark.parametrize("version", range(3))
@pytest.mark.parametrize(
    ("told", "durability"),
    [
        ({"flush.messages": "1"}, Durability.FSYNC),
        ({"min.insync.replicas": "1", "flush.messages": "9223372036854775807"}, Durability.OS),
        ({"min.insync.replicas": "2"}, Durability.OS),  # of one copy there is
        ({"min.insync.replicas": None}, Durability.OS),
    ],
)
async def test_a_receipt_is_what_the_topic_is_set_to(
    cluster: Kafka, opened: Opened, version: int, told: dict[str, str | None], durability: Durability
) -> None:
    newest = {**NEWEST, DESCRIBE_CONFIGS: version}
    async with KafkaGate(cluster, newest=newest, settings={RESULTS: told}) as gate:
        broker = opened(gate.url)
        receipt = await soon(broker.publish(RESULTS_TOPIC, KITCHEN, b""))
        assert receipt.durability is durability


async def test_who_may_not_see_how_a_topic_is_kept_promises_the_least(
    cluster: Kafka, connected: Connected
) -> None:
    async with KafkaGate(cluster, denied={DESCRIBE_CONFIGS: DENIED}) as gate:
        wire = await connected(gate.url)
        assert wire.facts.durability is Durability.MEMORY
        assert any("DescribeConfigs" in weakness for weakness in wire.facts.weaknesses)


async def test_what_is_larger_than_the_topic_takes_is_not_sent(cluster: Kafka, connected: Connected) -> None:
    async with KafkaGate(cluster, settings={RESULTS: {"max.message.bytes": "2000"}}) as gate:
        wire = await connected(gate.url)
        with pytest.raises(BufferFull, match=r"2000 bytes \(max\.message\.bytes"):
            await wire.publish(Message(topic=RESULTS_TOPIC, routing_key=KITCHEN, payload=b"x" * 2_000))
        small = Message(topic=RESULTS_TOPIC, routing_key=KITCHEN, payload=b"x" * 100)
        assert await soon(wire.publish(small)) is Durability.OS


async def test_making_topics_that_is_denied_is_told_when_it_is_needed(
    cluster: Kafka, connected: Connected
) -> None:
    async with KafkaGate(cluster, denied={CREATE_TOPICS: DENIED}) as gate:
        wire = await connected(gate.url)
        with pytest.raises(BrokerRefused) as caught:
            await soon(wire.publish(Message(topic=RESULTS_TOPIC, routing_key=KITCHEN, payload=b"")))
        assert "Create those topics, or create them" in caught.value.remedy
        gate.denied.clear()
        assert await soon(wire.publish(Message(topic=RESULTS_TOPIC, routing_key=KITCHEN, payload=b"")))


# -- groups

WORKERS = Readership(TOPIC, EVERYTHING, "workers")
GROUP = f"earshot.{TOPIC}.workers"


@pytest.mark.parametrize("version", range(4))
async def test_the_readers_of_a_group_are_its_members(
    cluster: Kafka, connected: Connected, version: int
) -> None:
    newest = {**NEWEST, DESCRIBE_GROUPS: version}
    async with KafkaGate(cluster, newest=newest, groups={GROUP: 3}) as gate:
        wire = await connected(gate.url)
        assert await wire.readers(TOPIC, "workers") == 3
        assert await wire.readers(TOPIC, "nobody") == 0


@pytest.mark.parametrize("version", range(3))
async def test_the_readers_of_a_topic_are_those_of_its_groups(
    cluster: Kafka, connected: Connected, version: int
) -> None:
    groups = {
        GROUP: 3,
        f"{GROUP}.ann.*.*": 1,
        f"earshot.{TOPIC}.more.workers": 2,
        "earshot.other.x": 9,
        "x": 9,
    }
    async with KafkaGate(cluster, newest={**NEWEST, LIST_GROUPS: version}, groups=groups) as gate:
        wire = await connected(gate.url)
        assert await wire.readers(TOPIC, "") == 6


async def test_a_server_that_tells_nothing_of_groups_is_not_guessed_about(
    cluster: Kafka, connected: Connected
) -> None:
    without = {api: version for api, version in NEWEST.items() if api not in {DESCRIBE_GROUPS, LIST_GROUPS}}
    async with KafkaGate(cluster, newest=without) as gate:
        wire = await connected(gate.url)
        assert await wire.readers(TOPIC, "workers") == CANNOT_TELL
        assert await wire.readers(TOPIC, "") == CANNOT_TELL


@pytest.mark.parametrize("version", range(2))
async def test_a_group_is_abandoned_when_nobody_reads_for_it(
    cluster: Kafka, connected: Connected, version: int
) -> None:
    newest = {**NEWEST, DELETE_GROUPS: version}
    async with KafkaGate(cluster, newest=newest, groups={GROUP: 1}) as gate:
        wire = await connected(gate.url)
        assert not await wire.abandon(WORKERS)
        gate.groups[GROUP] = 0
        assert await wire.abandon(WORKERS)
        assert GROUP not in gate.groups
        assert await wire.abandon(WORKERS), "it is gone already"


async def test_abandoning_that_is_denied_is_told(cluster: Kafka, connected: Connected) -> None:
    async with KafkaGate(cluster, denied={DELETE_GROUPS: DENIED}, groups={GROUP: 0}) as gate:
        wire = await connected(gate.url)
        with pytest.raises(BrokerRefused):
            await wire.abandon(WORKERS)


# -- strangers in its place


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """It never says a word."""
    await asyncio.sleep(60)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """At the first word."""
    await reader.read(4)
    writer.close()


async def web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Its ``HTTP`` is, for a length, more than a billion bytes."""
    await reader.read(64)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await asyncio.sleep(60)


async def other_turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It answers what nobody has asked."""
    await reader.read(64)
    writer.write(struct.pack(">iihi", 10, 77, 0, 0))
    await asyncio.sleep(60)


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The right turn, and then a list longer than there are bytes."""
    await reader.read(64)
    writer.write(struct.pack(">iihi", 10, 1, 0, 2**31 - 1))
    await asyncio.sleep(60)


async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A negative length."""
    await reader.read(64)
    writer.write(struct.pack(">i", -5) + b"x" * 64)
    await asyncio.sleep(60)


@pytest.mark.parametrize("stranger", [silent, hangs_up, web_server, other_turn, nonsense, backwards])
async def test_whoever_is_no_kafka_is_a_broker_that_is_away(stranger: Any, connected: Connected) -> None:
    gone = asyncio.Event()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meeting = asyncio.create_task(stranger(reader, writer))
        await asyncio.wait({meeting, asyncio.ensure_future(gone.wait())}, return_when=asyncio.FIRST_COMPLETED)
        meeting.cancel()
        writer.close()

    async with await asyncio.start_server(attend, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnavailable, match=f"kafka://127.0.0.1:{port}"):
            await connected(f"kafka://127.0.0.1:{port}", connect_seconds=0.5, confirm_seconds=0.5)
        gone.set()
        await asyncio.sleep(0)


async def test_a_port_where_nobody_listens(connected: Connected) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(BrokerUnavailable) as caught:
        await connected(f"kafka://127.0.0.1:{port}", connect_seconds=0.5)
    assert "start Kafka" in caught.value.remedy


async def test_the_first_servers_of_a_cluster_may_be_away(
    kafka: Kafka, opened: Opened, free_tcp_port: int
) -> None:
    broker = opened(f"kafka://127.0.0.1:{free_tcp_port},127.0.0.1:{kafka.port}")
    await published(broker, b"there")
    assert broker.status.connected  # type: ignore[attr-defined]


# -- errors, in our words


@pytest.mark.parametrize(
    ("error", "kind", "remedy"),
    [
        (errors.TopicAuthorizationFailedError("t"), BrokerRefused, "topics annex.*"),
        (errors.GroupAuthorizationFailedError("g"), BrokerRefused, "groups annex.*"),
        (errors.ClusterAuthorizationFailedError(), BrokerRefused, "topics annex.*"),
        (errors.InvalidSessionTimeoutError(), BrokerRefused, "broker.lease_seconds"),
        (errors.InvalidReplicationFactorError(), BrokerRefused, "broker.stream_replicas"),
        (errors.PolicyViolationError(), BrokerRefused, "create the topic"),
        (errors.UnknownTopicOrPartitionError(), BrokerRefused, "create the topic"),
        (errors.CommitFailedError(), BrokerUnavailable, ""),
        (errors.KafkaConnectionError("gone"), BrokerUnavailable, "start Kafka"),
        (errors.NodeNotReadyError("gone"), BrokerUnavailable, "start Kafka"),
        (errors.NotEnoughReplicasError(), BrokerUnavailable, ""),
        (errors.ConsumerStoppedError(), BrokerUnavailable, ""),
        (ConnectionResetError(104, "reset"), BrokerUnavailable, "start Kafka"),
        (TimeoutError(), BrokerUnavailable, "start Kafka"),
    ],
)
async def test_each_error_says_what_is_to_be_done(
    error: Exception, kind: type[BrokerUnavailable], remedy: str
) -> None:
    settings = msgspec.structs.replace(SETTINGS, namespace="annex")
    client = KafkaClient(resolve("kafka://gateway:s3cret@localhost", Scheme(9092), settings))
    with pytest.raises(BrokerUnavailable) as caught, client.translated():
        raise error
    assert type(caught.value) is kind
    assert remedy in caught.value.remedy if remedy else not caught.value.remedy
    assert str(caught.value).startswith("kafka://localhost:9092")
    assert len(str(caught.value)) > len("kafka://localhost:9092: ")
    await client.close()


@pytest.mark.parametrize("kind", [errors.MessageSizeTooLargeError, errors.RecordListTooLargeError])
async def test_what_is_too_large_is_so_for_good(kind: type[Exception]) -> None:
    client = KafkaClient(resolve("kafka://localhost", Scheme(9092), SETTINGS))
    with pytest.raises(BufferFull, match=r"max\.message\.bytes"), client.translated():
        raise kind
    await client.close()


async def test_a_mistake_of_ours_stays_one() -> None:
    client = KafkaClient(resolve("kafka://localhost", Scheme(9092), SETTINGS))
    with pytest.raises(KeyError), client.translated():
        raise KeyError("ours")
    await client.close()
