"""The brokers that the scenarios are run on, each a server of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.servers import mosquitto, redis
from tests.servers.certificates import make_certificates
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis


class Broker(Struct, frozen=True):
    """A kind of server, and how it keeps what it has confirmed."""

    name: str
    make: Callable[[Path], ServerProcess]
    loses: str = ""
    """What it loses by its own configuration; empty: nothing."""
    late: bool = False
    """Whether it may deliver what was in a lost connection of a reader after what was published later."""


BROKERS = {
    "redis": Broker("Redis", Redis),
    "nats": Broker("NATS JetStream", Nats),
    "rabbitmq": Broker("RabbitMQ", lambda folder: RabbitMQ(folder, make_certificates(folder)), late=True),
    "mqtt": Broker(
        "Mosquitto, saving every change", lambda folder: Mosquitto(folder, keeps=mosquitto.KEEPING)
    ),
}
"""Configured to keep what they confirm."""

WEAK = {
    "redis-everysec": Broker(
        "Redis, appendfsync everysec",
        lambda folder: Redis(folder, keeps=redis.LAZY),
        "a second, with the power",
    ),
    "redis-memory": Broker(
        "Redis, appendonly no",
        lambda folder: Redis(folder, keeps=redis.FORGETFUL),
        "everything, with the process",
    ),
    "mqtt-debian": Broker(
        "Mosquitto as Debian installs it",
        lambda folder: Mosquitto(folder, keeps=mosquitto.LAZY),
        "up to half an hour, with the process",
    ),
    "mqtt-memory": Broker("Mosquitto, persistence false", Mosquitto, "everything, with the process"),
}
"""Configured so that they may lose what they have confirmed."""


@contextmanager
def running(broker: Broker, folder: Path) -> Iterator[tuple[ServerProcess, str, int]]:
    """The server, its address and its port."""
    server = broker.make(folder)
    server.start()
    try:
        yield server, server.url, server.port  # type: ignore[attr-defined]
    finally:
        server.resume()
        server.kill()
