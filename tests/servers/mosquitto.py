"""Mosquitto: starts in milliseconds, so each test can have its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.servers.certificates import Certificates
from tests.servers.process import ServerProcess, free_port

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
FORGETFUL = "persistence false"
LAZY = "persistence true\nautosave_interval 1800"
"""As Debian installs it: what is kept is written when it ends in peace, or every half hour."""
KEEPING = "persistence true\nautosave_on_changes true\nautosave_interval 1"
"""Written after every change."""
EVERYBODY = "allow_anonymous true"


class Mosquitto(ServerProcess):
    """One Mosquitto on one port of the loopback."""

    READY: ClassVar[bytes] = b"running"

    def __init__(self, folder: Path, options: str = EVERYBODY, keeps: str = FORGETFUL) -> None:
        """``options`` are lines of its configuration; ``keeps`` says what outlives it."""
        self.port = free_port()
        super().__init__(folder / f"mosquitto-{self.port}")
        self.folder.mkdir()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.tls_url = f"mqtts://127.0.0.1:{self.port}"
        self._config = self.folder / "mosquitto.conf"
        self._config.write_text(
            f"user root\n{keeps}\npersistence_location {self.folder}/\nlistener {self.port} 127.0.0.1\n{options}\n"
        )

    def command(self) -> list[str]:
        return [MOSQUITTO, "-c", str(self._config)]


def password_options(folder: Path, user: str, password: str) -> str:
    """Configuration lines that let in users with a password, this one and those before it in the folder."""
    file = folder / "passwords"
    file.touch(mode=0o600)
    subprocess.run([_password_program(), "-b", file, user, password], check=True, capture_output=True)
    return f"allow_anonymous false\npassword_file {file}"


def tls_options(certificates: Certificates, *, client_certificate: bool = False) -> str:
    """Configuration lines for TLS; with ``client_certificate`` that is who the client is, else all may come in."""
    lines = [
        f"cafile {certificates.ca}",
        f"certfile {certificates.server_cert}",
        f"keyfile {certificates.server_key}",
    ]
    if client_certificate:
        lines += ["require_certificate true", "use_identity_as_username true"]
    else:
        lines.append(EVERYBODY)
    return "\n".join(lines)


def _password_program() -> str:
    return shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
