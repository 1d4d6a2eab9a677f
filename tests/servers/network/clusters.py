"""Clusters of three, a server at each host: NATS and RabbitMQ as Debian has them, and Redis, of which there is one."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self

from tests.servers.nats import NATS
from tests.servers.network.hosts import Hosts
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import COMMON, EPMD, PASSWORD, RABBITMQ, USER, node_environment
from tests.servers.redis import KEEPING, REDIS

CLUSTER_PORT = 6222


class ServerAt(ServerProcess):
    """A server at a host."""

    def __init__(self, folder: Path, hosts: Hosts, host: str) -> None:
        super().__init__(folder / f"{type(self).__name__}-{host}")
        self.folder.mkdir(exist_ok=True)
        self.hosts, self.host = hosts, host
        self.address = hosts.address(host)

    def program(self) -> Sequence[str]:
        """What to run there."""
        raise NotImplementedError

    def command(self) -> list[str]:
        return self.hosts.command(self.host, self.program())


class RedisAt(ServerAt):
    """A Redis that has everything on its disk before it answers."""

    READY: ClassVar[bytes] = b"Ready to accept connections"

    @property
    def url(self) -> str:
        return f"redis://{self.address}:6379"

    def program(self) -> Sequence[str]:
        config = self.folder / "redis.conf"
        lines = (f"bind {self.address}", "protected-mode no", f"dir {self.folder}", 'save ""', KEEPING)
        config.write_text("\n".join(lines) + "\n")
        return [REDIS, str(config)]


class NatsAt(ServerAt):
    """One of three that keep their streams together."""

    READY: ClassVar[bytes] = b"Server is ready"

    def __init__(self, folder: Path, hosts: Hosts, host: str, others: Sequence[str]) -> None:
        super().__init__(folder, hosts, host)
        self._routes = [f"nats://{hosts.address(other)}:{CLUSTER_PORT}" for other in others]

    @property
    def place(self) -> str:
        return f"{self.address}:4222"

    def program(self) -> Sequence[str]:
        config = self.folder / "nats.conf"
        config.write_text(
            f'server_name: "{self.host}"\nmax_payload: 8MB\njetstream {{ store_dir: "{self.folder}/data" }}\n'
            f'cluster {{ name: "house", listen: "{self.address}:{CLUSTER_PORT}", routes: {self._routes} }}\n'
        )
        return [NATS, "-c", str(config), "-a", self.address, "-p", "4222"]


class RabbitAt(ServerAt):
    """One of three that keep their quorum queues together."""

    READY: ClassVar[bytes] = b"Server startup complete"

    def __init__(self, folder: Path, hosts: Hosts, host: str, others: Sequence[str]) -> None:
        super().__init__(folder, hosts, host)
        self._nodes = [f"rabbit@{hosts.address(other)}" for other in sorted((host, *others))]
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"{USER}:{PASSWORD}@{self.address}:5672"

    def program(self) -> Sequence[str]:
        nodes = [
            f"cluster_formation.classic_config.nodes.{n} = {one}" for n, one in enumerate(self._nodes, 1)
        ]
        config = [
            COMMON,
            "cluster_formation.peer_discovery_backend = classic_config",
            "cluster_partition_handling = pause_minority",
            "net_ticktime = 5",
            *nodes,
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(config) + "\n")
        (self.folder / "enabled_plugins").write_text("[].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("EARSHOTTESTCOOKIE")
            cookie.chmod(0o400)
        return [RABBITMQ]

    def environment(self) -> dict[str, str]:
        node = node_environment(self.folder, f"rabbit@{self.address}", self.address, 5672)
        return {**node, "RABBITMQ_USE_LONGNAME": "true"}

    def start(self) -> Self:
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                self.hosts.command(self.host, [EPMD]),
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return super().start()

    def close(self) -> None:
        """It and its name server end."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None


class Cluster:
    """Three servers, at three hosts; ``with cluster``: they are started together, and have found each other."""

    def __init__(self, scheme: str, members: Sequence[NatsAt] | Sequence[RabbitAt]) -> None:
        self.members = members
        self.url = f"{scheme}://{','.join(member.place.rpartition('@')[2] for member in members)}"
        login = members[0].place.rpartition("@")[0]
        if login:
            self.url = self.url.replace("://", f"://{login}@")

    def __enter__(self) -> Self:
        with ExitStack() as failed:
            failed.callback(self.__exit__)
            starting = [threading.Thread(target=member.start) for member in self.members]
            for thread in starting:
                thread.start()
            for thread in starting:
                thread.join()
            assert all(member.running for member in self.members)
            failed.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        for member in self.members:
            if isinstance(member, RabbitAt):
                member.close()
            else:
                member.kill()


def nats_cluster(folder: Path, hosts: Hosts, names: Sequence[str]) -> Cluster:
    """One NATS at each of three hosts; a stream with three replicas outlives any of them."""
    return Cluster("nats", [NatsAt(folder, hosts, n, [m for m in names if m != n]) for n in names])


def rabbit_cluster(folder: Path, hosts: Hosts, names: Sequence[str]) -> Cluster:
    """One RabbitMQ at each of three hosts; who is alone waits until he is not."""
    return Cluster("amqp", [RabbitAt(folder, hosts, n, [m for m in names if m != n]) for n in names])
