"""Redis Streams keep the contract, against the real server, and what only Redis has."""

from __future__ import annotations

import asyncio
import gc
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis as Client

from gateway.broker.address import Scheme, resolve
from gateway.broker.backends.redis import RedisWire, connect
from gateway.broker.backends.redis_entries import entry, order, received
from gateway.broker.base import BrokerRefused, BrokerUnavailable, Durability, Message, RoutingKey
from gateway.broker.buffer import Readership
from gateway.broker.envelope import read_message
from gateway.broker.network import NetworkBroker
from gateway.broker.opening import open_broker
from gateway.broker.patterns import parse_pattern
from gateway.broker.wire import PRESENCES, Demand
from gateway.contract.agents import PRESENCE_TOPIC
from gateway.contract.messages import RESULTS_TOPIC
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from tests.gateway.broker.contract import KITCHEN, receive, soon, take, until
from tests.gateway.broker.network_contract import LEASE_SECONDS, StreamContract
from tests.record import PATIENCE
from tests.servers import redis as redis_servers
from tests.servers.certificates import Certificates
from tests.servers.redis import Redis

pytestmark = pytest.mark.slow  # `make quick` holds the contract against the memory broker and a hostile wire

TOPIC = "redis.only"
STREAM = f"earshot:{TOPIC}"


class TestRedis(StreamContract):
    """The contract."""

    @pytest.fixture
    def server(self, redis: Redis) -> Redis:
        return redis


@pytest_asyncio.fixture
async def broker(redis: Redis) -> AsyncIterator[NetworkBroker]:
    broker = opened(redis.url)
    yield broker
    await broker.close(0.0)


@pytest_asyncio.fixture
async def client(redis: Redis) -> AsyncIterator[Client]:
    client = Client(port=redis.port, decode_responses=True)
    await client.delete(STREAM)
    yield client
    await client.aclose()


def opened(url: str, **changes: object) -> NetworkBroker:
    broker = open_broker(url, BrokerSettings(lease_seconds=LEASE_SECONDS, **changes))  # type: ignore[arg-type]
    assert isinstance(broker, NetworkBroker)
    return broker


# -- how much may come

MIB = 1024 * 1024
ADD = "return redis.call('XADD', KEYS[1], '*', 'key', 'home.kitchen.s', 'body', string.rep(ARGV[1], ARGV[2]))"
MANY = """
local command = {'XADD', KEYS[1], '*', 'key', 'home.kitchen.s', 'body', 'x'}
for i = 1, 600 do command[#command + 1] = 'header:' .. i; command[#command + 1] = ARGV[1] end
return redis.call(unpack(command))
"""


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("forgetful"), keeps=redis_servers.FORGETFUL).start()
    yield server
    server.stop()


@pytest.mark.parametrize("group", ["workers", ""])
async def test_an_entry_is_not_held_whole_however_large(forgetful: Redis, group: str) -> None:
    large = [bytes([letter]) * (2 * MIB - 100) for letter in range(ord("a"), ord("z"))]
    async with Client(port=forgetful.port, socket_timeout=PATIENCE) as client, AsyncExitStack() as stack:
        stack.push_async_callback((broker := opened(forgetful.url)).close, 0.0)
        await client.delete(STREAM)
        async with broker.subscribe(TOPIC, group=group) as subscription:
            for _ in range(7):  # so that it asks for many at once
                for _ in range(64):
                    await client.eval(ADD, 1, STREAM, "a", 1)
                await receive(subscription, 64)
            tracemalloc.start()
            try:
                await client.eval(ADD, 1, STREAM, "b" * MIB, 100)
                await client.eval(MANY, 1, STREAM, "y" * 100_000)
                for payload in large:
                    await client.eval(ADD, 1, STREAM, payload[: MIB - 50], 2)
                for payload in large:
                    assert await receive(subscription, 1) == [payload]
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        reasons = [letter.reason for letter in broker.dead_letters()]
    assert peak < 100 * MIB
    assert [reason.partition(" are more than")[2] for reason in reasons] == [
        f" a message may have ({2 * MIB})"
    ] * 2


# -- who may come in


async def test_a_wrong_password_is_said_without_showing_it(redis: Redis) -> None:
    broker = opened(redis.url.replace("://", "://gateway:guess@"))
    with pytest.raises(BrokerUnavailable, match="refuses the user or the password") as caught:
        await broker.publish(TOPIC, KITCHEN, b"")
    assert "password" in caught.value.remedy
    assert "guess" not in f"{caught.value} {caught.value.__cause__} {broker.status}"
    await broker.close()


async def test_a_password_from_a_file(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{redis_servers.PASSWORD}\n")
    broker = opened(redis.url.replace("://", "://gateway@"), password_file=str(tmp_path / "secret"))
    await broker.publish(TOPIC, KITCHEN, b"")
    await broker.close()


async def test_tls_with_a_client_certificate(redis: Redis, certificates: Certificates) -> None:
    tls = BrokerTlsSettings(
        ca_file=str(certificates.ca),
        cert_file=str(certificates.client_cert),
        key_file=str(certificates.client_key),
    )
    broker = opened(redis.tls_url, tls=tls)
    async with broker.subscribe(TOPIC) as subscription:
        await broker.publish(TOPIC, KITCHEN, b"guarded")
        assert await receive(subscription, 1) == [b"guarded"]
    await broker.close()


async def test_a_server_of_an_unknown_authority_is_not_trusted(redis: Redis) -> None:
    broker = opened(redis.tls_url)
    with pytest.raises(BrokerUnavailable, match="rediss://127"):
        await broker.publish(TOPIC, KITCHEN, b"")
    await broker.close()


async def test_who_may_not_ask_for_the_configuration_is_told_what_is_unknown(
    redis: Redis, client: Client
) -> None:
    await client.acl_setuser(
        "humble",
        enabled=True,
        passwords=["+humble"],
        keys=["earshot:*"],
        categories=["+@stream", "+@connection"],
    )
    broker = opened(redis.url.replace("://", "://humble:humble@"))
    receipt = await broker.publish(TOPIC, KITCHEN, b"")
    assert receipt.durability is Durability.MEMORY
    assert "does not tell" in " ".join(broker.status.weaknesses)
    await broker.close()


async def test_who_may_not_write_a_stream_is_refused(redis: Redis, client: Client) -> None:
    await client.acl_setuser(
        "reader", enabled=True, passwords=["+reader"], keys=["other:*"], categories=["+@all"]
    )
    broker = opened(redis.url.replace("://", "://reader:reader@"))
    with pytest.raises(BrokerRefused, match="does not allow") as caught:
        await broker.publish(TOPIC, KITCHEN, b"")
    assert "ACL" in caught.value.remedy
    await broker.close()


# -- how it stores


@pytest.mark.parametrize(
    ("keeps", "durability", "weakness"),
    [
        (redis_servers.FORGETFUL, Durability.MEMORY, "appendonly yes"),
        (redis_servers.LAZY, Durability.OS, "appendfsync always"),
        (
            f"{redis_servers.KEEPING}\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru",
            Durability.FSYNC,
            "noeviction",
        ),
    ],
)
async def test_a_weak_configuration_is_told(
    tmp_path: Path, keeps: str, durability: Durability, weakness: str
) -> None:
    redis_servers_needed()
    server = Redis(tmp_path, keeps=keeps).start()
    try:
        broker = opened(server.url)
        assert (await broker.publish(TOPIC, KITCHEN, b"")).durability is durability
        (told,) = broker.status.weaknesses
        assert weakness in told
        await broker.close()
    finally:
        server.kill()


def redis_servers_needed() -> None:
    if not Path(redis_servers.REDIS).exists():
        pytest.skip("redis-server is not installed")


# -- what others do with a stream


async def test_an_entry_with_only_a_key_and_a_body_is_a_message(
    broker: NetworkBroker, client: Client
) -> None:
    async with broker.subscribe(TOPIC, "device.kitchen") as subscription:
        await client.xadd(STREAM, {"key": "ann.hall.s_2", "body": "{}"})
        await client.xadd(
            STREAM, {"key": "ann.kitchen.s_1", "body": '{"message_id": "m_1", "correlation_id": "c_1"}'}
        )
        message = (await take(subscription)).message
        assert (message.routing_key, message.message_id, message.correlation_id) == (KITCHEN, "m_1", "c_1")


@pytest.mark.parametrize("fields", [{"body": "{}"}, {"key": "nonsense", "x": "y"}, {"": ""}])
async def test_an_entry_without_a_key_is_a_dead_letter(
    broker: NetworkBroker, client: Client, fields: dict[str, str]
) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await client.xadd(STREAM, fields)
        await client.xadd(STREAM, {"key": "ann.kitchen.s_1", "body": "mine"})
        assert await receive(subscription, 1) == [b"mine"]
        assert len(broker.dead_letters()) == 1
    assert (await client.xpending(STREAM, "workers"))["pending"] == 0


async def test_transcripts_are_kept_for_a_group_that_has_never_come(redis: Redis) -> None:
    group = f"late-{secrets.token_hex(4)}"
    gateway, latecomer = opened(redis.url, keep_for_groups=(group,)), opened(redis.url)
    await gateway.publish(RESULTS_TOPIC, KITCHEN, group.encode())
    async with latecomer.subscribe(RESULTS_TOPIC, group=group) as subscription:
        assert await receive(subscription, 1) == [group.encode()]
    await asyncio.gather(gateway.close(), latecomer.close())


# -- leases and bounds


async def test_what_a_killed_process_held_goes_to_another(redis: Redis, client: Client) -> None:
    """A process that is killed renews nothing and gives nothing back; here it only stops renewing."""
    await client.xgroup_create(STREAM, "workers", id="$", mkstream=True)
    await client.xadd(STREAM, {"key": "ann.kitchen.s_1", "body": "orphan", "message_id": "m_1"})
    await client.xreadgroup("workers", "killed", {STREAM: ">"})
    broker = opened(redis.url)
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        delivery = await take(subscription)
        assert (delivery.message.payload, delivery.attempt) == (b"orphan", 2)
        await delivery.ack()
    await broker.close()


async def test_what_is_being_worked_on_is_not_given_to_another(redis: Redis) -> None:
    slow, other = opened(redis.url), opened(redis.url)
    async with slow.subscribe(TOPIC, group="slow") as working, other.subscribe(TOPIC, group="slow") as idle:
        await slow.publish(TOPIC, KITCHEN, b"one")
        took = [asyncio.create_task(anext(one)) for one in (working, idle)]
        done, (waiting,) = await asyncio.wait(took, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(2.5 * LEASE_SECONDS)  # real time: the server's lease is what is tried
        assert not waiting.done()
        waiting.cancel()
        await done.pop().result().ack()
    await asyncio.gather(slow.close(), other.close())


async def test_what_is_trimmed_unread_is_counted(redis: Redis, client: Client) -> None:
    broker = opened(redis.url, prefetch=1)
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(TOPIC, KITCHEN, b"read")
        await receive(subscription, 1)
        await until(lambda: subscription.pending == 0)
    await fill_stream(client, 50)
    await client.xtrim(STREAM, maxlen=20, approximate=False)
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        assert await receive(subscription, 20) == [b"%d" % number for number in range(30, 50)]
        await until(lambda: topic_row(broker).dropped == 30)
    await broker.close()


async def fill_stream(client: Client, count: int) -> None:
    for number in range(count):
        await client.xadd(STREAM, {"key": "ann.kitchen.s_1", "body": str(number)})


def topic_row(broker: NetworkBroker) -> object:
    return next(stats for stats in broker.stats() if stats.topic == TOPIC)


async def test_a_stream_is_bounded(redis: Redis, client: Client) -> None:
    broker = opened(redis.url, stream_messages=100)
    await soon(asyncio.gather(*(broker.publish(TOPIC, KITCHEN, b"%d" % n) for n in range(1000))))
    assert 100 <= await client.xlen(STREAM) < 300
    await broker.close()


async def test_who_is_there_is_not_kept_for_long(redis: Redis, client: Client) -> None:
    broker = opened(redis.url)
    await soon(asyncio.gather(*(broker.publish(PRESENCE_TOPIC, KITCHEN, b"here") for _ in range(3_000))))
    assert PRESENCES <= await client.xlen(f"earshot:{PRESENCE_TOPIC}") < 1.5 * PRESENCES
    await broker.close()


async def test_a_group_that_the_server_lost_goes_on_behind_what_it_had(
    broker: NetworkBroker, client: Client
) -> None:
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(TOPIC, KITCHEN, b"before")
        assert await receive(subscription, 1) == [b"before"]
        await client.xgroup_destroy(STREAM, "workers")
        await client.xadd(STREAM, {"key": "ann.kitchen.s_1", "body": "after"})
        assert await receive(subscription, 1) == [b"after"]


# -- the end of a connection


@pytest.mark.parametrize("steps", range(12))
async def test_who_is_cancelled_while_closing_leaves_nothing_open(redis: Redis, steps: int) -> None:
    """``steps``: how far the close had come. A client left open would be told of when it is collected."""
    name = f"cut-short-{secrets.token_hex(4)}"
    wire = await redis_wire(redis.url, name)
    intake = Nothing()
    reading = Demand(Readership(TOPIC, parse_pattern(""), ""), "reader", 10)
    working = Demand(Readership(TOPIC, parse_pattern(""), "workers"), "worker", 10)
    consumers = [await wire.consume(demand, intake) for demand in (reading, working)]
    closings = [asyncio.create_task(one.close(())) for one in consumers]
    closings.append(asyncio.create_task(wire.close()))
    for _ in range(steps):
        await asyncio.sleep(0)  # one step of each; no time passes
    for closing in closings:
        closing.cancel()
    await asyncio.gather(*closings, return_exceptions=True)
    await soon(wire.close())
    await nothing_is_open(redis, name)


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_whose_connection_is_closed_meanwhile_is_told_so(redis: Redis, steps: int) -> None:
    """And nothing that was under way opens another, whatever the library makes of the end."""
    name = f"meanwhile-{secrets.token_hex(4)}"
    wire = await redis_wire(redis.url, name)
    demand = Demand(Readership(TOPIC, parse_pattern(""), "workers"), "worker", 10)
    consumers = [await wire.consume(demand, Nothing()) for _ in range(4)]
    under_way = [asyncio.create_task(one.settle(["1-1"])) for one in consumers]
    under_way += [asyncio.create_task(one.close(())) for one in consumers]
    for _ in range(steps):
        await asyncio.sleep(0)
    await soon(wire.close())
    ends = await asyncio.gather(*under_way, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), BrokerUnavailable}
    with pytest.raises(BrokerUnavailable, match="closed"):
        await wire.ping()
    await nothing_is_open(redis, name)


async def nothing_is_open(redis: Redis, name: str) -> None:
    gc.collect()
    async with Client(port=redis.port, decode_responses=True) as client, asyncio.timeout(10):
        while name in {row["name"] for row in await client.client_list()}:  # noqa: ASYNC110 - it may not have heard yet
            await asyncio.sleep(0.01)


async def test_work_that_fails_by_a_mistake_is_the_loss_of_its_connection(redis: Redis) -> None:
    """Else nobody would read there any more, and every ping would say that all is well."""

    async def mistaken() -> None:
        raise KeyError("conn")

    lost: list[str] = []
    wire = await redis_wire(redis.url, "mistaken", lost.append)
    wire.start(mistaken(), "mistaken")
    await until(lambda: lost)
    assert lost == ["the adapter failed (KeyError)"]
    await wire.close()


class Nothing:
    """An ``Intake`` that nothing comes to."""

    def take(self, received: object) -> None:
        """Nothing does."""

    async def room(self) -> int:
        """Always."""
        return 10

    def lost(self, messages: int) -> None:
        """Nothing is."""


async def redis_wire(
    url: str, client_id: str, on_lost: Callable[[str], None] = lambda _reason: None
) -> RedisWire:
    settings = BrokerSettings(client_id=client_id, lease_seconds=LEASE_SECONDS)
    return await connect(resolve(url, Scheme(6379), settings), on_lost)


# -- entries


tokens = st.text("abcXYZ019_-", min_size=1, max_size=64)
texts = st.text(max_size=40).filter(lambda text: "\x00" not in text)


@given(
    st.builds(
        Message,
        topic=st.just(TOPIC),
        routing_key=st.builds(RoutingKey, tokens, tokens, tokens),
        payload=st.binary(max_size=200),
        timestamp=st.floats(1, 1e10),
        message_id=tokens,
        correlation_id=st.one_of(st.just(""), tokens),
        reply_to=st.one_of(st.just(""), texts),
        content_type=tokens,
        headers=st.dictionaries(tokens, texts, max_size=3),
    )
)
def test_an_entry_is_read_as_it_was_written(message: Message) -> None:
    flat = [part if isinstance(part, bytes) else str(part).encode() for part in entry(message, 100)[6:]]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    read = read_message(TOPIC, received(b"1700000000000-0", fields, None))
    if not message.correlation_id:  # may be found in a body that happens to have one
        read = msgspec.structs.replace(read, correlation_id="")
    assert read.timestamp == 1.7e9
    assert msgspec.structs.replace(read, timestamp=message.timestamp) == message


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=50), max_size=6))
def test_no_entry_of_anybody_raises(fields: dict[bytes, bytes]) -> None:
    assert received(b"1-0", fields, b"1-0").place == "1-0"


def test_ids_of_entries_are_ordered_by_number() -> None:
    assert order("9-10") < order(b"10-9") < order("10-10")


async def test_whoever_waits_for_messages_is_seen_to_read_however_quiet_it_is(
    redis: Redis, broker: NetworkBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.broker.backends.redis_streams.BLOCK_SECONDS", 0.1)
    async with broker.subscribe(TOPIC, group="quiet"), Client.from_url(redis.url) as client:

        async def idle() -> int:
            return max((row["idle"] for row in await client.xinfo_consumers(STREAM, "quiet")), default=0)

        async with asyncio.timeout(PATIENCE):
            while await idle() <= 50:
                pass
            while await idle() > 50:  # it has asked again
                pass
