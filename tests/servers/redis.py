"""Redis: starts in milliseconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from tests.servers.certificates import Certificates
from tests.servers.process import ServerProcess, free_port

REDIS = shutil.which("redis-server") or "/usr/bin/redis-server"
USER, PASSWORD = "gateway", "not-a-secret"
KEEPING = "appendonly yes\nappendfsync always"
"""Written to the disk before the answer."""
LAZY = "appendonly yes\nappendfsync everysec"
"""Written to the disk within a second or two."""
FORGETFUL = "appendonly no"


class Redis(ServerProcess):
    """One Redis: plain on one port of the loopback, and with TLS and client certificates on another.

    Everybody is let in without a password; whoever gives one must be ``gateway`` with the right one.
    """

    READY: ClassVar[bytes] = b"Ready to accept connections"

    def __init__(self, folder: Path, certificates: Certificates | None = None, keeps: str = KEEPING) -> None:
        self.port, self.tls_port = free_port(), free_port()
        super().__init__(folder / f"redis-{self.port}")
        self.folder.mkdir()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.user_url = f"redis://{USER}:{PASSWORD}@127.0.0.1:{self.port}"
        self.tls_url = f"rediss://127.0.0.1:{self.tls_port}"
        self._config = self.folder / "redis.conf"
        lines = [
            f"bind 127.0.0.1\nport {self.port}\ndir {self.folder}",
            f'save ""\nuser {USER} on >{PASSWORD} ~* &* +@all',
            keeps,
        ]
        if certificates is not None:
            lines += [f"tls-port {self.tls_port}", *_tls_lines(certificates)]
        self._config.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [REDIS, str(self._config)]


def _tls_lines(certificates: Certificates) -> list[str]:
    return [
        f"tls-ca-cert-file {certificates.ca}",
        f"tls-cert-file {certificates.server_cert}",
        f"tls-key-file {certificates.server_key}",
    ]
