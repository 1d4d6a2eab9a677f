"""Each adapter against its bare client library: published, confirmed, consumed and acknowledged messages per second.

Both talk to the same server in the same run, which stores as safely as it can (but Kafka's is librdkafka's mock, which
stores nothing); ours carries ids, headers and a receipt, and matches every key again. Ours and the bare client take
turns, and the median of the rounds' ratios counts, because a busy machine slows both. Publishers and the consumer run
at once in one process, as in a gateway.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from benchmarks.instruments.report import Bar, Result
from benchmarks.peers.bare_clients import (
    MOCK_FETCH_SECONDS,
    PREFETCH,
    BareClient,
    BareKafka,
    BareMqtt,
    BareNats,
    BareRabbitMQ,
    BareRedis,
)
from gateway.broker.backends import kafka_client
from gateway.broker.base import MessageBroker, RoutingKey
from gateway.broker.opening import open_broker
from gateway.settings.broker import BrokerSettings
from tests.servers.certificates import make_certificates
from tests.servers.kafka import Kafka
from tests.servers.mosquitto import EVERYBODY, MOSQUITTO, Mosquitto
from tests.servers.nats import NATS, Nats
from tests.servers.rabbitmq import RABBITMQ, RabbitMQ
from tests.servers.redis import REDIS, Redis

TOPIC = "transcription.results"
KEY = RoutingKey("home", "kitchen", "s_1")
PAYLOAD = b'{"text": "' + b"x" * 440 + b'"}'  # a transcript's size
UNDER_WAY = 100
BAR = 0.8
BARS = {"redis": 0.85}


class Server(Protocol):
    """A server of the benchmark's own."""

    url: str

    def start(self) -> object:
        """Returns when it takes connections."""

    def kill(self) -> None:
        """End it."""


class Contest(Struct, frozen=True):
    """Who is held against whom. ``program`` is what must be installed."""

    program: str
    server: Callable[[Path], Server]
    bare: Callable[[str], BareClient]


def rabbitmq(folder: Path) -> RabbitMQ:
    return RabbitMQ(folder, make_certificates(folder))


def mosquitto(folder: Path) -> Mosquitto:
    """With room for all that a consumer is behind: as it comes, it drops what is more than a thousand."""
    return Mosquitto(folder, options=f"{EVERYBODY}\nmax_queued_messages 0")


class MockedKafka(Kafka):
    """The mock, which answers a request for messages when its time is over, where Kafka does as soon as there is one.

    So both ask for a short time.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, brokers=1)
        kafka_client.FETCH_SECONDS = MOCK_FETCH_SECONDS

    def kill(self) -> None:
        """And its process."""
        self.end()


CONTESTS = {
    "mqtt": Contest(MOSQUITTO, mosquitto, BareMqtt),
    "rabbitmq": Contest(RABBITMQ, rabbitmq, BareRabbitMQ),
    "redis": Contest(REDIS, Redis, BareRedis),
    "nats": Contest(NATS, Nats, BareNats),
    "kafka": Contest(sys.executable, MockedKafka, BareKafka),
}


async def bare_rate(client: BareClient, messages: int) -> float:
    """Messages per second, there and acknowledged."""
    began = time.perf_counter()
    await asyncio.gather(client.publish(messages, UNDER_WAY, PAYLOAD), client.consume(messages))
    return messages / (time.perf_counter() - began)


async def our_rate(broker: MessageBroker, messages: int) -> float:
    """The same through an adapter."""
    async with broker.subscribe(TOPIC, group="workers") as subscription:
        await broker.publish(
            TOPIC, KEY, PAYLOAD
        )  # a member of Kafka's reads when its group has been shared out
        await (await anext(subscription)).ack()

        async def publish() -> None:
            for _ in range(messages // UNDER_WAY):
                await broker.publish(TOPIC, KEY, PAYLOAD)

        async def consume() -> None:
            for _ in range(messages):
                await (await anext(subscription)).ack()

        began = time.perf_counter()
        await asyncio.gather(consume(), *(publish() for _ in range(UNDER_WAY)))
    return messages / (time.perf_counter() - began)  # when the server has heard of every acknowledgement


async def contend(url: str, contest: Contest, messages: int, rounds: int) -> list[tuple[float, float]]:
    """Ours and the bare rate of each round, after one that does not count."""
    broker = open_broker(url, BrokerSettings(prefetch=PREFETCH))
    results = []
    async with contest.bare(url) as client:
        for number in range(rounds + 1):
            rates = (await our_rate(broker, messages), await bare_rate(client, messages))
            if number:
                results.append(rates)
    await broker.close()
    return results


def run(*, quick: bool) -> Result:
    messages, rounds = (1_000, 2) if quick else (10_000, 7)
    metrics: dict[str, float | int | str] = {}
    bars = []
    for name, contest in CONTESTS.items():
        if not Path(contest.program).exists():
            metrics[f"{name}"] = f"{contest.program} is not installed"
            continue
        with tempfile.TemporaryDirectory() as folder:
            server = contest.server(Path(folder))
            server.start()
            try:
                rates = asyncio.run(contend(server.url, contest, messages, rounds))
            finally:
                server.kill()
        metrics[f"{name}: messages_per_s through the adapter"] = round(statistics.median(r[0] for r in rates))
        metrics[f"{name}: messages_per_s, bare client"] = round(statistics.median(r[1] for r in rates))
        ratio = statistics.median(ours / bare for ours, bare in rates)
        bars.append(Bar(f"{name}: of the bare client's throughput", ratio, BARS.get(name, BAR), "at least"))
    return Result(metrics, bars)
