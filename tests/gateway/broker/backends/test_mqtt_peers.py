"""An MQTT broker of a few lines that says the wrong thing, too little, or too much, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.carriers.mqtt_connection import MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.broker.address import Address, Scheme, resolve
from gateway.broker.backends import mqtt
from gateway.broker.backends.mqtt_client import MqttClient
from gateway.broker.base import BrokerError, BrokerRefused, BrokerUnavailable, BufferFull
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.contract import soon, until

WELCOME = bytes.fromhex("2003000000")
"""CONNACK of MQTT 5: success, no properties."""
OLD_WELCOME = bytes.fromhex("20020000")
CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT = 0x10, 0x30, 0x40, 0x80, 0xA0, 0xE0
SUBACK, UNSUBACK = 0x90, 0xB0

Packet = tuple[int, bytes]
Talk = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The broker's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> Packet:
        """The next packet: its type, and what follows its length. IncompleteReadError at the end."""
        (head,) = await self._reader.readexactly(1)
        length, shift = 0, 0
        while True:
            (byte,) = await self._reader.readexactly(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return head & 0xF0, await self._reader.readexactly(length)

    async def until(self, kind: int) -> bytes:
        """What the next packet of this type says."""
        while True:
            got, body = await self.read()
            if got == kind:
                return body

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def welcome(self, data: bytes = WELCOME) -> None:
        await self.until(CONNECT)
        self.say(data)


@asynccontextmanager
async def peer(*talks: Talk, **changes: Any) -> AsyncIterator[Address]:
    """Its address; it has one talk with each that connects, the last one with all further ones."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await talks[min(connections, len(talks)) - 1](Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        quick = BrokerSettings(connect_seconds=5.0, **changes)
        yield resolve(f"mqtt://ann:hidden@127.0.0.1:{port}", Scheme(1883), quick)


class Heard:
    """Who opened a connection, and what it was told."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.lost: list[str] = []

    async def open(self, address: Address, *, window: int = 0, modern: bool = True) -> MqttClient:
        session = MqttSession(client_id="earshot-test", window=window)
        return await soon(
            MqttClient.reach(address, session, self.publications.append, self.lost.append, modern=modern)
        )


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def silence(peer: Peer) -> None:
    while True:
        await peer.read()


async def polite(peer: Peer) -> None:
    await peer.welcome()
    await silence(peer)


# -- who does not let us in


@pytest.mark.parametrize(
    ("reason", "kind", "remedy"),
    [
        (0x86, BrokerRefused, "broker.url or broker.password_file"),
        (0x87, BrokerRefused, "broker.url or broker.password_file"),
        (0x8A, BrokerRefused, "broker.url or broker.password_file"),
        (0x88, BrokerUnavailable, "broker's log"),
        (0x89, BrokerUnavailable, "broker's log"),
        (0x97, BrokerUnavailable, "broker's log"),
        (0x9F, BrokerUnavailable, "broker's log"),
    ],
)
async def test_each_refusal_has_its_remedy(
    heard: Heard, reason: int, kind: type[BrokerUnavailable], remedy: str
) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.welcome(bytes((0x20, 3, 0, reason, 0)))
        await silence(peer)

    async with peer(refuse) as address:
        with pytest.raises(BrokerUnavailable) as caught:
            await heard.open(address)
    assert type(caught.value) is kind
    assert remedy in caught.value.remedy
    assert "hidden" not in f"{caught.value}{caught.value.remedy}"


@pytest.mark.parametrize(
    "answer",
    [
        bytes.fromhex("2003008400"),
        bytes.fromhex("20020001"),
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("20ffffffff7f"),
        bytes.fromhex("200100"),
        bytes.fromhex("d000"),
    ],
    ids=[
        "says so in 5",
        "says so in 3",
        "hangs up",
        "is no broker",
        "endless length",
        "cut short",
        "another packet",
    ],
)
async def test_who_does_not_understand_mqtt_5_is_asked_in_3(heard: Heard, answer: bytes) -> None:
    versions: list[int] = []

    async def first(peer: Peer) -> None:
        versions.append((await peer.until(CONNECT))[6])
        peer.say(answer)

    async def second(peer: Peer) -> None:
        versions.append((await peer.until(CONNECT))[6])
        peer.say(OLD_WELCOME)
        await silence(peer)

    async with peer(first, second) as address:
        client = await heard.open(address)
        assert not client.modern
        assert client.has_shared_subscriptions
        await client.close()
    assert versions == [5, 4]


async def test_who_hangs_up_on_everybody_is_a_state(heard: Heard) -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.until(CONNECT)

    async with peer(hang_up) as address:
        with pytest.raises(BrokerUnavailable, match="connection was lost") as caught:
            await heard.open(address)
    assert "log" in caught.value.remedy


# Packets that are whole, and rubbish: after any of them the connection is as good as before, or lost.
RUBBISH = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.integers(0, 255), st.binary(max_size=60)).map(
        lambda packet: bytes((packet[0], len(packet[1]))) + packet[1]
    ),
)


@given(st.lists(RUBBISH, min_size=1, max_size=4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_rubbish_on_the_wire_is_a_loss_or_nothing(rubbish: list[bytes]) -> None:
    heard = Heard()
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    async def babble(peer: Peer) -> None:
        await peer.welcome()
        for piece in rubbish:
            peer.say(piece)

    async with peer(babble) as address:
        client = await heard.open(address, window=10)
        await until(lambda: heard.lost or failures)
        client.abort()
    assert failures == []
    assert len(heard.lost) == 1
    assert "hidden" not in heard.lost[0]


@given(st.binary(max_size=60))
@settings(max_examples=25)
async def test_rubbish_instead_of_a_welcome_is_a_state(rubbish: bytes) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    async def babble(peer: Peer) -> None:
        await peer.welcome(bytes((0x20, len(rubbish))) + rubbish)

    async with peer(babble) as address:
        try:
            client = await Heard().open(address)
        except BrokerUnavailable:
            pass
        else:
            client.abort()
    assert failures == []


# -- what a broker says about itself


async def told_by(heard: Heard, properties: bytes) -> MqttClient:
    async def tell(peer: Peer) -> None:
        await peer.welcome(bytes((0x20, 3 + len(properties), 0, 0, len(properties))) + properties)
        await silence(peer)

    async with peer(tell) as address:
        client = await heard.open(address)
        await client.close()
        return client


async def test_a_largest_packet_is_a_largest_payload(heard: Heard) -> None:
    client = await told_by(heard, bytes.fromhex("2700010000"))
    assert 0 < client.max_payload < 0x10000
    with pytest.raises(BufferFull, match="more than the broker takes"):
        await client.deliver(Publication(topic="t", payload=bytes(0x10000)))


async def test_a_broker_without_shared_subscriptions(heard: Heard) -> None:
    client = await told_by(heard, bytes.fromhex("2a00"))
    assert not client.has_shared_subscriptions
    facts = mqtt._facts(resolve("mqtt://host", Scheme(1883), BrokerSettings()), client, "")
    assert mqtt.UNSHARED in facts.weaknesses
    assert mqtt.OLD not in facts.weaknesses
    assert facts.name == "MQTT 5 broker"


async def test_a_broker_that_takes_nothing_at_all_breaks_the_protocol(heard: Heard) -> None:
    """A Receive Maximum of 0: taken at its word, every message would wait for ever on a good connection."""
    with pytest.raises(BrokerUnavailable):
        await told_by(heard, bytes.fromhex("210000"))


@pytest.mark.parametrize(
    ("version", "name", "number"),
    [
        ("mosquitto version 2.0.11", "mosquitto", "2.0.11"),
        ("EMQX 5", "MQTT 5 broker", "EMQX 5"),
        ("", "MQTT 5 broker", ""),
    ],
)
async def test_its_name_is_what_it_says(heard: Heard, version: str, name: str, number: str) -> None:
    client = await told_by(heard, b"")
    facts = mqtt._facts(resolve("mqtt://host", Scheme(1883), BrokerSettings()), client, version)
    assert (facts.name, facts.version) == (name, number)


# -- publishing


@asynccontextmanager
async def answered_with(heard: Heard, *answers: int | None) -> AsyncIterator[MqttClient]:
    """A connection whose n-th message is acknowledged with the n-th reason; None: not at all."""

    async def acknowledge(peer: Peer) -> None:
        await peer.welcome()
        for answer in answers:
            body = await peer.until(PUBLISH)
            at = 2 + int.from_bytes(body[:2], "big")
            if answer is not None:
                peer.say(bytes((PUBACK, 3)) + body[at : at + 2] + bytes((answer,)))
        await silence(peer)

    async with peer(acknowledge) as address:
        client = await heard.open(address)
        yield client
        await client.close()


async def test_what_an_acknowledgement_says(heard: Heard) -> None:
    async with answered_with(heard, 0x00, 0x10, 0x87, 0x97, 0x80, 0x00) as client:
        publication = Publication(topic="earshot/a/b/c/d", payload=b"x")
        assert await soon(client.deliver(publication))
        assert not await soon(client.deliver(publication)), "nobody is subscribed"
        with pytest.raises(BrokerRefused, match="earshot/a/b/c/d") as caught:
            await soon(client.deliver(publication))
        assert "access list" in caught.value.remedy
        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match="did not take") as gone:
                await soon(client.deliver(publication))
            assert not isinstance(gone.value, BrokerRefused)
        assert await soon(client.deliver(publication)), "one refusal is not the end"
        assert heard.lost == []


@pytest.mark.parametrize("topic", ["a/#", "a/+/b", "x" * 70_000])
async def test_a_topic_that_is_none_is_our_error(heard: Heard, topic: str) -> None:
    async with answered_with(heard, 0) as client:
        with pytest.raises(BrokerError) as caught:
            await soon(client.deliver(Publication(topic=topic, payload=b"")))
        assert not isinstance(caught.value, BrokerUnavailable), "trying again would not help"
        assert await soon(client.deliver(Publication(topic="t", payload=b"")))


@pytest.mark.parametrize("text", ["x" * 70_000, "\udcff"])
async def test_a_property_that_cannot_be_written_is_our_error(heard: Heard, text: str) -> None:
    async with answered_with(heard, 0) as client:
        with pytest.raises(BrokerError, match="cannot carry"):
            await soon(client.deliver(Publication(topic="t", payload=b"", user_properties=(("a", text),))))
        assert await soon(client.deliver(Publication(topic="t", payload=b"")))


async def test_whoever_gives_up_waiting_harms_nobody_else(heard: Heard) -> None:
    async with answered_with(heard, None, 0) as client:
        publication = Publication(topic="t", payload=b"")
        impatient = asyncio.create_task(client.deliver(publication))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait((impatient,))
        assert await soon(client.deliver(publication))


async def test_what_waits_for_an_answer_hears_of_the_end(heard: Heard) -> None:
    async def leave(peer: Peer) -> None:
        await peer.welcome()
        await peer.until(PUBLISH)

    async with peer(leave) as address:
        client = await heard.open(address)
        for what in (
            client.deliver(Publication(topic="t", payload=b"")),
            client.ping(),
            client.subscribe("t"),
        ):
            with pytest.raises(BrokerUnavailable, match="connection was lost"):
                await soon(what)
        with pytest.raises(BrokerUnavailable):
            client.acknowledge([1])
        assert len(heard.lost) == 1
        await client.close()
        await client.close()
    assert len(heard.lost) == 1


@pytest.mark.parametrize("reason", [0x80, 0x87, 0x8F, 0x9E])
async def test_a_subscription_that_is_not_allowed_names_the_filter(heard: Heard, reason: int) -> None:
    async def forbid(peer: Peer) -> None:
        await peer.welcome()
        body = await peer.until(SUBSCRIBE)
        peer.say(bytes((SUBACK, 4)) + body[:2] + bytes((0, reason)))
        await silence(peer)

    async with peer(forbid) as address:
        client = await heard.open(address)
        with pytest.raises(BrokerRefused, match=r"\$share/workers/earshot/#"):
            await soon(client.subscribe("$share/workers/earshot/#"))
        await client.close()


async def test_answers_to_what_nobody_asked_are_nothing(heard: Heard) -> None:
    async def chatter(peer: Peer) -> None:
        await peer.welcome(WELCOME + bytes.fromhex("4002 0123 9004 0123 0000 b004 0123 0000 d000"))
        body = await peer.until(UNSUBSCRIBE)
        peer.say(bytes((UNSUBACK, 4)) + body[:2] + b"\x00\x11")
        await silence(peer)

    async with peer(chatter) as address:
        client = await heard.open(address)
        await soon(client.ping())
        assert heard.lost == []
        await client.close()


# -- receiving


def publication(packet_id: int, topic: bytes = b"t", payload: bytes = b"x", *, qos: int = 1) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic
    body += packet_id.to_bytes(2, "big") if qos else b""
    return bytes((PUBLISH | qos << 1, len(body) + 1 + len(payload))) + body + b"\x00" + payload


async def test_no_more_is_read_than_the_window_is_wide(heard: Heard) -> None:
    async def pour(peer: Peer) -> None:
        await peer.welcome()
        for number in range(1, 9):
            peer.say(publication(number, payload=b"%d" % number))
        acknowledged = [int.from_bytes((await peer.until(PUBACK))[:2], "big") for _ in range(8)]
        peer.say(publication(99, payload=bytes(acknowledged)))
        await silence(peer)

    async with peer(pour) as address:
        client = await heard.open(address, window=3)
        await until(lambda: len(heard.publications) == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(heard.publications) == 3
        client.acknowledge([1])
        await until(lambda: len(heard.publications) == 4)
        for number in range(2, 9):
            await until(lambda: heard.publications[-1].packet_id >= number)  # noqa: B023
            client.acknowledge([number])
        await until(lambda: heard.publications[-1].packet_id == 99)
        assert heard.publications[-1].payload == bytes(range(1, 9))
        await client.close()


async def test_each_message_without_a_packet_id_has_a_number_of_its_own(heard: Heard) -> None:
    async def pour(peer: Peer) -> None:
        await peer.welcome()
        for _ in range(3):
            peer.say(publication(0, qos=0))
        peer.say(publication(7))
        body = await peer.until(PUBACK)
        peer.say(publication(9, payload=body))
        await silence(peer)

    async with peer(pour) as address:
        client = await heard.open(address, window=9)
        await until(lambda: len(heard.publications) == 4)
        numbers = [one.packet_id for one in heard.publications]
        assert len(set(numbers)) == 4
        client.acknowledge(numbers)
        await until(lambda: len(heard.publications) == 5)
        assert heard.publications[-1].payload[:2] == b"\x00\x07", (
            "the first that was acknowledged on the wire"
        )
        await client.close()


async def test_a_topic_that_is_no_text_is_acknowledged_and_dropped(heard: Heard) -> None:
    async def mumble(peer: Peer) -> None:
        await peer.welcome()
        peer.say(publication(5, b"\xff\xfe"))
        body = await peer.until(PUBACK)
        peer.say(publication(6, payload=body))
        await silence(peer)

    async with peer(mumble) as address:
        client = await heard.open(address, window=1)
        await until(lambda: heard.publications)
        assert [one.payload[:2] for one in heard.publications] == [b"\x00\x05"]
        await client.close()


@given(st.lists(st.integers(1, 40), max_size=12))
@settings(max_examples=15)
async def test_however_the_bytes_come_the_messages_are_the_same(cuts: list[int]) -> None:
    heard = Heard()
    sent = b"".join(publication(number, b"topic", b"%d" % number) for number in range(1, 8))

    async def dribble(peer: Peer) -> None:
        await peer.welcome()
        rest = sent
        for cut in cuts:
            peer.say(rest[:cut])
            rest = rest[cut:]
            await asyncio.sleep(0)
        peer.say(rest)
        await silence(peer)

    async with peer(dribble) as address:
        client = await heard.open(address, window=20)
        await until(lambda: len(heard.publications) == 7)
        await client.close()
    assert [one.payload for one in heard.publications] == [b"%d" % number for number in range(1, 8)]
    assert {one.topic for one in heard.publications} == {"topic"}


async def test_a_goodbye_that_is_not_answered_is_not_waited_for_long(heard: Heard) -> None:
    said: list[int] = []

    async def ignore(peer: Peer) -> None:
        await peer.welcome()
        while True:
            said.append((await peer.read())[0])

    async with peer(ignore) as address:
        client = await heard.open(address)
        await soon(client.close())
        await until(lambda: said == [DISCONNECT])
    assert heard.lost == [], "it was not lost: we left"


async def test_a_goodbye_that_is_cut_short_leaves_nothing_open(heard: Heard) -> None:
    over = asyncio.Event()

    async def read_nothing(peer: Peer) -> None:
        await peer.welcome()
        await over.wait()

    async with peer(read_nothing) as address:
        client = await heard.open(address)
        for _ in range(200):
            client._client.publish("topic", bytes(100_000))
        leaving = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        assert not client.closed.done(), "the goodbye waits behind all that"
        leaving.cancel()
        await asyncio.wait({leaving})
        assert client.closed.done()
        assert client._client.socket().fileno() == -1
        over.set()  # from Python 3.12 on a server waits for who serves
