"""RabbitMQ, over AMQP 0-9-1: what a topic, a key, a group and a confirmation are there.

A topic is a durable topic exchange ``<namespace>.<topic>``, a key is ``user.device.session``. A group is a
durable queue (a quorum queue where the server has them) that its members share; without a group it is
an exclusive queue that goes with the connection. Every message is persistent and confirmed.

Each consumer has a channel of its own: closing it gives back what is unsettled, at once and in order.
What goes wrong on a channel ends the whole connection, and the next one declares everything again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import aio_pika
import msgspec
from aiormq import exceptions as errors
from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from gateway.broker.address import Address, without_secrets
from gateway.broker.backends.cancellation import heeded
from gateway.broker.backends.work import Work
from gateway.broker.base import (
    CANNOT_TELL,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    Durability,
    Message,
)
from gateway.broker.buffer import Readership
from gateway.broker.envelope import one_token, seconds, spell_key, texts
from gateway.broker.patterns import EVERYTHING, Pattern, PatternKind
from gateway.broker.wire import Consumer, Demand, Intake, OnLost, RawMessage, ServerFacts, Token
from gateway.contract.messages import PRIORITY_HEADER, RESULTS_TOPIC
from transcription.priority import Priority

for _library in ("aio_pika", "aiormq"):  # where nobody has set up logging: what they lament is in our errors
    logging.getLogger(_library).addHandler(logging.NullHandler())

HEARTBEAT_SECONDS = 2
"""The server misses a dead connection after two to three times that, and delivers what it sent there again. A lease is
free by then, and not before its time."""
MAX_TEXT_BYTES = 255
"""Of what AMQP calls a short string."""
MAX_NAME_BYTES = 127
"""Of an exchange or a queue."""
MAX_PREFETCH = 65_535
MAX_DELIVERIES = 1_000_000
"""A quorum queue drops what it has delivered so often. Newer servers would at 20, which a crash loop
reaches; and without any limit, what is given back would go behind what came later."""
QUORUM_SINCE = (3, 8)
TIMESTAMP_HEADER = "earshot-timestamp"
"""Unix seconds with their fraction; AMQP's own timestamp has none."""
DELIVERIES_HEADER = "x-delivery-count"
URGENT, HIGH = 9, 5
"""AMQP's own priority of what is urgent, and from which on another's message is. Nothing else has one: a message
without is the lowest there is, and shall be a normal one."""
ROUTING_HEADERS = frozenset({"CC", "BCC"})
"""Further keys that a message is to be routed by: the server takes lists only, and closes the channel for any
text. A dead letter shall not go where its message went, anyway."""

_BINDINGS: Final[Mapping[PatternKind, str]] = {
    PatternKind.EVERYTHING: "#",
    PatternKind.SESSION: "*.*.{}",
    PatternKind.DEVICE: "*.{}.*",
    PatternKind.USER: "{}.*.*",
}


async def connect(address: Address, on_lost: OnLost) -> RabbitWire:
    """Log in, and declare the queues in which results are kept from the very first on."""
    with _translated(address, _LOGIN_REMEDIES[address.settings.amqp_sasl]):
        connection = await aio_pika.connect(
            host=address.host,
            port=address.port,
            login=address.username or "guest",
            password="guest" if address.password is None else address.password,
            virtualhost=address.path or "/",
            ssl=address.tls is not None,
            ssl_context=address.tls,
            heartbeat=HEARTBEAT_SECONDS,
            name=address.client_id,
            auth=address.settings.amqp_sasl.lower(),
        )
    wire = RabbitWire(address, connection, on_lost)
    try:
        await wire.begin()
    except BaseException:
        await wire.close()
        raise
    return wire


class RabbitWire:
    """``Wire`` of one AMQP connection."""

    def __init__(
        self, address: Address, connection: aio_pika.abc.AbstractConnection, on_lost: OnLost
    ) -> None:
        self.facts = _facts(connection)
        self.address = address
        self._connection = connection
        self._on_lost = on_lost
        self._exchanges: dict[str, str] = {}
        self._channels: set[AbstractChannel] = set()
        self._work = Work(on_lost)
        self.start = self._work.start
        connection.close_callbacks.add(self._lost)

    async def begin(self) -> None:
        """What every connection needs. Raises BrokerUnavailable."""
        self._publishing = await self.open_channel()
        self._declaring = await self.open_channel()
        for group in self.address.settings.keep_for_groups:
            await self._declare_queue(Readership(RESULTS_TOPIC, EVERYTHING, group))

    async def open_channel(self) -> AbstractChannel:
        """A new channel. If it ends otherwise than by us, so does the connection."""
        with _translated(self.address):
            channel = await self._new_channel()
        self._channels.add(channel)
        channel.closing.add_done_callback(lambda _: self._channel_ended(channel))
        return channel

    async def close_channel(self, channel: AbstractChannel) -> None:
        """End it in peace. Raises BrokerUnavailable."""
        self._channels.discard(channel)
        with _translated(self.address):
            await channel.close()

    async def publish(self, message: Message) -> Durability:
        """Confirmed: every durable queue that wants it has it on its disk; ``memory``: no queue wants it."""
        with _translated(self.address):
            answer = await self._publishing.basic_publish(
                message.payload,
                exchange=self._exchanges.get(message.topic) or await self._declare_exchange(message.topic),
                routing_key=spell_key(message.routing_key),
                properties=_properties(message),
                mandatory=True,
            )
        return Durability.MEMORY if isinstance(answer, DeliveredMessage) else self.facts.durability

    async def consume(self, demand: Demand, intake: Intake) -> Consumer:
        """As in the contract."""
        queue = await self._declare_queue(demand.readership)
        channel = await self.open_channel()
        prefetch = min(demand.prefetch, MAX_PREFETCH)
        if demand.readership.on_demand:
            return OnDemandRabbitConsumer(self, channel, intake, prefetch, queue)
        consumer = RabbitConsumer(self, channel, intake, prefetch)
        channel.on_consumer_cancel_callbacks.add(lambda _: self._on_lost(f"the queue {queue} was deleted"))
        try:
            with _translated(self.address):
                async with asyncio.timeout(self.address.settings.confirm_seconds):
                    await channel.basic_qos(prefetch_count=prefetch)
                    await channel.basic_consume(queue, consumer.delivered)
        except TimeoutError as error:
            raise BrokerUnavailable(
                f"{self.address}: the queue {queue} does not answer",
                "wait until it has a leader; delete it if it never has one",
            ) from error
        return consumer

    async def readers(self, topic: str, group: str) -> int:
        """Of the queues that we know of: AMQP does not list the others."""
        groups = (group,) if group else self.address.settings.keep_for_groups
        with _translated(self.address):
            found = [await self._consumers(Readership(topic, EVERYTHING, group)) for group in groups]
        return sum(consumers or 0 for consumers in found)

    async def waiting(self, topic: str, group: str) -> int:
        """Messages of its queue that no consumer was given."""
        with _translated(self.address):
            declared = await self._declared(Readership(topic, EVERYTHING, group))
        return CANNOT_TELL if declared is None else declared.message_count or 0

    async def abandon(self, readership: Readership) -> bool:
        """Delete its queue. Quorum queues cannot be deleted "if unused", so it is looked first."""
        with _translated(self.address):
            consumers = await self._consumers(readership)
            if consumers == 0:
                channel = await self._new_channel()  # a refusal ends it
                await channel.queue_delete(self._queue_name(readership))
                await channel.close()
        return not consumers

    async def lease(self, name: str, holder: str, seconds: float) -> str:  # noqa: ARG002 - the connection is the lease
        """A queue that no other connection may have: the server gives it free when this one ends, or falls silent."""
        with _translated(self.address):
            trial = await self._new_channel()  # the answer that another has it ends it
            try:
                await trial.queue_declare(
                    _name(self.address.settings.namespace, "lease", name), exclusive=True
                )
            except (errors.ChannelLockedResource, errors.ChannelNotFoundEntity):
                return ""
            await trial.close()
        return holder

    async def release(self, name: str, holder: str) -> None:  # noqa: ARG002
        """Delete it; another's cannot be."""
        with _translated(self.address):
            trial = await self._new_channel()
            try:
                await trial.queue_delete(_name(self.address.settings.namespace, "lease", name))
            except (errors.ChannelLockedResource, errors.ChannelNotFoundEntity):
                return
            await trial.close()

    async def ping(self) -> None:
        """The heartbeat notices a dead server after half a minute; this does when it is asked."""
        with _translated(self.address):
            await self._declaring.exchange_declare("amq.topic", passive=True)

    async def close(self) -> None:
        """Say goodbye. Idempotent."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        with suppress(BrokerUnavailable), _translated(self.address):
            await self._connection.close()

    def _lost(self, _sender: object, error: BaseException | None) -> None:
        self._on_lost(_in_words(error, self.address))

    def _channel_ended(self, channel: AbstractChannel) -> None:
        if channel in self._channels:
            self._channels.discard(channel)
            self._lost(channel, None if channel.closing.cancelled() else channel.closing.exception())

    async def _new_channel(self) -> AbstractChannel:
        if self._connection.transport is None:
            raise errors.ChannelInvalidStateError("the connection is closed")
        return await self._connection.transport.connection.channel(on_return_raises=False)

    # -- topology

    def _queue_name(self, readership: Readership) -> str:
        return _queue_name(self.address.settings.namespace, readership)

    async def _declare_exchange(self, topic: str) -> str:
        name = _name(self.address.settings.namespace, topic)
        await self._declaring.exchange_declare(name, exchange_type="topic", durable=True)
        self._exchanges[topic] = name
        return name

    async def _declare_queue(self, readership: Readership) -> str:
        """Raises BrokerUnavailable."""
        pattern = readership.pattern
        with _translated(self.address):
            exchange = await self._declare_exchange(readership.topic)
            if readership.group:
                queue = await self._declare_shared_queue(readership)
            else:
                declared = await self._declaring.queue_declare("", exclusive=True, auto_delete=True)
                queue = declared.queue or ""
            await self._declaring.queue_bind(queue, exchange, _binding(pattern))
        return queue

    async def _declare_shared_queue(self, readership: Readership) -> str:
        """One that is there already is taken as it is, whoever declared it and how."""
        name = self._queue_name(readership)
        if await self._consumers(readership) is None:
            await self._declaring.queue_declare(name, durable=True, arguments=self._queue_arguments())
        return name

    async def _consumers(self, readership: Readership) -> int | None:
        """How many a group's queue has; None: there is no such queue."""
        declared = await self._declared(readership)
        return None if declared is None else declared.consumer_count or 0

    async def _declared(self, readership: Readership) -> Any:
        """What the server says of a group's queue; None: there is no such queue."""
        trial = await self._new_channel()  # the answer that there is none ends it
        try:
            declared = await trial.queue_declare(self._queue_name(readership), passive=True)
        except errors.ChannelNotFoundEntity:
            return None
        await trial.close()
        return declared

    def _queue_arguments(self) -> dict[str, Any]:
        bound = {"x-max-length": self.address.settings.stream_messages, "x-overflow": "drop-head"}
        if not _has_quorum_queues(self.facts):
            return bound
        return {"x-queue-type": "quorum", "x-delivery-limit": MAX_DELIVERIES, **bound}


class RabbitConsumer:
    """``Consumer`` on a channel of its own."""

    place = ""

    def __init__(self, wire: RabbitWire, channel: AbstractChannel, intake: Intake, prefetch: int) -> None:
        self._wire = wire
        self._channel = channel
        self._intake = intake
        self._prefetch = prefetch

    async def delivered(self, message: DeliveredMessage) -> None:
        """A message has come."""
        self._intake.take(_received(message))

    async def settle(self, tokens: Sequence[Token]) -> None:
        """AMQP does not confirm an acknowledgement; the answer to what is asked behind it proves that it came."""
        with _translated(self._wire.address):
            for tag in tokens:
                await self._channel.basic_ack(tag, wait=tag == tokens[-1])
            await self._channel.basic_qos(prefetch_count=self._prefetch)  # as it is already

    async def renew(self, tokens: Sequence[Token]) -> None:
        """There are no leases."""

    async def close(self, unsettled: Sequence[Token]) -> None:
        """The end of its channel gives back all that is unsettled, and deletes a queue of its own."""
        del unsettled
        await self._wire.close_channel(self._channel)


class OnDemandRabbitConsumer(RabbitConsumer):
    """It consumes as long as there is room, and then no longer, so that nothing waits here while others have time."""

    def __init__(
        self, wire: RabbitWire, channel: AbstractChannel, intake: Intake, prefetch: int, queue: str
    ) -> None:
        super().__init__(wire, channel, intake, prefetch)
        self._queue = queue
        self._task = wire.start(self._consume(), f"rabbitmq {queue}")

    async def _consume(self) -> None:
        while True:
            self._prefetch = min(await self._intake.room(), MAX_PREFETCH)
            with _translated(self._wire.address):
                await self._channel.basic_qos(prefetch_count=self._prefetch)
                begun = await self._channel.basic_consume(self._queue, self.delivered)
            await self._intake.spent()
            with _translated(self._wire.address):
                await self._channel.basic_cancel(begun.consumer_tag or "")

    async def close(self, unsettled: Sequence[Token]) -> None:
        """As its base."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await super().close(unsettled)


# -- messages


# The library hangs up on what it cannot read; the server delivers that again on the next connection, and so for ever.


class _Properties(spec.Basic.Properties):
    """As far as they can be read; a stranger may say that it is the year 40,000."""

    def unmarshal(self, flags: int, data: bytes) -> None:
        """As its base's, without raising."""
        with suppress(ValueError, OverflowError, struct.error):
            super().unmarshal(flags, data)


class _Deliver(spec.Basic.Deliver):
    """With a routing key that is text, whatever stands there."""

    def unmarshal(self, data: bytes) -> None:
        """As its base's. The key is last, after a name, nine bytes and another name; it goes to the dead letters."""
        key_at = 1 + data[0] + 9
        key_at += 1 + data[key_at]
        key = data[key_at + 1 :].decode("utf-8", "replace").replace("\ufffd", "?").encode()
        super().unmarshal(data[:key_at] + bytes((len(key),)) + key)


spec.Basic.Properties = _Properties  # type: ignore[misc]
spec.Basic.Deliver = spec.INDEX_MAPPING[_Deliver.index] = _Deliver  # type: ignore[misc]


def _properties(message: Message) -> spec.Basic.Properties:
    """Raises BrokerError when a text is too long for AMQP."""
    short = {
        "message id": message.message_id,
        "correlation id": message.correlation_id,
        "reply-to": message.reply_to,
        "content type": message.content_type,
        **{f"header's name {name!r:.40}": name for name in message.headers},
    }
    headers = {name: value for name, value in message.headers.items() if name not in ROUTING_HEADERS}
    for what, text in short.items():
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise BrokerError(f"the {what} is longer than RabbitMQ's {MAX_TEXT_BYTES} bytes")
    return aio_pika.Message(
        b"",
        content_type=message.content_type,
        correlation_id=message.correlation_id or None,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers={**headers, TIMESTAMP_HEADER: repr(message.timestamp)},
        message_id=message.message_id,
        priority=URGENT if headers.get(PRIORITY_HEADER) == Priority.URGENT else None,
        reply_to=message.reply_to or None,
        timestamp=int(message.timestamp),
    ).properties


def _received(message: DeliveredMessage) -> RawMessage:
    properties = message.header.properties
    headers = texts(properties.headers or {})
    stamp = seconds(headers.pop(TIMESTAMP_HEADER, ""))
    if not stamp and properties.timestamp is not None:
        stamp = properties.timestamp.timestamp()
    if (properties.priority or 0) >= HIGH:
        headers.setdefault(PRIORITY_HEADER, Priority.URGENT.value)
    deliveries = headers.pop(DELIVERIES_HEADER, "")[:9]  # on a classic queue it is whoever's who published it
    return RawMessage(
        key=message.routing_key or "",
        payload=message.body,
        token=message.delivery_tag,
        attempt=1 + (int(deliveries) if deliveries.isdecimal() else bool(message.redelivered)),
        message_id=properties.message_id or "",
        correlation_id=properties.correlation_id or "",
        reply_to=properties.reply_to or "",
        content_type=properties.content_type or "",
        timestamp=stamp,
        headers=headers,
    )


def _queue_name(namespace: str, readership: Readership) -> str:
    return _name(namespace, readership.topic, readership.group, str(readership.pattern))


def _binding(pattern: Pattern) -> str:
    return _BINDINGS[pattern.kind].format(one_token(pattern.token))


def _name(*parts: str) -> str:
    """The parts joined by dots, shortened with a digest where AMQP has no room for it."""
    name = ".".join(part for part in parts if part)
    if len(name) <= MAX_NAME_BYTES:
        return name
    return f"{name[: MAX_NAME_BYTES - 17]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


# -- the server


def _facts(connection: aio_pika.abc.AbstractConnection) -> ServerFacts:
    assert connection.transport is not None
    told = texts(connection.transport.connection.server_properties)
    facts = ServerFacts(
        name=told.get("product", "AMQP server"), version=told.get("version", ""), durability=Durability.FSYNC
    )
    if _has_quorum_queues(facts):
        return facts
    weakness = (
        f"{facts.name} {facts.version} has no quorum queues: a group's messages are in a classic queue. "
        "Use RabbitMQ 3.8 or newer."
    )
    return msgspec.structs.replace(facts, weaknesses=(weakness,))


def _has_quorum_queues(facts: ServerFacts) -> bool:
    version = tuple(int(part) for part in facts.version.split(".")[:2] if part.isdecimal())
    return facts.name == "RabbitMQ" and version >= QUORUM_SINCE


# -- errors


@contextmanager
def _translated(address: Address, remedies: _Remedies | None = None) -> Iterator[None]:
    """Whatever the client library raises, as BrokerUnavailable or BrokerRefused."""
    try:
        with heeded():
            yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The library cancels what waits on a connection that ends.
        raise BrokerUnavailable(_in_words(None, address)) from error
    except TimeoutError:
        raise
    except (errors.AMQPError, OSError, RuntimeError, ValueError) as error:
        raise _unavailable(error, address, remedies or _REMEDIES) from error


def _unavailable(error: Exception, address: Address, remedies: _Remedies) -> BrokerUnavailable:
    reason = _in_words(error, address)
    for kind, remedy in remedies.items():
        if isinstance(error, kind) or isinstance(error.__cause__, kind):
            return BrokerRefused(reason, remedy.format(namespace=address.settings.namespace))
    if address.tls is not None and isinstance(error.__cause__, ConnectionResetError):
        return BrokerUnavailable(
            reason, "if the broker wants a certificate of ours, set broker.tls.cert_file"
        )
    return BrokerUnavailable(reason, "start RabbitMQ, or correct broker.url")


_Remedies: TypeAlias = Mapping[type[Exception], str]

_REMEDIES: Final[_Remedies] = {
    errors.ChannelAccessRefused: "give the user the rights to configure, write and read {namespace}.*",
    errors.ChannelPreconditionFailed: "delete the exchange or queue of that name; it is of another kind than ours",
}
_CONNECTING: Final[_Remedies] = {
    # How the library reports a server that closes the connection where it should have opened the host.
    errors.InvalidFrameError: "create the virtual host that broker.url names, and let the user use it",
    errors.ConnectionNotAllowed: "create the virtual host that broker.url names, and let the user use it",
    ssl.SSLError: "correct ca_file, cert_file and key_file under broker.tls",
}
_LOGIN_REMEDIES: Final[Mapping[str, _Remedies]] = {
    "PLAIN": {
        errors.ProbableAuthenticationError: "correct the user and password in broker.url or broker.password_file",
        errors.AuthenticationError: "let the server accept PLAIN logins, or set broker.amqp_sasl",
        **_CONNECTING,
    },
    "EXTERNAL": {
        errors.ProbableAuthenticationError: "make the user that broker.tls.cert_file names (RabbitMQ's "
        "ssl_cert_login_from says by which of its names)",
        errors.AuthenticationError: "let the server accept EXTERNAL logins (its plugin rabbitmq_auth_mechanism_ssl, "
        "auth_mechanisms, ssl_options.verify = verify_peer), or set broker.amqp_sasl",
        **_CONNECTING,
    },
}


def _in_words(error: BaseException | None, address: Address) -> str:
    text = "the connection was lost"
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif error is not None and str(error):
        text = str(error)
    return without_secrets(f"{address}: {text}", address)
