"""Real servers on free ports, for every test that needs one.

A server of a worker (``..._server``) is started once and serves all its tests; ask for it under its short
name, which hands it over running, whatever the test before did to it. Where starting costs seconds
(RabbitMQ), put the tests into one group: ``pytest.mark.xdist_group("rabbitmq")``.
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from gateway.observing import log as gateway_log
from tests.loop_guard import blocking_calls, fail_for
from tests.servers import mosquitto as mosquitto_servers
from tests.servers import nats as nats_servers
from tests.servers import postgresql as postgresql_servers
from tests.servers import rabbitmq as rabbitmq_servers
from tests.servers import redis as redis_servers
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.kafka import Kafka
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.postgresql import Postgresql
from tests.servers.process import free_port, needs
from tests.servers.pulseaudio import PACTL, PULSEAUDIO, PulseAudio
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

# A slow machine is no failure: nothing here has a deadline of its own. `make quick` takes fewer examples.
settings.register_profile("complete", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("complete"), max_examples=15)
settings.load_profile("complete")


def pytest_configure() -> None:
    """From now on, whoever makes an event loop wait is found."""
    blocking_calls.install()


folders: dict[tuple[pytest.Collector, Path], pytest.Dir] = {}


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Dir:
    """A folder is one node, however often a command line comes back to it: pytest hangs its fixtures on the first."""
    return folders.setdefault((parent, path), pytest.Dir.from_parent(parent, path=path))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests stay to the end: Python's collector looks for garbage among them neither now nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests begin first, in whatever order they are: what begins last leaves a core idle when it is long."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What wants something that is not here is not run, and said so: in one line for each file (tests/real)."""
    for thing in (thing for marker in item.iter_markers("real") for thing in marker.args):
        if not thing.here:
            pytest.skip(f"{item.path.relative_to(item.config.rootpath)} is not run: {thing.absence}")


@pytest.fixture(scope="session", autouse=True)
def own_places() -> Iterator[Path]:
    """Where this run's processes put what nobody names a place for: two runs meet nowhere, and nothing is left.

    Its path is short, since Chromium and others make sockets there.
    """
    with tempfile.TemporaryDirectory(prefix="earshot-tests-", ignore_cleanup_errors=True) as folder:
        places = {
            "TMPDIR": "tmp",
            "XDG_STATE_HOME": "state",
            "XDG_CACHE_HOME": "cache",
            "XDG_CONFIG_HOME": "config",
        }
        with pytest.MonkeyPatch.context() as patch:
            for variable, name in places.items():
                Path(folder, name).mkdir()
                patch.setenv(variable, str(Path(folder, name)))
            patch.setattr(tempfile, "tempdir", os.environ["TMPDIR"])
            yield Path(folder)


@pytest.fixture(autouse=True)
def nobody_blocks_the_loop() -> Iterator[None]:
    """A test in which our code did fails (tests/loop_guard.py)."""
    blocking_calls.take()
    yield
    fail_for(blocking_calls.take())


def plain_tracebacks() -> None:
    """Where nobody configured the log: rich's tracebacks, with all locals, take longer than what is tested."""
    *others, _ = structlog.get_config()["processors"]
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, console])


plain_tracebacks()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a command that ran inside a test did to the process's logging is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in gateway_log.CHATTY_LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    plain_tracebacks()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority, a server's certificate, and a client's."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto of the test's own that allows everybody everything and keeps nothing."""
    needs(mosquitto_servers.MOSQUITTO)
    server = Mosquitto(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture
def guarded_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto of the test's own that lets nobody in without a password."""
    needs(mosquitto_servers.MOSQUITTO)
    server = Mosquitto(tmp_path, "allow_anonymous false").start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def keeping_mosquitto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The worker's Mosquitto; it writes every change to its disk."""
    needs(mosquitto_servers.MOSQUITTO)
    server = Mosquitto(tmp_path_factory.mktemp("mosquitto"), keeps=mosquitto_servers.KEEPING).start()
    yield server
    server.kill()


@pytest.fixture
def keeping_mosquitto(keeping_mosquitto_server: Mosquitto) -> Iterator[Mosquitto]:
    """The worker's Mosquitto, running; it writes every change to its disk."""
    yield keeping_mosquitto_server.start()
    keeping_mosquitto_server.resume()


@pytest.fixture(scope="session")
def rabbitmq_server(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[RabbitMQ]:
    """The worker's RabbitMQ."""
    needs(rabbitmq_servers.RABBITMQ, rabbitmq_servers.EPMD)
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), certificates).start()
    yield server
    server.kill()


@pytest.fixture
def rabbitmq(rabbitmq_server: RabbitMQ) -> Iterator[RabbitMQ]:
    """The worker's RabbitMQ, running."""
    yield rabbitmq_server.start()
    rabbitmq_server.resume()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Redis]:
    """The worker's Redis; it writes everything to its disk before it answers."""
    needs(redis_servers.REDIS)
    server = Redis(tmp_path_factory.mktemp("redis"), certificates).start()
    yield server
    server.kill()


@pytest.fixture
def redis(redis_server: Redis) -> Iterator[Redis]:
    """The worker's Redis, running."""
    yield redis_server.start()
    redis_server.resume()


@pytest.fixture(scope="session")
def postgresql_server(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Postgresql]:
    """The worker's PostgreSQL; put its tests into the group "postgresql"."""
    needs(postgresql_servers.POSTGRES)
    server = Postgresql(tmp_path_factory.mktemp("postgresql"), certificates).start()
    yield server
    server.discard()


@pytest.fixture
def postgresql(postgresql_server: Postgresql) -> Iterator[Postgresql]:
    """The worker's PostgreSQL, running."""
    yield postgresql_server.start()
    postgresql_server.resume()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """The worker's NATS server with JetStream."""
    needs(nats_servers.NATS)
    server = Nats(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.kill()


@pytest.fixture
def nats(nats_server: Nats) -> Iterator[Nats]:
    """The worker's NATS server, running."""
    yield nats_server.start()
    nats_server.resume()


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """The worker's mock of a Kafka cluster."""
    server = Kafka(tmp_path_factory.mktemp("kafka")).start()
    yield server
    server.end()


@pytest.fixture
def kafka(kafka_server: Kafka) -> Iterator[Kafka]:
    """The worker's mock of a Kafka cluster, running."""
    yield kafka_server.start()
    kafka_server.resume()


@pytest.fixture
def free_tcp_port() -> int:
    """A TCP port of the loopback where nobody listens."""
    return free_port()


@pytest.fixture
def pulseaudio(monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseAudio]:
    """A PulseAudio of the test's own, without microphones; this process's children hear nothing else."""
    needs(PULSEAUDIO, PACTL)
    with tempfile.TemporaryDirectory(prefix="pulse-") as folder:  # its socket's path has to be short
        server = PulseAudio(Path(folder)).start()
        for variable, value in server.variables.items():
            monkeypatch.setenv(variable, value)
        yield server
        server.kill()
