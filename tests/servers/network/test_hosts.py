"""The hosts do what their weather says."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.servers.network.hosts import HERE, Hosts, Weather, needs_hosts

pytestmark = pytest.mark.slow

PORT = 4321
ECHO = f"""
import socket
server = socket.create_server(("", {PORT}), reuse_port=True)
print("ready", flush=True)
while True:
    one, _ = server.accept()
    one.sendall(one.recv(100))
    one.close()
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    needs_hosts()
    with Hosts("far") as hosts:
        yield hosts


def round_trip(address: str, seconds: float = 5.0) -> float:
    began = time.monotonic()
    with socket.create_connection((address, PORT), timeout=seconds) as one:
        one.sendall(b"here")
        assert one.recv(100) == b"here"
    return time.monotonic() - began


def test_a_host_is_near_far_or_not_to_be_reached(hosts: Hosts) -> None:
    with subprocess.Popen(hosts.command("far", [sys.executable, "-c", ECHO]), stdout=subprocess.PIPE) as echo:
        try:
            assert echo.stdout
            echo.stdout.readline()
            far = hosts.address("far")
            assert far != hosts.address(HERE)
            round_trip(far)
            hosts.turn(Weather(delay_seconds=0.05))
            assert round_trip(far) > 0.15, "the handshake, the question and its answer"
            hosts.turn(Weather(loss=0.2))
            round_trip(far, 60.0)
            hosts.part({"far"})
            with pytest.raises(OSError, match=r"timed out|No route"):
                round_trip(far, 0.3)
            hosts.heal()
            round_trip(far)
        finally:
            echo.kill()
