"""Where an MQTT broker is, and what proves to each side who the other is.

Files are read anew for each connection, so that a renewed certificate or a password that comes
later needs no restart.

The error tree::

    MqttUnavailable    the broker cannot be used (yet): ``reason`` and ``remedy`` in words
      MqttRefused      it does not let this client in
    MqttSilent         it does not answer to MQTT 5
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from urllib.parse import unquote

from firmware_bridge.named_files import first_line
from firmware_bridge.servers import in_words, server_url, split_url, tls_context
from firmware_bridge.url_secrets import masked

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttUnavailable(Exception):
    """The broker cannot be used (yet)."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class MqttRefused(MqttUnavailable):
    """The broker does not let this client in: trying again does not help until somebody changes something."""


class MqttSilent(Exception):
    """The broker does not answer to MQTT 5."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files by path, or by the name of a systemd credential (LoadCredential=); empty: none.

    ``ca_file`` empty means the authorities that this machine trusts. ``section``: where in the settings they are named.
    """

    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    section: str = "devices.mqtt"

    def password(self) -> str | None:
        """The file's first line. Raises MqttUnavailable."""
        if not self.password_file:
            return None
        path = _located(self.password_file)
        try:
            return first_line(path)
        except (OSError, UnicodeDecodeError) as error:
            raise MqttUnavailable(
                f"the password's file {path} cannot be read: {in_words(error)}",
                f"correct {self.section}.password_file, or the file's owner and mode",
            ) from error

    def tls(self) -> SSLContext:
        """Checks the broker's certificate, and shows ours if there is one. Raises MqttUnavailable."""
        files = (self.ca_file, self.cert_file, self.key_file)
        try:
            return tls_context(*(str(_located(name)) if name else "" for name in files))
        except (OSError, ValueError) as error:  # no such file, no permission, no certificate in it
            raise MqttUnavailable(
                f"the certificates ({', '.join(filter(None, files))}) cannot be used: {in_words(error)}",
                f"correct {self.section}.ca_file, cert_file and key_file",
            ) from error


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
            parts = split_url(url)
        except ValueError:
            raise _no_address(url) from None
        if parts.scheme not in _PORTS or parts.path.strip("/"):
            raise _no_address(url)
        return cls(
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=parts.scheme == "mqtts",
            credentials=credentials,
        )

    def __str__(self) -> str:
        return server_url("mqtts" if self.tls else "mqtt", self.host, self.port)

    def login(self) -> tuple[str, str | None] | None:
        """User and password; a password file goes before the URL's. Raises MqttUnavailable."""
        if self.username is None:
            return None
        return self.username, self.credentials.password() or self.password

    def tls_context(self) -> SSLContext | None:
        """Raises MqttUnavailable."""
        return self.credentials.tls() if self.tls else None


def _located(name: str) -> Path:
    """Where systemd put the credential of this name, if it did; else the path itself."""
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)
    return credential if not Path(name).is_absolute() and credential.is_file() else Path(name)


def _no_address(url: str) -> ValueError:
    return ValueError(f"{masked(url)!r} is not mqtt[s]://[user:password@]host[:port]")
