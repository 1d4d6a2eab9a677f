"""NATS JetStream: a stream for each topic, a durable pull consumer for each group and pattern.

``docs/messages.md`` says which subjects and headers there are. Deliveries are leased: what is not
settled goes to another of the group when nobody has said for ``lease_seconds`` that it is being worked
on. Streams are bounded: the oldest messages go, read or not.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from nats import errors
from nats.aio.client import Client
from nats.js import api
from nats.js import errors as js_errors

from gateway.broker.address import Address, without_secrets
from gateway.broker.backends.cancellation import heeded
from gateway.broker.backends.gone import gone_is_os_error
from gateway.broker.backends.nats_consumers import Deliveries, JetStreamConsumer
from gateway.broker.backends.nats_subjects import (
    durable_name,
    filter_subject,
    headers,
    placed,
    stream_name,
    stream_subjects,
    subject,
    unplaced,
)
from gateway.broker.backends.work import Work
from gateway.broker.base import CANNOT_TELL, BrokerRefused, BrokerUnavailable, BufferFull, Durability, Message
from gateway.broker.buffer import Readership
from gateway.broker.patterns import EVERYTHING
from gateway.broker.wire import Demand, Intake, OnLost, ServerFacts, most_kept
from gateway.contract.messages import RESULTS_TOPIC
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

MAX_UNSETTLED = 65_536
"""What all members of a group may have in their hands together; each bounds its own share by prefetch."""
FORGOTTEN_SECONDS = 300.0
"""A consumer without a group that nobody asked for so long is forgotten by the server."""
DUPLICATE_SECONDS = 120.0
"""A message that is published again within this time is dropped by the server."""
PING_SECONDS = 2
JETSTREAM_SHARE = 0.7
"""Of ``broker.connect_seconds``: a server that lets us in and whose JetStream is silent is told from none at all."""

BUCKET_BYTES = 256 * 1024 * 1024
"""What is in it when it is full has to go before more comes."""
DEPOSIT_SECONDS = 3_600.0
"""Nothing in it is older, whatever became of those who should have discarded it."""

HEADER_BYTES = 64
"""What NATS counts of a message beside its payload and the headers' names and values."""

_MESSAGE_TOO_LARGE = 10054
_BYTES_EXCEEDED = 10077
_TOPICS = ("transcription", "orchestrator", "device", "dead", "recognition", "house")
"""Their first words."""


async def connect(address: Address, on_lost: OnLost) -> NatsWire:
    """Log in and see whether there is JetStream. Raises BrokerUnavailable, BrokerRefused."""
    wire = NatsWire(address, on_lost)
    try:
        await wire.begin()
    except BaseException:
        await wire.close()
        raise
    return wire


class NatsWire:
    """``Wire`` over nats-py, whose own reconnecting is off."""

    def __init__(self, address: Address, on_lost: OnLost) -> None:
        self.facts = ServerFacts(name="NATS", version="", durability=Durability.OS)
        self.client = Client()
        self._address = address
        self._settings = address.settings
        self._on_lost = on_lost
        self.streams = Streams(self, address.settings)
        self._objects = Objects(self, address.settings)
        self._leases = LeaseBucket(self, address.settings)
        self._work = Work(on_lost)
        self.start = self._work.start
        self._inbox = self.client.new_inbox()
        self._numbers = itertools.count(1)
        self._unconfirmed: dict[str, asyncio.Future[Any]] = {}
        self._subjects: dict[str, str] = {}  # of what is unconfirmed, under the same keys

    async def begin(self) -> None:
        """Connect."""
        address = self._address
        with self.translated():
            await self.client.connect(
                str(address),
                name=address.client_id,
                tls=address.tls,
                tls_hostname=address.host if address.tls else None,
                **_credentials(address),
                allow_reconnect=False,
                connect_timeout=max(1, int(address.connect_seconds)),
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                closed_cb=self._closed,
                error_cb=self._failed,
            )
            await self._see_jetstream()
            await self.client.subscribe(f"{self._inbox}.*", cb=self._confirmed)
        self.facts = _facts(str(self.client.connected_server_version), self._settings)
        for group in self._settings.keep_for_groups:
            await self._keep_for(Readership(RESULTS_TOPIC, EVERYTHING, group))

    async def _see_jetstream(self) -> None:
        seconds = JETSTREAM_SHARE * self._address.connect_seconds
        try:
            await self.client.jetstream(timeout=seconds).account_info()
        except errors.TimeoutError as error:
            raise self._silent(seconds) from error

    async def publish(self, message: Message) -> Durability:
        """Into its topic's stream, which is made when there is none."""
        topic = placed(self._settings.namespace, message.topic)
        stream = self.streams.of(topic)
        durability = stream.result() if stream.done() else await asyncio.shield(stream)
        told = headers(message)
        size = len(message.payload) + sum(len(name) + len(value) + 4 for name, value in told.items())
        if size + HEADER_BYTES > self.client.max_payload:  # or the server would end the connection
            raise self._too_large()
        # The library's own publish makes a timer and an inbox for each message.
        reply = f"{self._inbox}.{next(self._numbers)}"
        confirmed = self._unconfirmed[reply] = asyncio.get_running_loop().create_future()
        there = self._subjects[reply] = subject(message, topic)
        try:
            with self.translated():
                await self.client.publish(there, message.payload, reply=reply, headers=told)
            self._check(topic, await confirmed)
        finally:
            del self._unconfirmed[reply], self._subjects[reply]
        return durability

    async def consume(self, demand: Demand, intake: Intake) -> JetStreamConsumer:
        """Through a consumer that is there from now on."""
        readership = self._here(demand.readership)
        demand = msgspec.structs.replace(demand, readership=readership)
        await asyncio.shield(self.streams.of(readership.topic))
        with self.translated():
            name, place = await self.streams.consumer(demand)
        consumer = JetStreamConsumer(self, name, place, demand, intake)
        await consumer.begin()
        return consumer

    async def readers(self, topic: str, group: str) -> int:
        """Consumers of the topic's stream that ask for messages; of a group those who ask through its consumer."""
        return await self.streams.readers(placed(self._settings.namespace, topic), group)

    async def waiting(self, topic: str, group: str) -> int:
        """Of the group's consumer: what it was not given yet, and what it has not settled."""
        return await self.streams.waiting(placed(self._settings.namespace, topic), group)

    async def abandon(self, readership: Readership) -> bool:
        """Delete its consumer."""
        return await self.streams.abandon(self._here(readership))

    async def deposit(self, key: str, data: bytes, seconds: float) -> None:
        """Into the object store; the time is its own, and longer."""
        await self._objects.put(key, data, seconds)

    async def deposited(self, key: str, most: int) -> bytes | None:
        """Out of the object store."""
        return await self._objects.get(key, most)

    async def discard(self, key: str) -> None:
        """Out of the object store for good."""
        await self._objects.delete(key)

    async def lease(self, name: str, holder: str, seconds: float) -> str:
        """A key of the key-value store, which lives as long as its holder puts it there again."""
        return await self._leases.have(name, holder, seconds)

    async def release(self, name: str, holder: str) -> None:
        """Delete it, by its holder."""
        await self._leases.give_back(name, holder)

    async def ping(self) -> None:
        """A PING and its PONG."""
        with self.translated():
            await self.client.flush(max(1, int(self._address.connect_seconds)))

    async def close(self) -> None:
        """Whatever is under way fails."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        with suppress(errors.Error, OSError), gone_is_os_error():
            await self.client.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of nats-py as ours."""
        try:
            with heeded(), gone_is_os_error():
                yield
        except (TimeoutError, errors.Error, js_errors.Error, OSError) as error:
            raise self._translate(error) from error

    # -- inside

    async def _confirmed(self, answer: Any) -> None:
        waiting = self._unconfirmed.get(answer.subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _check(self, topic: str, answer: Any) -> None:
        """What the stream says to a message. Raises BrokerUnavailable, BrokerRefused, BufferFull."""
        if answer.headers and answer.headers.get("Status") == "503":
            self.streams.gone(topic)
            raise BrokerUnavailable(f"{self._address}: there is no stream for {topic}")
        error = _answers.decode(answer.data).error
        if error is not None:
            with self.translated():
                js_errors.APIError.from_error(msgspec.structs.asdict(error))  # it raises what it makes

    async def _keep_for(self, readership: Readership) -> None:
        """A group that is there from now on, whether or not anybody has come."""
        readership = self._here(readership)
        with suppress(BrokerRefused), self.translated():  # what is not allowed will be told when it is needed
            await self.streams.of(readership.topic)
            await self.streams.consumer(Demand(readership, name="", prefetch=1))

    def _here(self, readership: Readership) -> Readership:
        topic = placed(self._settings.namespace, readership.topic)
        return msgspec.structs.replace(readership, topic=topic)

    async def _closed(self) -> None:
        self._on_lost(f"{self._address}: connection lost")

    async def _failed(self, error: Exception) -> None:
        """What the server says unasked: most of all that something is not allowed."""
        reason = without_secrets(str(error), self._address)
        if isinstance(error, errors.SlowConsumerError):
            self._on_lost(reason)
        elif "permissions violation" in reason.lower() and not self._refuse(reason):
            self._on_lost(reason, self._allow())

    def _refuse(self, reason: str) -> bool:
        """What is refused is a message on its way, and not what the connection needs; whether it is."""
        refused = [
            self._unconfirmed[reply]
            for reply, subject in self._subjects.items()
            if f'"{subject}"'.lower() in reason.lower()
        ]
        for waiting in refused:
            if not waiting.done():
                waiting.set_exception(
                    BrokerRefused(f"{self._address} does not allow it: {reason}", self._allow())
                )
        return bool(refused)

    def _allow(self) -> str:
        namespace = self._settings.namespace
        ours = ", ".join(f"{placed(namespace, topic)}.>" for topic in _TOPICS)
        kept = f"$KV.{self._leases.name}.>, $O.{self._objects.name}.>"
        theirs = "$JS.API.>, $JS.ACK.>, $JS.FC.>"
        return f"allow the user to publish {ours}, {kept}, {theirs}, and to subscribe to _INBOX.>"

    def _translate(self, error: Exception) -> BrokerUnavailable | BufferFull:
        address, text = self._address, without_secrets(str(error), self._address)
        if isinstance(error, errors.MaxPayloadError) or getattr(error, "err_code", 0) == _MESSAGE_TOO_LARGE:
            return self._too_large()
        if isinstance(error, errors.TimeoutError) and self.client.is_connected:
            return self._silent(self._settings.confirm_seconds)
        if isinstance(error, errors.NoServersError | OSError):
            return BrokerUnavailable(
                f"{address} cannot be reached", "start the broker, or correct broker.url"
            )
        return self._refusal(error) or BrokerUnavailable(f"{address}: {text or type(error).__name__}")

    def _silent(self, seconds: float) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"{self._address} lets us in, but has not answered within {seconds:g} s",
            "see whether its JetStream is overloaded, without a leader, or not allowed for this user ($JS.API.>)",
        )

    def _too_large(self) -> BufferFull:
        return BufferFull(f"{self._address} takes at most {self.client.max_payload} bytes (its max_payload)")

    def _refusal(self, error: Exception) -> BrokerRefused | None:
        """What will not change until somebody changes it."""
        address = self._address
        if isinstance(error, errors.AuthorizationError) or "authorization" in str(error).lower():
            return BrokerRefused(
                f"{address} refuses the user or the password", "correct broker.url or broker.password_file"
            )
        if isinstance(error, js_errors.ServiceUnavailableError | errors.NoRespondersError):
            return BrokerRefused(f"{address} has no JetStream", "start nats-server with -js")
        if isinstance(error, js_errors.APIError) and not isinstance(error, js_errors.ServerError):
            return BrokerRefused(f"{address}: {error.description}", "look at the stream in the server")
        return None


class Streams:
    """What there is in JetStream: a stream for each topic, and a consumer for each group and pattern."""

    def __init__(self, wire: NatsWire, settings: BrokerSettings) -> None:
        self._translated = wire.translated
        self._settings = settings
        self._js = wire.client.jetstream(timeout=settings.confirm_seconds)
        self._known: dict[str, asyncio.Future[Durability]] = {}

    def of(self, topic: str) -> asyncio.Future[Durability]:
        """How safe the topic's stream is, which is made when there is none.

        It is looked at once a connection; all who need it wait for that.
        """
        opening = self._known.get(topic)
        if opening is None:
            opening = self._known[topic] = asyncio.ensure_future(self._ensure(topic))
            opening.add_done_callback(lambda done: self._opened(topic, done))
        return opening

    def gone(self, topic: str) -> None:
        """It is made again, with the next attempt."""
        self._known.pop(topic, None)

    async def consumer(self, demand: Demand) -> tuple[str, str]:
        """Its name, and behind which message it begins."""
        return await (self._durable(demand) if demand.readership.group else self._passing(demand))

    async def readers(self, topic: str, group: str) -> int:
        """Consumers of the topic's stream that ask for messages; of a group those who ask through its consumer."""
        with self._translated():
            try:
                if group:
                    return (await self._js.consumer_info(stream_name(topic), group)).num_waiting or 0
                found = await self._js.consumers_info(stream_name(topic))
            except js_errors.NotFoundError:
                return 0
        return sum(map(_is_read, found))

    async def waiting(self, topic: str, group: str) -> int:
        """Of the group's consumer: what it was not given yet, and what it has not settled; or CANNOT_TELL."""
        with self._translated():
            try:
                info = await self._js.consumer_info(stream_name(topic), group)
            except js_errors.NotFoundError:
                return CANNOT_TELL
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def abandon(self, readership: Readership) -> bool:
        """Delete its consumer."""
        stream, name = stream_name(readership.topic), durable_name(readership)
        with self._translated():
            try:
                if _is_read(await self._js.consumer_info(stream, name)):
                    return False
                await self._js.delete_consumer(stream, name)
            except js_errors.NotFoundError:
                pass
        return True

    async def forget(self, stream: str, consumer: str) -> None:
        """Delete a consumer."""
        with self._translated():
            await self._js.delete_consumer(stream, consumer)

    async def deliveries(self, stream: str, consumer: str) -> Deliveries:
        """How far a consumer is."""
        with self._translated():
            info = await self._js.consumer_info(stream, consumer)
        delivered, settled = info.delivered, info.ack_floor
        return Deliveries(
            last=delivered.stream_seq if delivered is not None else 0,
            settled_to=settled.stream_seq if settled is not None else 0,
            count=delivered.consumer_seq if delivered is not None else 0,
            unsettled=info.num_ack_pending or 0,
            requests=info.num_waiting or 0,
        )

    async def unread(self, stream: str, consumer: str) -> int:
        """Messages behind the last one it was given that the stream has given up."""
        with self._translated():
            delivered = (await self._js.consumer_info(stream, consumer)).delivered
            first = (await self._js.stream_info(stream)).state.first_seq
        last = delivered.stream_seq if delivered is not None else 0
        return max(0, first - last - 1) if last else 0

    def _opened(self, topic: str, done: asyncio.Future[Durability]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._known.pop(topic, None)

    async def _ensure(self, topic: str) -> Durability:
        with self._translated():
            try:
                info = await self._js.stream_info(stream_name(topic))
            except js_errors.NotFoundError:
                info = await self._js.add_stream(self._config(topic))
        config = info.config
        if config.storage == api.StorageType.MEMORY:
            return Durability.MEMORY
        return Durability.QUORUM if (config.num_replicas or 1) > 1 else _durability(self._settings)

    def _config(self, topic: str) -> api.StreamConfig:
        return api.StreamConfig(
            name=stream_name(topic),
            subjects=[stream_subjects(topic)],
            max_msgs=most_kept(unplaced(self._settings.namespace, topic), self._settings),
            discard=api.DiscardPolicy.OLD,
            storage=api.StorageType.FILE,
            num_replicas=self._settings.stream_replicas,
            duplicate_window=DUPLICATE_SECONDS,
        )

    async def _durable(self, demand: Demand) -> tuple[str, str]:
        """A group's consumer. One that this process knew and the server lost gets all that came since."""
        place = ""
        stream, name = stream_name(demand.readership.topic), durable_name(demand.readership)
        try:
            config = (await self._js.consumer_info(stream, name)).config
        except js_errors.NotFoundError:
            config, place = await self._start(demand)
            config.durable_name = name
            config.ack_policy = api.AckPolicy.EXPLICIT
            config.max_ack_pending = MAX_UNSETTLED
        if config.ack_wait != self._settings.lease_seconds:
            config.ack_wait = self._settings.lease_seconds
            await self._js.add_consumer(stream, config)
        return name, place

    async def _passing(self, demand: Demand) -> tuple[str, str]:
        config, place = await self._start(demand)
        config.ack_policy = api.AckPolicy.NONE
        config.inactive_threshold = FORGOTTEN_SECONDS
        info = await self._js.add_consumer(stream_name(demand.readership.topic), config)
        return str(info.name), place

    async def _start(self, demand: Demand) -> tuple[api.ConsumerConfig, str]:
        """From now on, or behind what was received before; and behind which message that is."""
        readership = demand.readership
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.ALL,
            filter_subject=filter_subject(readership.topic, readership.pattern),
        )
        last = (await self._js.stream_info(stream_name(readership.topic))).state.last_seq
        had = demand.after.partition("-")[0]  # behind the number is when it was published
        if readership.on_demand and not had:  # work that waits already is work
            had = "0"
        after = int(had) if had.isdigit() else last
        if last >= after:  # the same stream as then
            config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = after + 1
        return config, str(after)


class Objects:
    """JetStream's object store, with a bucket for deposits that is made when it is needed."""

    def __init__(self, wire: NatsWire, settings: BrokerSettings) -> None:
        self._translated = wire.translated
        self._settings = settings
        self._js = wire.client.jetstream(timeout=settings.confirm_seconds)
        self.name = f"{settings.namespace}-deposits"
        self._bucket: Any = None

    async def put(self, key: str, data: bytes, seconds: float) -> None:
        """In chunks. Raises BrokerUnavailable, BufferFull."""
        with self._translated():
            if self._bucket is None:
                self._bucket = await self._open(seconds)
            try:
                await self._bucket.put(key, data)
            except js_errors.APIError as error:
                if error.err_code == _BYTES_EXCEEDED:
                    raise BufferFull(f"the bucket {self.name} is full") from error
                raise

    async def get(self, key: str, most: int) -> bytes | None:
        """What there is, if it is not too large."""
        with self._translated():
            try:
                bucket = self._bucket or await self._js.object_store(self.name)
                if ((await bucket.get_info(key)).size or 0) > most:
                    return None
                found: Any = (await bucket.get(key)).data
            except js_errors.NotFoundError:
                return None
        return bytes(found or b"")

    async def delete(self, key: str) -> None:
        """Nothing, where there is nothing."""
        with self._translated(), suppress(js_errors.NotFoundError):
            bucket = self._bucket or await self._js.object_store(self.name)
            await bucket.delete(key)

    async def _open(self, seconds: float) -> Any:
        try:
            return await self._js.object_store(self.name)
        except js_errors.NotFoundError:
            return await self._js.create_object_store(
                self.name,
                ttl=max(seconds, DEPOSIT_SECONDS),
                max_bytes=BUCKET_BYTES,
                replicas=self._settings.stream_replicas,
            )


class LeaseBucket:
    """JetStream's key-value store, with a bucket whose keys live as long as a lease. It is made when it is needed."""

    def __init__(self, wire: NatsWire, settings: BrokerSettings) -> None:
        self._translated = wire.translated
        self._settings = settings
        self._js = wire.client.jetstream(timeout=settings.confirm_seconds)
        self.name = f"{settings.namespace}-leases"
        self._bucket: Any = None

    async def have(self, name: str, holder: str, seconds: float) -> str:
        """Who has it now. Raises BrokerUnavailable."""
        with self._translated():
            if self._bucket is None:
                self._bucket = await self._open(seconds)
            try:
                return await self._take(name, holder)
            except js_errors.KeyWrongLastSequenceError:  # somebody was faster
                return ""

    async def _take(self, name: str, holder: str) -> str:
        try:
            entry = await self._bucket.get(name)
        except js_errors.KeyNotFoundError:
            await self._bucket.create(name, holder.encode())
            return holder
        found = (entry.value or b"").decode("ascii", "replace")
        if found == holder:
            await self._bucket.update(name, holder.encode(), last=entry.revision)
        return found

    async def give_back(self, name: str, holder: str) -> None:
        """Nothing, where another has it."""
        with self._translated(), suppress(js_errors.NotFoundError):
            bucket = self._bucket or await self._js.key_value(self.name)
            entry = await bucket.get(name)
            if entry.value == holder.encode():
                await bucket.delete(name, last=entry.revision)

    async def _open(self, seconds: float) -> Any:
        """All leases are as long as that of whoever asked first."""
        try:
            return await self._js.key_value(self.name)
        except js_errors.NotFoundError:
            return await self._js.create_key_value(
                bucket=self.name, ttl=seconds, replicas=self._settings.stream_replicas
            )


class _PublishError(Struct):
    """Why a message is not in the stream."""

    code: int = 500
    err_code: int = 0
    description: str = ""


class _PublishAnswer(Struct):
    """The server's answer to a message; without an error, it is in the stream."""

    error: _PublishError | None = None


_answers = msgspec.json.Decoder(_PublishAnswer)


def _is_read(consumer: api.ConsumerInfo) -> bool:
    return bool(consumer.num_waiting or consumer.push_bound)


def _credentials(address: Address) -> dict[str, Any]:
    """A user with a password; a user alone is a token, as NATS has it."""
    if address.username is None:
        return {"token": address.password} if address.password else {}
    if address.password is None:
        return {"token": address.username}
    return {"user": address.username, "password": address.password}


def _durability(settings: BrokerSettings) -> Durability:
    if settings.stream_replicas > 1:
        return Durability.QUORUM
    return Durability.FSYNC if settings.nats_sync_always else Durability.OS


def _facts(version: str, settings: BrokerSettings) -> ServerFacts:
    weaknesses = []
    durability = _durability(settings)
    if durability is Durability.OS:
        weaknesses.append(
            "NATS may lose the last two minutes when the power fails, unless it is told otherwise (set its "
            "sync_interval to always, and broker.nats_sync_always)"
        )
    version = version.removeprefix("<nats server v").removesuffix(">")
    return ServerFacts(
        name="NATS",
        version=version,
        durability=durability,
        weaknesses=tuple(weaknesses),
        lease_seconds=settings.lease_seconds,
    )
