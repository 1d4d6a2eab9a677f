"""Where an MQTT broker is, and what proves to each side who the other is.

Files are read anew for each connection, so that a renewed certificate or a password that comes
later needs no restart.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from firmware_bridge.named_files import check_named, first_line
from firmware_bridge.url_secrets import masked

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttUnavailable(Exception):
    """The broker cannot be used (yet)."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files by path, or by the name of a systemd credential (LoadCredential=); empty: none.

    ``ca_file`` empty means the authorities that this machine trusts.
    """

    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def password(self) -> str | None:
        """The file's first line. Raises MqttUnavailable."""
        if not self.password_file:
            return None
        path = _located(self.password_file)
        try:
            return first_line(path)
        except (OSError, UnicodeDecodeError) as error:
            raise MqttUnavailable(
                f"the password cannot be read: {error}", "correct devices.mqtt.password_file"
            ) from error

    def tls(self) -> ssl.SSLContext:
        """Checks the broker's certificate, and shows ours if there is one. Raises MqttUnavailable."""
        try:
            check_named(*(_located(name) for name in (self.ca_file, self.cert_file, self.key_file) if name))
            context = ssl.create_default_context(cafile=str(_located(self.ca_file)) if self.ca_file else None)
            context.sslsocket_class = _Socket
            if self.cert_file:
                key = str(_located(self.key_file)) if self.key_file else None
                context.load_cert_chain(_located(self.cert_file), key, password=_no_passphrase)
        except (OSError, ValueError) as error:  # no such file, no permission, no certificate in it
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise MqttUnavailable(
                f"the certificates ({files}) cannot be used: {error}",
                "correct devices.mqtt.ca_file, cert_file and key_file",
            ) from error
        return context


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is and who we are to it. As text it is the URL without user and password."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    credentials: Credentials = Credentials()

    @classmethod
    def parse(cls, url: str, credentials: Credentials = Credentials()) -> BrokerAddress:
        """``mqtt[s]://[user[:password]@]host[:port]``. Raises ValueError saying what is wrong."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # it quotes what it does not understand: a part of the password, perhaps
            raise _no_address(url) from None
        rest = parts.path.strip("/") or parts.query or parts.fragment
        if parts.scheme not in _PORTS or not parts.hostname or port == 0 or rest:
            raise _no_address(url)
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=parts.scheme == "mqtts",
            credentials=credentials,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def login(self) -> tuple[str, str | None] | None:
        """User and password; a password file goes before the URL's. Raises MqttUnavailable."""
        if self.username is None:
            return None
        return self.username, self.credentials.password() or self.password


class _Socket(ssl.SSLSocket):
    """Closed when the handshake fails; paho-mqtt leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _located(name: str) -> Path:
    """Where systemd put the credential of this name, if it did; else the path itself."""
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)
    return credential if not Path(name).is_absolute() and credential.is_file() else Path(name)


def _no_passphrase() -> str:
    """Without this, OpenSSL asks for it on the terminal, and waits."""
    raise ValueError("the key is protected by a passphrase")


def _no_address(url: str) -> ValueError:
    return ValueError(f"{masked(url)!r} is not mqtt[s]://[user:password@]host[:port]")
