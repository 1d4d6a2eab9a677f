"""A Kafka cluster that is not one: librdkafka's mock, which knows topics, groups and the wire, and keeps nothing safe.

Its ``kill`` closes every connection and port at once, and what it had is there again when it is started, as with a
cluster that keeps its topics on several servers. It has no access lists (``deny`` has one topic refused), no logins,
no TLS and no admin's requests (topics are made when they are named).
"""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path
from typing import ClassVar, Self

from tests.servers.process import ServerProcess


class Kafka(ServerProcess):
    """``brokers`` of them, each on a port of the loopback that it chooses itself."""

    READY: ClassVar[bytes] = b"addresses "

    def __init__(self, folder: Path, brokers: int = 3) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="kafka-", dir=folder)))
        self._short = tempfile.TemporaryDirectory(prefix="kafka-")  # a socket's name has a hundred characters
        self.brokers = brokers
        self.url = ""
        self.port = 0
        self._control = Path(self._short.name, "control")
        self._up = True

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.servers.kafka_mock", str(self.brokers), str(self._control)]

    def start(self) -> Self:
        if not self.running:
            super().start()
            line = next(one for one in self.log.read_bytes().splitlines() if one.startswith(self.READY))
            self.port = int(line.decode().split()[1].partition(",")[0].rpartition(":")[2])
            self.url = f"kafka://127.0.0.1:{self.port}"
        elif not self._up:
            self.order("up")
        self._up = True
        return self

    def kill(self) -> None:
        """All brokers are gone."""
        if self.running and self._up:
            self.order("down")
            self._up = False

    def end(self) -> None:
        """And the process."""
        super().kill()
        self._short.cleanup()

    def order(self, line: str) -> None:
        """As the mock's ``Cluster.carry_out`` has it."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._control))
            control.sendall(f"{line}\n".encode())
            assert control.makefile().readline() == "done\n"
