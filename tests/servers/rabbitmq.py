"""RabbitMQ: five seconds to start, so one for all tests of a worker.

Nothing of it is where Debian puts it: node name, ports, home, data and even the name server of Erlang's
nodes (epmd) are its own, so that any number of them run side by side and none is left behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, Self

from tests.servers.certificates import Certificates
from tests.servers.process import ServerProcess, free_port

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""The program itself: the one on the path runs as the user ``rabbitmq`` and in that user's folders."""
EPMD = shutil.which("epmd") or "/usr/bin/epmd"
USER, PASSWORD = "gateway", "not-a-secret"
COMMON = f"""
default_user = {USER}
default_pass = {PASSWORD}
log.console = true
log.console.level = info
raft.wal_max_size_bytes = 33554432
"""
"""Of each node's configuration."""


class RabbitMQ(ServerProcess):
    """A node of its own: AMQP on one port of the loopback, and with TLS and client certificates on another."""

    READY: ClassVar[bytes] = b"Server startup complete"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.port, self.tls_port = free_port(), free_port()
        super().__init__(folder / f"rabbitmq-{self.port}")
        self.folder.mkdir()
        self.url = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}"
        self.tls_url = f"amqps://{USER}:{PASSWORD}@127.0.0.1:{self.tls_port}"
        self._epmd_port, self._distribution_port = free_port(), free_port()
        self._node = f"earshot-{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        (self.folder / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
        (self.folder / "rabbitmq.conf").write_text(_configuration(self.tls_port, certificates))

    def command(self) -> list[str]:
        return [RABBITMQ]

    def environment(self) -> dict[str, str]:
        return {
            **node_environment(self.folder, self._node, "127.0.0.1", self.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
        }

    def control(self, *arguments: str) -> None:
        """Run ``rabbitmqctl``; it takes a second or two."""
        command = [str(Path(RABBITMQ).with_name("rabbitmqctl")), "-n", self._node, *arguments]
        subprocess.run(command, env=self.environment(), check=True, capture_output=True)

    def start(self) -> Self:
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                [EPMD, "-port", str(self._epmd_port)],
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return super().start()

    def kill(self) -> None:
        super().kill()
        self._end_epmd()

    def stop(self) -> None:
        super().stop()
        self._end_epmd()

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None


def node_environment(folder: Path, node: str, address: str, port: int) -> dict[str, str]:
    """What a node runs in whose files are in ``folder``: ``rabbitmq.conf``, ``enabled_plugins``, and its own."""
    return {
        **os.environ,
        "HOME": str(folder),  # the cookie
        "RUNNING_UNDER_SYSTEMD": "1",  # no shell in between, that signals would have to pass
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_NODE_IP_ADDRESS": address,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +A 8",
    }


def _configuration(tls_port: int, certificates: Certificates) -> str:
    return f"""{COMMON}
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {certificates.ca}
ssl_options.certfile = {certificates.server_cert}
ssl_options.keyfile = {certificates.server_key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""
