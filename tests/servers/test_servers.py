"""The servers that other tests rely on: they start, break and come back as those tests need it."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.servers.certificates import Certificates
from tests.servers.mosquitto import Mosquitto, tls_options
from tests.servers.process import PORTS, ServerProcess, free_port

SERVERS = [
    "keeping_mosquitto",
    "redis",
    "nats",
    pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.xdist_group("postgresql")]),
    pytest.param("rabbitmq", marks=[pytest.mark.slow, pytest.mark.xdist_group("rabbitmq")]),
]
GREETINGS = {
    "Mosquitto": b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a",
    "Nats": b"",
    "Postgresql": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    "RabbitMQ": b"AMQP\x00\x00\x09\x01",
    "Redis": b"PING\r\n",
}
"""What each server answers to at once."""


def greet(server: Any, seconds: float = 10.0) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), seconds) as connection:
        connection.sendall(GREETINGS[type(server).__name__])
        return connection.recv(4096)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_a_server_that_was_killed_comes_back_on_its_port(server: Any) -> None:
    assert greet(server)
    server.kill()
    assert not server.running
    with pytest.raises(ConnectionRefusedError):
        greet(server)
    server.start()
    assert greet(server)


def test_a_paused_server_takes_connections_and_does_not_answer(server: Any) -> None:
    server.pause()
    with pytest.raises(TimeoutError):
        greet(server, 0.2)
    server.resume()
    assert greet(server)


def test_starting_what_runs_and_killing_what_is_dead_is_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    assert mosquitto.start() is mosquitto
    mosquitto.kill()
    mosquitto.kill()
    mosquitto.stop()
    mosquitto.pause()
    mosquitto.resume()
    assert not mosquitto.running


def test_a_server_ends_in_peace(mosquitto: Mosquitto) -> None:
    assert greet(mosquitto)  # a SIGTERM that comes before its loop begins is forgotten by Mosquitto
    mosquitto.stop()
    assert b"terminating" in mosquitto.log.read_bytes()
    assert not mosquitto.running


def test_tls_with_a_client_certificate(tmp_path: Path, certificates: Certificates) -> None:
    server = Mosquitto(tmp_path, tls_options(certificates, client_certificate=True)).start()
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.load_cert_chain(certificates.client_cert, certificates.client_key)
    with (
        socket.create_connection(("127.0.0.1", server.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(GREETINGS["Mosquitto"])
        assert connection.recv(4) == b"\x20\x02\x00\x00"
    server.kill()


class Shell(ServerProcess):
    """A server that is a line of shell."""

    READY: ClassVar[bytes] = b"ready"

    def __init__(self, folder: Path, line: str) -> None:
        super().__init__(folder)
        self.line = line

    def command(self) -> list[str]:
        return ["sh", "-c", self.line]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such option"):
        Shell(tmp_path, "echo no such option; exit 1").start()


def test_its_children_die_with_it(tmp_path: Path) -> None:
    server = Shell(tmp_path, "sleep 1000 & echo $!; echo ready; wait").start()
    child = int(server.log.read_text().split()[0])
    server.kill()
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


def test_who_ignores_a_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.process.GOODBYE_SECONDS", 0.05)
    server = Shell(tmp_path, "trap '' TERM; echo ready; while :; do sleep 1000; done").start()
    server.stop()
    assert not server.running


def test_a_free_port_is_none_that_the_system_gives_away() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(PORTS) < first or os.environ.get("CI")
    assert free_port() in PORTS
