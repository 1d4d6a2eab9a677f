"""NATS JetStream keeps the contract, against the real server, and what only NATS has."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
import nats as nats_client
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from gateway.broker.address import Scheme, resolve
from gateway.broker.backends import nats_consumers
from gateway.broker.backends.nats import connect
from gateway.broker.backends.nats_subjects import (
    delivery,
    durable_name,
    filter_subject,
    headers,
    received,
    stream_name,
    subject,
)
from gateway.broker.base import BrokerUnavailable, BufferFull, Durability, Message, RoutingKey
from gateway.broker.buffer import Readership
from gateway.broker.envelope import read_message
from gateway.broker.network import NetworkBroker
from gateway.broker.opening import open_broker
from gateway.broker.patterns import parse_pattern
from gateway.broker.wire import AT_MOST
from gateway.contract.agents import PRESENCE_TOPIC
from gateway.contract.messages import RESULTS_TOPIC
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from tests.gateway.broker.contract import KITCHEN, receive, soon, take, until
from tests.gateway.broker.network_contract import LEASE_SECONDS, StreamContract
from tests.servers import nats as nats_servers
from tests.servers.certificates import Certificates
from tests.servers.nats import Nats

pytestmark = pytest.mark.slow  # `make quick` holds the contract against the memory broker and a hostile wire


class TestNats(StreamContract):
    """The contract."""

    DURABILITY = Durability.OS

    @pytest.fixture
    def server(self, nats: Nats) -> Nats:
        return nats


@pytest.fixture
def topic() -> str:
    return f"nats.{secrets.token_hex(6)}"


@pytest_asyncio.fixture
async def broker(nats: Nats) -> AsyncIterator[NetworkBroker]:
    broker = opened(nats.url)
    yield broker
    await broker.close(0.0)


@pytest_asyncio.fixture
async def jetstream(nats: Nats) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(nats.url)
    yield client.jetstream()
    await client.close()


def opened(url: str, **changes: object) -> NetworkBroker:
    broker = open_broker(url, BrokerSettings(lease_seconds=LEASE_SECONDS, **changes))  # type: ignore[arg-type]
    assert isinstance(broker, NetworkBroker)
    return broker


# -- who may come in


async def test_a_wrong_password_is_said_without_showing_it(nats: Nats, topic: str) -> None:
    broker = opened(nats.url.replace("://", "://gateway:guess@"))
    with pytest.raises(BrokerUnavailable, match="refuses the user or the password") as caught:
        await broker.publish(topic, KITCHEN, b"")
    assert "password" in caught.value.remedy
    assert "guess" not in f"{caught.value} {caught.value.__cause__} {broker.status}"
    await broker.close()


async def test_a_user_with_the_right_password_comes_in(nats: Nats, topic: str) -> None:
    broker = opened(nats.user_url)
    await broker.publish(topic, KITCHEN, b"")
    await broker.close()


async def test_tls_with_a_client_certificate(tmp_path: Path, certificates: Certificates, topic: str) -> None:
    needed()
    server = Nats(tmp_path, certificates).start()
    tls = BrokerTlsSettings(
        ca_file=str(certificates.ca),
        cert_file=str(certificates.client_cert),
        key_file=str(certificates.client_key),
    )
    broker = opened(server.tls_url, tls=tls)
    try:
        async with broker.subscribe(topic) as subscription:
            await broker.publish(topic, KITCHEN, b"guarded")
            assert await receive(subscription, 1) == [b"guarded"]
    finally:
        await broker.close()
        server.kill()


async def test_a_server_without_jetstream_is_said(tmp_path: Path, topic: str) -> None:
    needed()
    server = Nats(tmp_path, jetstream=False).start()
    broker = opened(server.url)
    try:
        with pytest.raises(BrokerUnavailable, match="no JetStream") as caught:
            await broker.publish(topic, KITCHEN, b"")
        assert "-js" in caught.value.remedy
    finally:
        await broker.close()
        server.kill()


async def test_a_jetstream_that_does_not_answer_is_no_server_that_is_not_there(
    nats: Nats, topic: str
) -> None:
    broker = opened(nats.url.replace("://", "://outsider:@"), connect_seconds=1.0)
    try:
        with pytest.raises(BrokerUnavailable):
            await broker.publish(topic, KITCHEN, b"")
        await until(lambda: "lets us in" in broker.status.reason)
        assert "has not answered within 0.7 s" in broker.status.reason
        assert "JetStream" in broker.status.remedy
    finally:
        await broker.close()


async def test_a_request_that_is_not_answered_says_so(nats: Nats) -> None:
    settings = BrokerSettings(confirm_seconds=2.0)
    wire = await connect(resolve(nats.url, Scheme(4222), settings), lambda _reason: None)
    try:
        await wire.client.subscribe("nobody.answers")  # or the server would say that there is nobody
        with pytest.raises(BrokerUnavailable, match="has not answered within 2 s"), wire.translated():
            await wire.client.request("nobody.answers", timeout=0.1)
    finally:
        await wire.close()


def needed() -> None:
    if not Path(nats_servers.NATS).exists():
        pytest.skip("nats-server is not installed")


# -- how it stores


async def test_a_lazy_server_is_a_weakness(broker: NetworkBroker, topic: str) -> None:
    assert (await broker.publish(topic, KITCHEN, b"")).durability is Durability.OS
    assert "sync_interval" in " ".join(broker.status.weaknesses)


async def test_a_server_that_syncs_always_is_believed_to(nats: Nats, topic: str) -> None:
    broker = opened(nats.url, nats_sync_always=True)
    assert (await broker.publish(topic, KITCHEN, b"")).durability is Durability.FSYNC
    assert broker.status.weaknesses == ()
    await broker.close()


async def test_a_stream_that_is_there_is_used_as_it_is(
    broker: NetworkBroker, jetstream: JetStreamContext, topic: str
) -> None:
    config = api.StreamConfig(
        name=stream_name(topic), subjects=[f"{topic}.*.*.*"], storage=api.StorageType.MEMORY
    )
    await jetstream.add_stream(config)
    assert (await broker.publish(topic, KITCHEN, b"")).durability is Durability.MEMORY


async def test_what_is_larger_than_the_server_takes_is_refused(nats: Nats, topic: str) -> None:
    broker = opened(nats.url, buffer_bytes=64 * 1024 * 1024)
    with pytest.raises(BufferFull, match="max_payload"):
        await broker.publish(topic, KITCHEN, bytes(8 * 1024 * 1024))
    await broker.publish(topic, KITCHEN, b"still there")
    await broker.close()


async def test_a_message_published_twice_is_there_once(broker: NetworkBroker, topic: str) -> None:
    async with broker.subscribe(topic) as subscription:
        for payload in (b"once", b"once", b"next"):
            await broker.publish(topic, KITCHEN, payload, message_id=f"m_{payload.decode()}")
        assert await receive(subscription, 2) == [b"once", b"next"]


# -- what others do with a stream


async def test_a_message_without_headers_is_a_message(
    broker: NetworkBroker, jetstream: JetStreamContext, topic: str
) -> None:
    async with broker.subscribe(topic, "device.kitchen") as subscription:
        await jetstream.publish(f"{topic}.ann.kitchen.s_1", b'{"message_id": "m_1", "correlation_id": "c_1"}')
        message = (await take(subscription)).message
        assert (message.routing_key, message.message_id, message.correlation_id) == (KITCHEN, "m_1", "c_1")


async def test_a_subject_that_is_no_key_is_a_dead_letter(
    broker: NetworkBroker, jetstream: JetStreamContext, topic: str
) -> None:
    async with broker.subscribe(topic, group="workers") as subscription:
        await jetstream.publish(f"{topic}.ann.kitchen.s$1", b"whose?")
        await jetstream.publish(f"{topic}.ann.kitchen.s_1", b"mine")
        assert await receive(subscription, 1) == [b"mine"]
        assert len(broker.dead_letters()) == 1


async def test_transcripts_are_kept_for_a_group_that_has_never_come(nats: Nats) -> None:
    group = f"late-{secrets.token_hex(4)}"
    gateway, latecomer = opened(nats.url, keep_for_groups=(group,)), opened(nats.url)
    await gateway.publish(RESULTS_TOPIC, KITCHEN, group.encode())
    async with latecomer.subscribe(RESULTS_TOPIC, group=group) as subscription:
        assert await receive(subscription, 1) == [group.encode()]
    await asyncio.gather(gateway.close(), latecomer.close())


# -- leases and bounds


async def test_what_a_killed_process_held_goes_to_another(
    broker: NetworkBroker, jetstream: JetStreamContext, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that gets it is open when the lease ends.

    Between two requests a server before 2.10.14 gives it to nobody, counts that now and then, and begins to count at
    one again with the next.
    """
    monkeypatch.setattr(nats_consumers, "REQUEST_SECONDS", 30.0)
    async with broker.subscribe(topic, group="workers"):
        pass  # the group is there
    await broker.publish(topic, KITCHEN, b"orphan")
    killed = await jetstream.pull_subscribe_bind("workers", stream_name(topic))
    await killed.fetch(1)
    async with broker.subscribe(topic, group="workers") as subscription:
        delivered = await take(subscription)
        assert delivered.message.payload == b"orphan"
        assert delivered.attempt == 2
        await delivered.ack()


async def test_what_is_being_worked_on_is_not_given_to_another(nats: Nats, topic: str) -> None:
    slow, other = opened(nats.url), opened(nats.url)
    async with slow.subscribe(topic, group="slow") as working, other.subscribe(topic, group="slow") as idle:
        await slow.publish(topic, KITCHEN, b"one")
        took = [asyncio.create_task(anext(one)) for one in (working, idle)]
        done, (waiting,) = await asyncio.wait(took, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(2.5 * LEASE_SECONDS)  # real time: the server's lease is what is tried
        assert not waiting.done()
        waiting.cancel()
        await done.pop().result().ack()
    await asyncio.gather(slow.close(), other.close())


async def test_a_stream_is_bounded(nats: Nats, jetstream: JetStreamContext, topic: str) -> None:
    broker = opened(nats.url, stream_messages=100)
    await soon(asyncio.gather(*(broker.publish(topic, KITCHEN, b"%d" % n) for n in range(300))))
    assert (await jetstream.stream_info(stream_name(topic))).state.messages == 100
    await broker.close()


async def test_who_is_there_is_not_kept_for_long(
    nats: Nats, jetstream: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AT_MOST, PRESENCE_TOPIC, 10)
    broker = opened(nats.url)
    with suppress(NotFoundError):
        await jetstream.delete_stream(stream_name(PRESENCE_TOPIC))
    await soon(asyncio.gather(*(broker.publish(PRESENCE_TOPIC, KITCHEN, b"%d" % n) for n in range(50))))
    assert (await jetstream.stream_info(stream_name(PRESENCE_TOPIC))).state.messages == 10
    await jetstream.delete_stream(stream_name(PRESENCE_TOPIC))
    await broker.close()


async def test_a_subscription_without_a_group_leaves_nothing_at_the_server(
    broker: NetworkBroker, jetstream: JetStreamContext, topic: str
) -> None:
    async with broker.subscribe(topic):
        assert len(await jetstream.consumers_info(stream_name(topic))) == 1
    assert await jetstream.consumers_info(stream_name(topic)) == []


async def test_without_a_group_it_goes_on_behind_what_it_had(
    broker: NetworkBroker, nats: Nats, jetstream: JetStreamContext, topic: str
) -> None:
    async with broker.subscribe(topic) as subscription:
        await broker.publish(topic, KITCHEN, b"before")
        assert await receive(subscription, 1) == [b"before"]
        (consumer,) = await jetstream.consumers_info(stream_name(topic))
        await jetstream.delete_consumer(stream_name(topic), consumer.name)
        await jetstream.publish(f"{topic}.ann.kitchen.s_1", b"meanwhile")
        assert await receive(subscription, 1) == [b"meanwhile"]
        await until(lambda: broker.status.connected)


# -- subjects and headers


tokens = st.text("abcXYZ019_-", min_size=1, max_size=64)


@given(
    st.builds(
        Message,
        topic=st.just("a.b"),
        routing_key=st.builds(RoutingKey, tokens, tokens, tokens),
        payload=st.just(b"x"),
        timestamp=st.floats(1, 1e10),
        message_id=tokens,
        correlation_id=st.one_of(st.just(""), tokens),
        reply_to=st.one_of(st.just(""), tokens),
        content_type=tokens,
        headers=st.dictionaries(st.from_regex(r"x-[a-z]{1,9}", fullmatch=True), tokens, max_size=3),
    )
)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    came = received("a.b", subject(message), message.payload, headers(message), "", settled=True)
    read = read_message("a.b", came)
    assert msgspec.structs.replace(read, timestamp=message.timestamp) == message


def test_a_header_that_nats_cannot_carry_is_left_out() -> None:
    message = Message(
        topic="a", routing_key=KITCHEN, payload=b"", headers={"näme": "x", "a b": "y", "ok": "z"}
    )
    assert {"ok"} == {"ok", "näme", "a b"} & headers(message).keys()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("$JS.ACK.stream.consumer.3.77.5.1700000000000000000.0", (3, 77, 1.7e9)),
        ("$JS.ACK.hub.ACCOUNT.stream.consumer.3.77.5.1700000000000000000.0.token", (3, 77, 1.7e9)),
        ("", (1, 0, 0.0)),
        ("_INBOX.x.y", (1, 0, 0.0)),
        ("$JS.ACK.stream.consumer.x.y.z.0.0", (1, 0, 0.0)),
        ("$JS.ACK.stream.consumer.3.77.5.-1700000000000000000.0", (1, 0, 0.0)),
    ],
)
def test_the_number_of_a_delivery(reply: str, expected: tuple[int, int, float]) -> None:
    assert delivery(reply) == expected


@pytest.mark.parametrize(
    ("pattern", "filtered", "durable"),
    [
        ("", "a.b.*.*.*", "workers"),
        ("user.ann", "a.b.ann.*.*", "workers=user=ann"),
        ("device.hall", "a.b.*.hall.*", "workers=device=hall"),
        ("session.s_1", "a.b.*.*.s_1", "workers=session=s_1"),
    ],
)
def test_patterns_are_subjects(pattern: str, filtered: str, durable: str) -> None:
    parsed = parse_pattern(pattern)
    assert filter_subject("a.b", parsed) == filtered
    assert durable_name(Readership("a.b", parsed, "workers")) == durable
