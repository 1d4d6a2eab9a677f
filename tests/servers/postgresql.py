"""PostgreSQL: its files take a second to make, once; it refuses to run as root, and runs as its own user then."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil

from tests.servers.certificates import Certificates
from tests.servers.process import ServerProcess, free_port


def _program(name: str) -> str:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else shutil.which(name) or f"/usr/bin/{name}"


POSTGRES, INITDB = _program("postgres"), _program("initdb")
USER, PASSWORD = "gateway", "not-a-secret"
RIGHTS = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""
_ACCOUNT = "postgres"


class Postgresql(ServerProcess):
    """One server on one port of the loopback, with TLS for whoever wants it. ``gateway`` may do everything."""

    READY: ClassVar[bytes] = b"database system is ready to accept connections"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.port = free_port()
        super().__init__(folder / f"postgresql-{self.port}")
        self.folder.mkdir()
        self.url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        self.tls_url = self.url.replace("postgresql:", "postgresqls:")
        self._home = Path(
            tempfile.mkdtemp(prefix="earshot-postgresql-", dir="/tmp")
        )  # where its user comes to
        self._data = self._home / "data"
        self._make(certificates)

    def command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "40",
            "ssl": "on",
        }
        said = (f"--{name}={value}" for name, value in options.items())
        return [*_as_its_user(), POSTGRES, "-D", str(self._data), *said]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "LC_ALL": "C"}

    def discard(self) -> None:
        """Its files, too."""
        self.kill()
        shutil.rmtree(self._home)

    def _signal(self, number: signal.Signals) -> None:
        """Its children have groups of their own."""
        if self._process is None or not self.running:
            return
        whole = psutil.Process(self._process.pid)
        for process in (whole, *whole.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _make(self, certificates: Certificates) -> None:
        password = self._home / "password"
        password.write_text(PASSWORD)
        self._give(self._home, password)
        command = [
            INITDB,
            "-D",
            self._data,
            "-U",
            USER,
            f"--pwfile={password}",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*_as_its_user(), *map(str, command), "--no-sync", "--no-instructions", "--locale=C"],
            check=True, stdout=subprocess.DEVNULL, env=self.environment(),
        )  # fmt: skip
        for name, file in (("server.crt", certificates.server_cert), ("server.key", certificates.server_key)):
            (self._data / name).write_bytes(Path(file).read_bytes())
            (self._data / name).chmod(0o600)
            self._give(self._data / name)

    def _give(self, *paths: Path) -> None:
        if _as_its_user():
            account = pwd.getpwnam(_ACCOUNT)
            for path in paths:
                os.chown(path, account.pw_uid, account.pw_gid)


def _as_its_user() -> list[str]:
    """Nothing, where nobody is root."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--clear-groups"]
