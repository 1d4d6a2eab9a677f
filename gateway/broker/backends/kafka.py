"""Kafka: a topic for each of ours, a consumer group for each group and pattern.

``docs/messages.md`` says what stands in its records. A session is always in one partition, so it keeps its order; a
partition has one reader of a group at a time, and what that one does not settle before it leaves or dies goes to
another with the partition. Kafka bounds its topics by age and bytes, not by messages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from gateway.broker.address import Address
from gateway.broker.backends.kafka_client import KafkaClient, partition_of
from gateway.broker.backends.kafka_consumers import KafkaConsumer, KafkaListener, KafkaPlace, ends
from gateway.broker.backends.kafka_records import (
    Record,
    group_id,
    read_positions,
    record,
    topic_name,
)
from gateway.broker.backends.work import Work
from gateway.broker.base import (
    CANNOT_TELL,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    BufferFull,
    Durability,
    Message,
)
from gateway.broker.buffer import Readership
from gateway.broker.patterns import EVERYTHING
from gateway.broker.wire import Demand, Intake, OnLost, ServerFacts
from gateway.contract.messages import MESSAGE_BYTES, RESULTS_TOPIC

RECORD_BYTES = 64 * 1024
"""What a record has beside its payload, at most."""
MADE_SECONDS = 0.05
"""Between two looks whether a new topic can be used."""


async def connect(address: Address, on_lost: OnLost) -> KafkaWire:
    """Log in, and see what the cluster is. Raises BrokerUnavailable, BrokerRefused."""
    wire = KafkaWire(address, on_lost)
    try:
        await wire.begin()
    except BaseException:
        await wire.close()
        raise
    return wire


class _Topic(Struct, frozen=True):
    """One that is there."""

    name: str
    partitions: int
    durability: Durability
    largest: int
    """Bytes of a message; 0: the server does not tell."""
    weaknesses: tuple[str, ...] = ()


class _Outgoing(Struct, frozen=True):
    record: Record
    done: asyncio.Future[None]


class KafkaWire:
    """``Wire`` over aiokafka."""

    def __init__(self, address: Address, on_lost: OnLost) -> None:
        self.facts = ServerFacts(name="Kafka", version="", durability=Durability.MEMORY)
        self._address = address
        self._settings = address.settings
        self._namespace = address.settings.namespace
        self._on_lost = on_lost
        self._client = KafkaClient(address)
        self._work = Work(on_lost)
        self._topics: dict[str, asyncio.Future[_Topic]] = {}
        self._outboxes: dict[tuple[str, int], deque[_Outgoing]] = {}
        self._consumers: set[KafkaConsumer | KafkaListener] = set()
        self._end: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Connect, and make sure that results are kept from the very first on."""
        await self._client.start()
        facts = ServerFacts(
            name="Kafka",
            version=self._client.release,
            durability=Durability.MEMORY,
            weaknesses=_weak(self._client),
        )
        try:
            results = await self._results()
            facts = facts if results is None else _with(facts, results)
            for group in self._settings.keep_for_groups:
                await self._keep_for(Readership(RESULTS_TOPIC, EVERYTHING, group))
        except BrokerRefused:  # it will be told when it is needed
            self._topics.clear()
        self.facts = facts

    async def publish(self, message: Message) -> Durability:
        """Into its session's partition."""
        topic = await self._topic(message.topic)
        one = _Outgoing(record(message), asyncio.get_running_loop().create_future())
        if topic.largest and one.record.size > topic.largest:
            raise BufferFull(
                f"{self._address} takes at most {topic.largest} bytes (max.message.bytes of {topic.name})"
            )
        where = (topic.name, partition_of(message.routing_key.session, topic.partitions))
        outbox = self._outboxes.get(where)
        if outbox is None:
            if self._work.closed:
                raise BrokerUnavailable("the connection is closed")
            outbox = self._outboxes[where] = deque()
            self._work.start(self._publish_all(*where), f"kafka {topic.name}")
        outbox.append(one)
        await one.done
        return topic.durability

    async def consume(self, demand: Demand, intake: Intake) -> KafkaConsumer | KafkaListener:
        """As a member of a consumer group, or of all partitions from their ends on."""
        topic = await self._topic(demand.readership.topic)
        if not demand.readership.group:
            listener = KafkaListener(self._reader(topic.name), demand, intake)
            self._consumers.add(listener)
            await listener.begin(topic.partitions)
            return listener
        group = group_id(self._namespace, demand.readership)
        await self._begin_group(group, topic, demand.after)
        consumer = KafkaConsumer(self._reader(topic.name, group, demand.name), demand, intake, group)
        self._consumers.add(consumer)
        await consumer.begin()
        return consumer

    async def readers(self, topic: str, group: str) -> int:
        """Members of its consumer groups; who reads without one is not to be seen."""
        if group:
            members = await self._client.members(
                group_id(self._namespace, Readership(topic, EVERYTHING, group))
            )
            return CANNOT_TELL if members is None else members
        known = await self._client.groups()
        if known is None:
            return CANNOT_TELL
        ours = [name for name in known if name.startswith(f"{topic_name(self._namespace, topic)}.")]
        return sum([await self._client.members(name) or 0 for name in ours])

    async def waiting(self, topic: str, group: str) -> int:
        """What was written since the offsets that the group has committed; CANNOT_TELL of one that has none."""
        name = topic_name(self._namespace, topic)
        written = await self._client.written(name)
        if not written:
            return CANNOT_TELL
        readers = group_id(self._namespace, Readership(topic, EVERYTHING, group))
        read = await self._client.committed(readers, name, 1 + max(written))
        if not read:
            return CANNOT_TELL
        return sum(max(0, written[part] - offset) for part, (offset, _) in read.items() if part in written)

    async def abandon(self, readership: Readership) -> bool:
        """Delete its consumer group."""
        return await self._client.delete_group(group_id(self._namespace, readership))

    async def ping(self) -> None:
        """Some broker of the cluster answers."""
        await self._client.alive()

    async def close(self) -> None:
        """Whatever is under way fails. Who is cancelled here leaves nothing open: the end goes on by itself."""
        self._work.closed = True
        if self._end is None:
            self._end = asyncio.create_task(self._close_all(), name="kafka goodbye")
        await asyncio.shield(self._end)

    async def _close_all(self) -> None:
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for outbox in self._outboxes.values():
            _fail(outbox, BrokerUnavailable("the connection is closed"))
        closing = [consumer.lose() for consumer in self._consumers]
        await asyncio.gather(*closing, self._client.close(), return_exceptions=True)

    def _reader(self, topic: str, group: str = "", name: str = "") -> KafkaPlace:
        return KafkaPlace(self._client, self._client.consumer(group, name), self._work, topic)

    # -- publishing

    async def _publish_all(self, topic: str, partition: int) -> None:
        """What waits together goes together, one batch after the other, so that the order is kept."""
        outbox = self._outboxes[topic, partition]
        while outbox:
            batch = [one for one in outbox if not one.done.done()]
            if not batch:
                outbox.clear()
                break
            await self._publish_batch(topic, partition, outbox, batch)
        del self._outboxes[topic, partition]

    async def _publish_batch(
        self, topic: str, partition: int, outbox: deque[_Outgoing], batch: list[_Outgoing]
    ) -> None:
        try:
            count = await self._client.publish(topic, partition, [one.record for one in batch])
        except BrokerError as error:
            _fail(outbox, error)
            if isinstance(error, BrokerUnavailable) and not isinstance(error, BrokerRefused):
                self._on_lost(str(error))
            return
        last = batch[count - 1]
        while True:
            one = outbox.popleft()
            if not one.done.done():
                one.done.set_result(None)
            if one is last:
                return

    # -- topics and groups

    async def _topic(self, name: str) -> _Topic:
        """Looked at once a connection; all who need it wait for that. Raises BrokerUnavailable."""
        opening = self._topics.get(name)
        if opening is None:
            opening = self._topics[name] = asyncio.ensure_future(
                self._open(topic_name(self._namespace, name))
            )
            opening.add_done_callback(lambda done: self._opened(name, done))
        return opening.result() if opening.done() else await asyncio.shield(opening)

    def _opened(self, name: str, opening: asyncio.Future[_Topic]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self._topics.pop(name, None)

    async def _results(self) -> _Topic | None:
        """What confirmations there mean; who keeps nothing for anybody makes no topic."""
        if self._settings.keep_for_groups:
            return await self._topic(RESULTS_TOPIC)
        name = topic_name(self._namespace, RESULTS_TOPIC)
        replicas = await self._client.replicas(name)
        return described(name, replicas, await self._client.topic_settings(name)) if replicas else None

    async def _open(self, name: str) -> _Topic:
        replicas = await self._client.replicas(name)
        if not replicas:
            options = {"max.message.bytes": str(MESSAGE_BYTES + RECORD_BYTES)}
            await self._client.create_topic(
                name, self._settings.kafka_partitions, self._settings.stream_replicas, options
            )
            async with asyncio.timeout(self._settings.confirm_seconds):
                while not (replicas := await self._client.replicas(name, create=True)):  # noqa: ASYNC110
                    await asyncio.sleep(MADE_SECONDS)
        told = await self._client.topic_settings(name)
        return described(name, replicas, told)

    async def _keep_for(self, readership: Readership) -> None:
        """A group that is there from now on, whether or not anybody has come."""
        topic = await self._topic(readership.topic)
        with suppress(BrokerRefused):
            await self._begin_group(group_id(self._namespace, readership), topic, "")

    async def _begin_group(self, group: str, topic: _Topic, after: str) -> None:
        """It reads from now on; one that this process knows and the cluster lost begins where it was."""
        if not await self._client.committed(group, topic.name, topic.partitions):
            await self._commit_ends(group, topic, read_positions(after))

    async def _commit_ends(self, group: str, topic: _Topic, before: Mapping[int, int]) -> None:
        """For a group that nobody is in; where somebody is, he has begun it meanwhile."""
        consumer = self._client.consumer(group)
        try:
            with self._client.translated():
                await consumer.start()
                consumer.assign([consumer.part(topic.name, one) for one in range(topic.partitions)])
                now = await ends(consumer, topic.name, topic.partitions)
                await consumer.commit_to(
                    topic.name, {one: (before.get(one, end), "") for one, end in now.items()}
                )
        finally:
            await consumer.stop()


def described(name: str, replicas: list[int], told: Mapping[str, str] | None) -> _Topic:
    """What a confirmation means there: it comes when all servers that keep the topic and are well have the message."""
    if told is None:
        weakness = f"the server does not tell how it keeps {name} (allow DescribeConfigs to find out)"
        return _Topic(name, len(replicas), Durability.MEMORY, 0, (weakness,))
    least = int(told.get("min.insync.replicas") or 1)
    largest = int(told.get("max.message.bytes") or 0)
    if least > 1 and min(replicas) > 1:
        return _Topic(name, len(replicas), Durability.QUORUM, largest)
    if told.get("flush.messages") == "1":
        return _Topic(name, len(replicas), Durability.FSYNC, largest)
    weakness = (
        "Kafka may lose what one server has confirmed when its power fails (keep the topics on three servers, with "
        "min.insync.replicas=2)"
    )
    return _Topic(name, len(replicas), Durability.OS, largest, (weakness,))


def _with(facts: ServerFacts, results: _Topic) -> ServerFacts:
    weaknesses = (*facts.weaknesses, *results.weaknesses)
    return replace(facts, durability=results.durability, weaknesses=weaknesses)


def _weak(client: KafkaClient) -> tuple[str, ...]:
    if client.idempotent:
        return ()
    return (
        "the server does not drop what is sent to it twice (allow IdempotentWrite, or take Kafka 3.0 or newer)",
    )


def _fail(outbox: deque[_Outgoing], error: Exception) -> None:
    for one in outbox:
        if not one.done.done():
            one.done.set_exception(error)
    outbox.clear()
