"""MQTT: what a topic, a key, a group and a confirmation are there.

A message goes to ``<namespace>/<topic, / for .>/<user>/<device>/<session>`` at QoS 1. Every subscription is a
connection of its own, because its window (MQTT 5's Receive Maximum) and what is kept for it belong
to a connection: a group's is ``$share/<group>/...`` in a session that the broker keeps, and one
without a group begins anew each time. What is in a session stays there until its owner comes back.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from firmware_bridge.carriers.mqtt_connection import TAKEN_OVER, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.broker.address import Address
from gateway.broker.backends.mqtt_client import NAMESAKE, MqttClient
from gateway.broker.base import (
    CANNOT_TELL,
    BadRoutingKey,
    BrokerRefused,
    BrokerUnavailable,
    Durability,
    Message,
)
from gateway.broker.buffer import Readership
from gateway.broker.envelope import one_token, seconds
from gateway.broker.patterns import PatternKind, check_topic
from gateway.broker.wire import (
    GATHER_SECONDS,
    Consumer,
    Demand,
    Intake,
    OnLost,
    RawMessage,
    ServerFacts,
    Token,
)
from gateway.settings.broker import NAMESPACE

SESSION_SECONDS = 7 * 86_400
"""A group's member that has been away for so long is forgotten, with what was kept for it."""
VERSION_SECONDS = 0.2
"""How long the broker's own word on its version is waited for."""
JUDGE_SECONDS = 0.5
"""How long the connection that publishes is waited for, when another one is lost."""
PLACES = 1_000
"""Processes of one machine that read as one group."""
SOCKET_NAME_BYTES = 107
"""Of a Unix socket's name, in the kernels that we know; what is longer is refused."""
MESSAGE_ID = "message_id"
TIMESTAMP = "earshot-timestamp"

OLD = "MQTT 3.1.1 carries topic and body only: headers are lost, and ids come from the body. Use a broker with MQTT 5."
UNTOLD = (
    "MQTT cannot say whether what it acknowledged survives the broker's death. Let the broker write every change to "
    "its disk (Mosquitto: persistence true, autosave_interval 1, autosave_on_changes true), and say so in "
    "broker.mqtt_durability."
)
UNSHARED = "The broker has no shared subscriptions: each member of a group gets every message."

_FILTERS: Final[Mapping[PatternKind, str]] = {
    PatternKind.EVERYTHING: "+/+/+",
    PatternKind.SESSION: "+/+/{}",
    PatternKind.DEVICE: "+/{}/+",
    PatternKind.USER: "{}/+/+",
}


async def connect(address: Address, on_lost: OnLost) -> MqttWire:
    """Log in, and learn what the broker is."""
    version: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def told(publication: Publication) -> None:
        if not version.done():
            version.set_result(publication.payload.decode("utf-8", "replace"))

    name = f"{address.client_id}-{secrets.token_hex(4)}"
    client = await MqttClient.reach(address, MqttSession(client_id=name), told, on_lost)
    try:
        with suppress(BrokerRefused):
            await client.subscribe("$SYS/broker/version")
            await asyncio.wait((version,), timeout=VERSION_SECONDS)
    except BaseException:
        client.abort()
        raise
    return MqttWire(address, client, on_lost, version.result() if version.done() else "")


class MqttWire:
    """``Wire`` of one connection that publishes, and one more for each consumer."""

    def __init__(self, address: Address, client: MqttClient, on_lost: OnLost, version: str) -> None:
        self.facts = _facts(address, client, version)
        self._address = address
        self._namespace = address.settings.namespace
        self._client = client
        self._on_lost = on_lost
        self._consumers: set[MqttConsumer] = set()
        self._wanted: dict[str, bool] = {}
        self._doubts: set[asyncio.Task[None]] = set()

    async def publish(self, message: Message) -> Durability:
        """Acknowledged by the broker. ``memory`` also where MQTT 5 says that nobody is subscribed."""
        wanted = self._wanted[message.topic] = await self._client.deliver(
            _publication(message, self._namespace)
        )
        return self.facts.durability if wanted else Durability.MEMORY

    async def consume(self, demand: Demand, intake: Intake) -> Consumer:
        """As in the contract."""
        consumer = MqttConsumer(
            self._namespace, demand.readership, intake, self._consumers.discard, modern=self._client.modern
        )
        self._consumers.add(consumer)
        try:
            await consumer.begin(self._address, demand, self._consumer_lost)
        except BaseException:
            consumer.abort()
            raise
        return consumer

    async def readers(self, topic: str, group: str) -> int:  # noqa: ARG002
        """A client is not told of others; of what it published last, MQTT 5 says whether nobody is subscribed."""
        return CANNOT_TELL if self._wanted.get(topic, False) else 0

    async def abandon(self, readership: Readership) -> bool:  # noqa: ARG002
        """A session goes by itself, seven days after its owner."""
        return True

    async def ping(self) -> None:
        """A round trip on every connection."""
        await asyncio.gather(self._client.ping(), *(consumer.ping() for consumer in self._consumers))

    async def close(self) -> None:
        """Say goodbye. Idempotent."""
        for doubt in self._doubts:
            doubt.cancel()
        consumers = list(self._consumers)
        await asyncio.gather(self._client.close(), *(consumer.close(()) for consumer in consumers))

    def _consumer_lost(self, reason: str, remedy: str = "", /) -> None:
        if remedy:
            self._on_lost(reason, remedy)
            return
        doubt = asyncio.ensure_future(self._judge(reason))
        self._doubts.add(doubt)
        doubt.add_done_callback(self._doubts.discard)

    async def _judge(self, reason: str) -> None:
        """Whether the broker has ended that connection alone: for another one of its client id, and few say so."""
        try:
            async with asyncio.timeout(JUDGE_SECONDS):
                await self._client.ping()
        except (BrokerUnavailable, TimeoutError):
            self._on_lost(reason)
        else:
            self._on_lost(f"{reason}, and no other: {TAKEN_OVER}", NAMESAKE)


class MqttConsumer:
    """``Consumer`` on a connection of its own."""

    place = ""

    def __init__(
        self,
        namespace: str,
        readership: Readership,
        intake: Intake,
        forget: Callable[[MqttConsumer], None],
        *,
        modern: bool,
    ) -> None:
        self._readership = readership
        self._namespace = namespace
        self._prefix = f"{_levels(namespace, readership.topic)}/"
        self._intake = intake
        self._forget = forget
        self._modern = modern
        self._client: MqttClient | None = None
        self._place: _Place | None = None

    async def begin(self, address: Address, demand: Demand, on_lost: OnLost) -> None:
        """Raises BrokerUnavailable or BrokerRefused."""
        if self._readership.group:
            place = self._place = _Place(
                f"{address.client_id}-{_session_name(self._namespace, self._readership)}"
            )
            session = MqttSession(client_id=place.name, seconds=SESSION_SECONDS, window=demand.prefetch)
        else:
            session = MqttSession(client_id=f"{address.client_id}-{demand.name}", window=demand.prefetch)
        self._client = await MqttClient.reach(address, session, self._received, on_lost, modern=self._modern)
        await self._client.subscribe(_topic_filter(self._prefix, self._readership, self._client))

    async def ping(self) -> None:
        """A round trip."""
        if self._client is not None:
            await self._client.ping()

    async def settle(self, tokens: Sequence[Token]) -> None:
        """MQTT does not confirm an acknowledgement; this returns when all are on their way."""
        assert self._client is not None
        self._client.acknowledge(tokens)

    async def renew(self, tokens: Sequence[Token]) -> None:
        """There are no leases."""

    async def close(self, unsettled: Sequence[Token]) -> None:
        """A group's session stays, and what is unsettled in it, until a member comes back to it."""
        del unsettled
        try:
            if self._client is not None:
                await self._client.close()
        finally:
            self.abort()

    def abort(self) -> None:
        """Be gone, without a word. Idempotent."""
        if self._client is not None:
            self._client.abort()
        if self._place is not None:
            self._place.leave()
        self._forget(self)

    def _received(self, publication: Publication) -> None:
        self._intake.take(
            _received(publication, publication.topic.removeprefix(self._prefix), self._namespace)
        )


class _Place:
    """A session's name that no other process of this machine has: the first that is free.

    A broker that is told one name by two processes throws each out for the other. The name is held by
    binding a socket to it that lies in no folder and is gone with its process, however that dies.
    """

    def __init__(self, base: str) -> None:
        """Raises BrokerUnavailable when this machine gives no such socket, or has too many already."""
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError as error:
            raise _no_place(error) from error
        try:
            self.name = self._take_first(base)
        except OSError as error:
            self._socket.close()
            raise _no_place(error) from error

    def _take_first(self, base: str) -> str:
        for number in range(PLACES):
            name = f"{base}-{number}"
            try:
                self._socket.bind(_socket_name(name))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return name
        raise OSError(errno.EADDRINUSE, f"{PLACES} processes have names like this")

    def leave(self) -> None:
        """Let somebody else have it. Idempotent."""
        self._socket.close()


# -- names


def _no_place(error: OSError) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"this machine gives no name for the broker's session: {error.strerror or error}"
    )


def _socket_name(name: str) -> str:
    """In Linux's abstract namespace; ``name`` itself where the kernel has room for it."""
    plain = f"\0earshot/{name}"
    if len(plain) <= SOCKET_NAME_BYTES:
        return plain
    return f"\0earshot/{hashlib.sha256(name.encode()).hexdigest()}"


def _session_name(namespace: str, readership: Readership) -> str:
    house = "" if namespace == NAMESPACE else f"{namespace} "
    digest = hashlib.sha256(f"{house}{readership.topic} {readership.pattern}".encode()).hexdigest()[:12]
    return f"{readership.group}-{digest}"


def _topic_filter(prefix: str, readership: Readership, client: MqttClient) -> str:
    pattern = readership.pattern
    plain = f"{prefix}{_FILTERS[pattern.kind].format(pattern.token)}"
    return (
        f"$share/{readership.group}/{plain}"
        if readership.group and client.has_shared_subscriptions
        else plain
    )


def _levels(namespace: str, topic: str) -> str:
    return f"{namespace}/{topic.replace('.', '/')}"


def _path(namespace: str, topic: str, message: Message) -> str:
    key = message.routing_key
    return f"{_levels(namespace, topic)}/{key.user}/{key.device}/{key.session}"


# -- messages


def _publication(message: Message, namespace: str = NAMESPACE) -> Publication:
    return Publication(
        topic=_path(namespace, message.topic, message),
        payload=message.payload,
        response_topic=_response_topic(namespace, message),
        correlation_data=message.correlation_id.encode(),
        content_type=message.content_type,
        user_properties=(
            (MESSAGE_ID, message.message_id),
            (TIMESTAMP, repr(message.timestamp)),
            *message.headers.items(),
        ),
    )


def _response_topic(namespace: str, message: Message) -> str:
    """One of our topics is written out, so that an MQTT client can publish there as it is."""
    try:
        return _path(namespace, check_topic(message.reply_to), message)
    except BadRoutingKey:
        return message.reply_to


def _key(levels: str) -> str:
    """With the dots of a device's id, which are no more than characters in a topic, where they would part tokens."""
    user, _, rest = levels.partition("/")
    device, _, session = rest.partition("/")
    return f"{user}.{one_token(device)}.{session}"


def _received(publication: Publication, key: str, namespace: str = NAMESPACE) -> RawMessage:
    headers = dict(publication.user_properties)
    return RawMessage(
        key=_key(key),
        payload=publication.payload,
        token=publication.packet_id,
        attempt=2 if publication.repeated else 1,
        message_id=headers.pop(MESSAGE_ID, ""),
        correlation_id=publication.correlation_data.decode("utf-8", "replace"),
        reply_to=_reply_to(namespace, publication.response_topic, key),
        content_type=publication.content_type,
        timestamp=seconds(headers.pop(TIMESTAMP, "")),
        headers=headers,
    )


def _reply_to(namespace: str, response_topic: str, key: str) -> str:
    topic = response_topic.removeprefix(f"{namespace}/").removesuffix(f"/{key}")
    return topic.replace("/", ".") if topic != response_topic else response_topic


# -- the broker


def _facts(address: Address, client: MqttClient, version: str) -> ServerFacts:
    name, _, number = version.rpartition("version ")
    weaknesses = []
    if not client.modern:
        weaknesses.append(OLD)
    if not client.has_shared_subscriptions:
        weaknesses.append(UNSHARED)
    durability = Durability(address.settings.mqtt_durability)
    if durability is Durability.MEMORY:
        weaknesses.append(UNTOLD)
    return ServerFacts(
        name=name.strip() or f"MQTT {'5' if client.modern else '3.1.1'} broker",
        version=number,
        durability=durability,
        weaknesses=tuple(weaknesses),
        # Restarted, Mosquitto 2.0 has its sessions, but has forgotten which of them share a subscription.
        gather_seconds=GATHER_SECONDS,
    )
