"""aiokafka, and its errors as ours: what the adapter asks of a cluster, and how it publishes and reads there."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.conn import create_conn
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.partitioner import murmur2
from aiokafka.protocol.admin import (
    CreateTopicsRequest,
    DeleteGroupsRequest,
    DescribeConfigsRequest,
    DescribeGroupsRequest,
    ListGroupsRequest,
)
from aiokafka.protocol.api import Request
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from gateway.broker.address import Address, without_secrets
from gateway.broker.backends.cancellation import heeded
from gateway.broker.backends.gone import gone_is_os_error
from gateway.broker.backends.kafka_records import Record
from gateway.broker.base import BrokerRefused, BrokerUnavailable, BufferFull

logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what it laments is in our errors

BATCH_BYTES = 128 * 1024
"""Of messages that are published together; less than any server takes."""
FETCH_BYTES = 16 * 1024 * 1024
FETCH_SECONDS = 0.5
"""A request for messages waits so long at the server, which answers as soon as there is one."""
METADATA_SECONDS = 30.0
"""So often it is looked whether a topic has more partitions."""
REBALANCE_SECONDS = 10.0
"""A member of a group that has not come to a new sharing out within this time is left out of it."""
HEARTBEAT_SECONDS = 0.5
"""A member hears of a new sharing out with its heartbeat."""
NEVER_MS = 2**31 - 1
_SERVERS_DEFAULT = -1
_LATEST = -1
"""In place of a time: what comes next."""
_NO_REPLICA = -1
"""Who asks is no server."""
_TOPIC = 2
"""The kind of resource whose settings are asked for."""

_RELEASES: Final[Sequence[tuple[int, int, str]]] = (
    (1, 17, "3.9 or newer"),
    (1, 16, "3.7 or newer"),
    (1, 15, "3.5 or newer"),
    (1, 13, "3.1 or newer"),
    (1, 12, "2.7 or newer"),
    (1, 11, "2.3 or newer"),
)
"""An API, from which of its versions on, and since which release the server speaks it: Kafka does not tell its own."""

REBALANCING = "the group is shared out anew"
_TRUST = "correct ca_file, cert_file and key_file under broker.tls"
_START = "start Kafka, or correct broker.url"
_LOGIN = "correct the user and password in broker.url or broker.password_file, and broker.kafka_sasl"
_ALLOW = (
    "allow the user to Describe, Read and Write the topics {namespace}.* and to Read the groups {namespace}.*; and to "
    "Create those topics, or create them"
)


@functools.lru_cache(4096)
def partition_of(session: str, partitions: int) -> int:
    """As Kafka's own clients do it, with the session for a key."""
    hashed: int = murmur2(session.encode())
    return (hashed & 0x7FFFFFFF) % partitions


async def versions(address: Address) -> dict[int, tuple[int, int]]:
    """What a server speaks. Raises what the library does, which its clients only write to a log."""
    connection = await create_conn(
        address.host, address.port, **_options(address), request_timeout_ms=_ms(address.connect_seconds)
    )
    told: dict[int, tuple[int, int]] = connection._versions  # noqa: SLF001 - it was asked for that already
    connection.close()
    return told


def release(told: Mapping[int, tuple[int, int]]) -> str:
    """The release, as far as what it speaks tells."""
    found = (name for api, version, name in _RELEASES if told.get(api, (0, 0))[1] >= version)
    return next(found, "")


class KafkaClient:
    """One connection to a cluster: to each of its brokers that has to be asked."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._seconds = address.settings.confirm_seconds
        self._producer = self._new_producer(idempotent=True)
        self.idempotent = True
        """Whether the server drops what it is sent twice because its confirmation was lost."""
        self.release = ""

    async def start(self) -> None:
        """Raises BrokerUnavailable, BrokerRefused."""
        with self.translated():
            self.release = release(await versions(self._address))
            try:
                await self._producer.start()
            except (errors.UnknownError, errors.ClusterAuthorizationFailedError):
                await self.close()
                self.idempotent = False
                self._producer = self._new_producer(idempotent=False)
                await self._producer.start()

    async def close(self) -> None:
        """Whatever is under way fails. Idempotent."""
        with suppress(errors.KafkaError, OSError), gone_is_os_error():
            await self._producer.abort()

    async def publish(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """The first of them, as many as are a batch; how many."""
        batch = self._producer.create_batch()
        size = count = 0
        for one in records:
            size += one.size
            if count and size > BATCH_BYTES:
                break
            batch.append(timestamp=one.timestamp, key=one.key, value=one.value, headers=one.headers)
            count += 1
        batch.close()
        with self.translated():
            await (await self._producer.send_batch(batch, topic, partition=partition))
        return count

    # -- the cluster

    async def alive(self) -> None:
        """Some broker answers. Raises BrokerUnavailable."""
        asked = [asyncio.ensure_future(self._ask(MetadataRequest([]), node)) for node in self._nodes()]
        try:
            for answer in asyncio.as_completed(asked):
                with suppress(errors.KafkaError, OSError, TimeoutError), gone_is_os_error():
                    await answer
                    return
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise BrokerUnavailable(f"{self._address} cannot be reached", _START)

    async def replicas(self, topic: str, *, create: bool = False) -> list[int]:
        """How many servers keep each of a topic's partitions; none while there is no topic that can be used.

        ``create``: a server that makes topics by itself makes it.
        """
        with self.translated():
            answer = await self._ask(MetadataRequest([topic], allow_auto_topic_creation=create))
            error, _, _, partitions = answer.topics[0]
            _raise(error, errors.UnknownTopicOrPartitionError, errors.LeaderNotAvailableError)
        if error or any(one[0] for one in partitions):
            return []
        return [len(one[3]) for one in sorted(partitions, key=lambda one: int(one[1]))]

    async def create_topic(
        self, topic: str, partitions: int, copies: int, options: Mapping[str, str]
    ) -> None:
        """Make it; where it is already, or the server does so by itself only, nothing."""
        request = CreateTopicsRequest(
            [(topic, partitions, copies if copies > 1 else _SERVERS_DEFAULT, [], list(options.items()))],
            _ms(self._seconds),
            validate_only=False,
        )
        with self.translated(), suppress(errors.IncompatibleBrokerVersion, NotImplementedError):
            answer = await self._ask(request, self._controller())
            _raise(answer.topic_errors[0][1], errors.TopicAlreadyExistsError)

    async def topic_settings(self, topic: str) -> dict[str, str] | None:
        """None: the server does not tell."""
        try:
            with gone_is_os_error():
                answer = await self._ask(DescribeConfigsRequest([(_TOPIC, topic, None)]))
        except (errors.KafkaError, OSError, NotImplementedError):
            return None
        error, _, _, _, entries = answer.resources[0]
        return None if error else {entry[0]: entry[1] for entry in entries}

    async def committed(self, group: str, topic: str, partitions: int) -> dict[int, tuple[int, str]]:
        """How far a group is in those partitions in which it is at all, and what stands beside."""
        request = OffsetFetchRequest(group, [(topic, list(range(partitions)))])
        with self.translated():
            answer = await self._ask_coordinator(group, request)
            found = {}
            for _, told in answer.topics:
                for partition, offset, text, error in told:
                    _raise(error, errors.UnknownTopicOrPartitionError)
                    if offset >= 0:
                        found[partition] = (offset, text or "")
            return found

    async def written(self, topic: str) -> dict[int, int]:
        """What will be written next to each partition, as its leader tells; none while there is no such topic."""
        with self.translated():
            answer = await self._ask(MetadataRequest([topic], allow_auto_topic_creation=False))
            error, _, _, partitions = answer.topics[0]
            _raise(error, errors.UnknownTopicOrPartitionError)
            led: dict[int, list[tuple[int, int]]] = {}
            for failed, partition, leader, *_ in partitions:
                _raise(failed)
                led.setdefault(leader, []).append((partition, _LATEST))
            asked = [
                self._ask(OffsetRequest(_NO_REPLICA, 0, [(topic, wanted)]), leader)
                for leader, wanted in led.items()
            ]
            found = {}
            for told in await asyncio.gather(*asked):
                for partition, failed, *where in told.topics[0][1]:
                    _raise(failed)
                    found[partition] = where[1] if told.API_VERSION else where[0][0]
        return found

    async def members(self, group: str) -> int | None:
        """How many a group has; None: the server does not tell."""
        with self.translated(), suppress(errors.IncompatibleBrokerVersion):
            answer = await self._ask_coordinator(group, DescribeGroupsRequest([group]))
            _raise(answer.groups[0][0])
            return len(answer.groups[0][5])
        return None

    async def groups(self) -> list[str] | None:
        """All of the cluster; None: the server does not tell."""
        with self.translated(), suppress(errors.IncompatibleBrokerVersion):
            answers = [await self._ask(ListGroupsRequest(), node) for node in self._nodes()]
            return [name for answer in answers for name, *_ in answer.groups]
        return None

    async def delete_group(self, group: str) -> bool:
        """Whether it is gone; false: somebody reads for it."""
        with self.translated():
            answer = await self._ask_coordinator(group, DeleteGroupsRequest([group]))
            error = answer.results[0][1]
            _raise(error, errors.NonEmptyGroup, errors.GroupIdNotFound)
        return errors.for_code(error) is not errors.NonEmptyGroup

    def _nodes(self) -> list[int]:
        known = [broker.nodeId for broker in self._client.cluster.brokers()]
        random.shuffle(known)
        return known

    def _controller(self) -> int | None:
        controller = self._client.cluster.controller
        return controller.nodeId if controller is not None else None

    @property
    def _client(self) -> AIOKafkaClient:
        return self._producer.client

    async def _ask(self, request: Request[Any], node: int | None = None) -> Any:
        """On a connection of its own, so that it does not wait behind what is published."""
        nodes = [node] if node is not None else self._nodes()
        if not nodes:
            raise errors.KafkaConnectionError("no broker is known")
        return await self._client.send(nodes[0], request, group=ConnectionGroup.COORDINATION)

    async def _ask_coordinator(self, group: str, request: Request[Any]) -> Any:
        node = await self._client.coordinator_lookup(CoordinationType.GROUP, group)
        return await self._ask(request, node)

    # -- readers

    def consumer(self, group: str = "", name: str = "") -> KafkaMember:
        """Not started. ``name``: the member of the group, the same over all its connections."""
        lease = self._address.settings.lease_seconds

        class Sticky(StickyPartitionAssignor):  # type: ignore[misc]
            """The library keeps what one consumer had in the class."""

        return KafkaMember(
            **self._options(),
            group_id=group or None,
            group_instance_id=name or None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(Sticky,),
            session_timeout_ms=_ms(lease),
            heartbeat_interval_ms=_ms(min(HEARTBEAT_SECONDS, lease / 4)),
            rebalance_timeout_ms=_ms(REBALANCE_SECONDS),
            request_timeout_ms=_ms(lease + 3 * REBALANCE_SECONDS),
            max_poll_interval_ms=NEVER_MS,  # a subscriber may take its time
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=_ms(FETCH_SECONDS),
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of aiokafka as ours."""
        try:
            with heeded(), gone_is_os_error():
                yield
        except (errors.KafkaError, errors.ConsumerStoppedError, errors.IllegalOperation, OSError) as error:
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> BrokerUnavailable | BufferFull:
        address, text = self._address, without_secrets(_in_words(error), self._address)
        if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordListTooLargeError):
            return BufferFull(f"{address} takes no message so large (the topic's max.message.bytes)")
        for kinds, remedy in _REMEDIES:
            if isinstance(error, kinds):
                return BrokerRefused(
                    f"{address} does not allow it: {text}",
                    remedy.format(namespace=address.settings.namespace),
                )
        if isinstance(error, errors.CommitFailedError | errors.IllegalStateError):
            return BrokerUnavailable(f"{address}: {REBALANCING}")
        if isinstance(error, OSError | errors.KafkaConnectionError | errors.NodeNotReadyError):
            return BrokerUnavailable(f"{address}: {text or 'the connection was lost'}", _START)
        return BrokerUnavailable(f"{address}: {text or type(error).__name__}")

    # -- the library

    def _new_producer(self, *, idempotent: bool) -> KafkaPublisher:
        return KafkaPublisher(
            **self._options(),
            acks="all",
            enable_idempotence=idempotent,
            max_batch_size=NEVER_MS,  # who fills the batches bounds them
            request_timeout_ms=_ms(self._seconds),
        )

    def _options(self) -> dict[str, Any]:
        address = self._address
        servers = [f"{f'[{address.host}]' if ':' in address.host else address.host}:{address.port}"]
        return {
            **_options(address),
            "bootstrap_servers": servers,
            "metadata_max_age_ms": _ms(METADATA_SECONDS),
        }


class KafkaPublisher(AIOKafkaProducer):  # type: ignore[misc]
    """A publisher that can be given up."""

    _closed: bool

    async def abort(self) -> None:
        """What is not confirmed is not sent again: the library would go on, and overtake who publishes it anew."""
        if self._closed:
            return
        self._closed = True
        self.client.send = _not_any_more
        sender = self._sender.sender_task
        if sender is not None:
            sender.cancel()
        await self.client.close()
        if sender is not None:
            await asyncio.gather(sender, return_exceptions=True)


async def _not_any_more(*_: object, **__: object) -> None:
    raise errors.KafkaConnectionError("the connection is closed")


class KafkaMember(AIOKafkaConsumer):  # type: ignore[misc]
    """A reader, that says goodbye to its group."""

    async def leave(self) -> None:
        """Let the others have what it had, at once. The library would leave that to the end of its session."""
        if self._coordinator is not None:
            self._coordinator._group_instance_id = None  # noqa: SLF001
        await self.stop()

    def part(self, topic: str, partition: int) -> TopicPartition:
        """As the library calls it."""
        return TopicPartition(topic, partition)

    async def commit_to(self, topic: str, places: Mapping[int, tuple[int, str]]) -> None:
        """How far its group is."""
        parts = {TopicPartition(topic, one): OffsetAndMetadata(*place) for one, place in places.items()}
        await self.commit(parts)

    def join(self, topic: str, revoked: Told, assigned: Told) -> None:
        """Read as a member of the group. The two are told which partitions."""
        self.subscribe([topic], listener=_Listener(revoked, assigned))


Told = Callable[[list[int]], Awaitable[None]]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, revoked: Told, assigned: Told) -> None:
        self._revoked, self._assigned = revoked, assigned

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._revoked(sorted(one.partition for one in revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._assigned(sorted(one.partition for one in assigned))


_REMEDIES: Final[Sequence[tuple[tuple[type[Exception], ...], str]]] = (
    ((errors.SaslAuthenticationFailed, errors.AuthenticationFailedError), _LOGIN),
    ((errors.UnsupportedSaslMechanismError, errors.IllegalSaslStateError), _LOGIN),
    ((ssl.SSLCertVerificationError,), _TRUST),
    ((errors.TopicAuthorizationFailedError, errors.GroupAuthorizationFailedError), _ALLOW),
    ((errors.ClusterAuthorizationFailedError,), _ALLOW),
    (
        (errors.InvalidSessionTimeoutError,),
        "set broker.lease_seconds to what the server takes (its group.min.session.timeout.ms, group.max....)",
    ),
    (
        (errors.InvalidReplicationFactorError,),
        "set broker.stream_replicas to as many as the cluster has, or create the topic",
    ),
    (
        (errors.InvalidPartitionsError, errors.PolicyViolationError, errors.InvalidConfigurationError),
        "create the topic",
    ),
    (
        (errors.UnknownTopicOrPartitionError,),
        "create the topic, or allow the user to",
    ),
)


def _options(address: Address) -> dict[str, Any]:
    """Who we are."""
    login = address.login()
    guarded = address.tls_context() is not None
    protocol = f"{'SASL_' if login else ''}{'SSL' if guarded else 'PLAINTEXT'}"
    who = {} if login is None else {"sasl_plain_username": login[0], "sasl_plain_password": login[1] or ""}
    return {
        "client_id": address.client_id,
        "security_protocol": protocol,
        "ssl_context": address.tls_context(),
        "sasl_mechanism": address.settings.kafka_sasl,
        **who,
    }


def _raise(error: int, *but: type[Exception]) -> None:
    kind = errors.for_code(error)
    if kind is not errors.NoError and not issubclass(kind, but):
        raise kind


def _in_words(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or getattr(error, "description", "") or error)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
