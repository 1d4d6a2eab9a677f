"""NATS with JetStream: starts in milliseconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from tests.servers.certificates import Certificates
from tests.servers.process import ServerProcess, free_port

NATS = shutil.which("nats-server") or "/usr/sbin/nats-server"
USER, PASSWORD = "gateway", "not-a-secret"
OUTSIDER = '{user: outsider, password: "", permissions: {publish: {deny: "$JS.API.>"}}}'


class Nats(ServerProcess):
    """One NATS server with JetStream on one port of the loopback.

    With ``certificates`` it wants TLS and a client certificate. Everybody is let in without a password;
    whoever gives one must be ``gateway`` with the right one. ``outsider`` may not talk to JetStream.
    """

    READY: ClassVar[bytes] = b"Server is ready"

    def __init__(
        self, folder: Path, certificates: Certificates | None = None, *, jetstream: bool = True
    ) -> None:
        self.port = free_port()
        super().__init__(folder / f"nats-{self.port}")
        self.folder.mkdir()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.user_url = f"nats://{USER}:{PASSWORD}@127.0.0.1:{self.port}"
        self.tls_url = f"tls://127.0.0.1:{self.port}"
        self._config = self.folder / "nats.conf"
        self._config.write_text(_configuration(self.folder, certificates, jetstream=jetstream))

    def command(self) -> list[str]:
        return [NATS, "-c", str(self._config), "-a", "127.0.0.1", "-p", str(self.port)]


def _configuration(folder: Path, certificates: Certificates | None, *, jetstream: bool) -> str:
    users = f'{{user: anyone, password: ""}}, {{user: {USER}, password: {PASSWORD}}}, {OUTSIDER}'
    blocks = [
        f"authorization {{ users: [{users}] }}",
        "no_auth_user: anyone",
        "max_payload: 8MB",
    ]
    if jetstream:
        blocks.append(f'jetstream {{ store_dir: "{folder}/data" }}')
    if certificates is not None:
        blocks.append(
            f'tls {{ cert_file: "{certificates.server_cert}", key_file: "{certificates.server_key}",'
            f' ca_file: "{certificates.ca}", verify: true }}'
        )
    return "\n".join(blocks) + "\n"
