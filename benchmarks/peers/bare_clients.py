"""Each broker's own client library, used as well as one knows how, for the adapters to be held against.

A class for each: ``publish`` sends so many messages of one size with so many under way at once, and
returns when the server has confirmed them all; each has a key, a body and an id, without which nobody
could tell a message that came twice; ``consume`` takes and acknowledges so many through a durable
group, with as many unsettled at most as our own prefetch.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.contract.messages import new_id

PREFETCH = 128
MOCK_FETCH_SECONDS = 0.005
"""How long a request for messages may wait at the mock of a Kafka cluster, which always waits so long."""


class BareClient(Protocol):
    """One client library at one server, within ``async with``; a group is there from the beginning."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def publish(self, messages: int, under_way: int, payload: bytes) -> None:
        """Returns when all are confirmed."""

    async def consume(self, messages: int) -> None:
        """Returns when all are acknowledged."""


class BareRedis:
    """redis-py: pipelines of XADD, XREADGROUP and one XACK for all of an answer."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis

        self._client: Any = Redis.from_url(url, protocol=2)

    async def __aenter__(self) -> Self:
        await self._client.xgroup_create("bare", "workers", id="$", mkstream=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def publish(self, messages: int, under_way: int, payload: bytes) -> None:
        """In pipelines of so many."""
        for _ in range(messages // under_way):
            pipeline = self._client.pipeline(transaction=False)
            for _ in range(under_way):
                pipeline.xadd(
                    "bare",
                    {"key": "home.kitchen.s_1", "body": payload, "message_id": new_id("m")},
                    maxlen=100_000,
                )
            await pipeline.execute()

    async def consume(self, messages: int) -> None:
        """As many at a time as there are, up to the prefetch."""
        while messages > 0:
            answer = await self._client.xreadgroup(
                "workers", "one", {"bare": ">"}, count=PREFETCH, block=1000
            )
            ids = [entry_id for entry_id, _ in answer[0][1]] if answer else []
            if ids:
                await self._client.xack("bare", "workers", *ids)
            messages -= len(ids)


class BareNats:
    """nats-py: publishes side by side, fetches of a pull consumer, an ack for each message."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        import nats
        from nats.js.api import StreamConfig

        self._nats: Any = nats
        self._client = await nats.connect(self._url)
        self._jetstream = self._client.jetstream()
        await self._jetstream.add_stream(StreamConfig(name="bare", subjects=["bare.*.*.*"], max_msgs=100_000))
        self._results = await self._jetstream.pull_subscribe("bare.*.*.*", durable="workers")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    async def publish(self, messages: int, under_way: int, payload: bytes) -> None:
        """From so many tasks."""

        async def some() -> None:
            for _ in range(messages // under_way):
                await self._jetstream.publish(
                    "bare.home.kitchen.s_1", payload, headers={"Nats-Msg-Id": new_id("m")}
                )

        await asyncio.gather(*(some() for _ in range(under_way)))

    async def consume(self, messages: int) -> None:
        """As many at a time as there are, up to the prefetch."""
        while messages > 0:
            with suppress(self._nats.errors.TimeoutError):
                fetched = await self._results.fetch(PREFETCH, timeout=1)
                for message in fetched:
                    await message.ack()
                messages -= len(fetched)


class BareRabbitMQ:
    """aio-pika: publishes side by side on a channel with confirms, a quorum queue, an ack for each message."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        import aio_pika

        self._pika: Any = aio_pika
        self._connection = await aio_pika.connect(self._url)
        publishing, consuming = await self._connection.channel(), await self._connection.channel()
        await consuming.set_qos(prefetch_count=PREFETCH)
        self._exchange = await publishing.declare_exchange("bare", "topic", durable=True)
        self._queue = await consuming.declare_queue(
            "bare.workers", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await self._queue.bind(self._exchange, "#")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.close()

    async def publish(self, messages: int, under_way: int, payload: bytes) -> None:
        """From so many tasks."""

        async def some() -> None:
            for _ in range(messages // under_way):
                message = self._pika.Message(
                    payload, delivery_mode=2, content_type="application/json", message_id=new_id("m")
                )
                await self._exchange.publish(message, "home.kitchen.s_1")

        await asyncio.gather(*(some() for _ in range(under_way)))

    async def consume(self, messages: int) -> None:
        """As they are pushed."""
        done = asyncio.Event()
        left = messages

        async def take(message: Any) -> None:
            nonlocal left
            await message.ack()
            left -= 1
            if not left:
                done.set()

        tag = await self._queue.consume(take)
        await done.wait()
        await self._queue.cancel(tag)


class BareKafka:
    """aiokafka: an idempotent producer with many sends under way, a group's member, a commit for all that came."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url).netloc

    async def __aenter__(self) -> Self:
        import aiokafka

        self._producer: Any = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self._server, acks="all", enable_idempotence=True, linger_ms=0
        )
        self._consumer: Any = aiokafka.AIOKafkaConsumer(
            "bare",
            bootstrap_servers=self._server,
            group_id="workers",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=int(MOCK_FETCH_SECONDS * 1000),
        )
        await self._producer.start()
        await self._producer.send_and_wait("bare", b"it knows the way", key=b"home.kitchen.s_1")
        await self._consumer.start()
        await self.consume(1)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def publish(self, messages: int, under_way: int, payload: bytes) -> None:
        """From so many tasks."""

        async def some() -> None:
            for _ in range(messages // under_way):
                await self._producer.send_and_wait(
                    "bare",
                    payload,
                    key=b"home.kitchen.s_1",
                    headers=[("message-id", new_id("m").encode())],
                )

        await asyncio.gather(*(some() for _ in range(under_way)))

    async def consume(self, messages: int) -> None:
        """As many at a time as there are, up to the prefetch."""
        while messages > 0:
            come = await self._consumer.getmany(timeout_ms=1000, max_records=PREFETCH)
            if come:
                await self._consumer.commit()
            messages -= sum(map(len, come.values()))


class BareMqtt:
    """paho-mqtt with MQTT 5 and its own threads: QoS 1, an id in each message, acknowledged by hand."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    async def __aenter__(self) -> Self:
        subscribed = threading.Event()
        self._taken, self._confirmed = threading.Semaphore(0), threading.Semaphore(0)
        self._publisher, self._subscriber = self._client(), self._client()
        self._publisher.on_publish = lambda *_: self._confirmed.release()
        self._subscriber.on_message = self._take
        self._subscriber.on_subscribe = lambda *_: subscribed.set()
        self._subscriber.subscribe("$share/workers/bare/+/+/+", 1)
        await asyncio.to_thread(subscribed.wait)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in (self._publisher, self._subscriber):
            client.disconnect()
            client.loop_stop()

    async def publish(self, messages: int, under_way: int, payload: bytes) -> None:
        """From a thread, with at most so many unconfirmed."""

        def work() -> None:
            for number in range(messages):
                if number >= under_way:
                    self._confirmed.acquire()
                properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.UserProperty = [("message_id", new_id("m"))]
                self._publisher.publish("bare/home/kitchen/s_1", payload, 1, properties=properties)
            for _ in range(under_way):
                self._confirmed.acquire()

        await asyncio.to_thread(work)

    async def consume(self, messages: int) -> None:
        """As they are pushed."""

        def work() -> None:
            for _ in range(messages):
                self._taken.acquire()

        await asyncio.to_thread(work)

    def _client(self) -> Any:
        client: Any = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, manual_ack=True)
        client.connect(self._address.hostname, self._address.port)
        client.loop_start()
        return client

    def _take(self, client: Any, _data: object, message: Any) -> None:
        client.ack(message.mid, message.qos)
        self._taken.release()
