"""Where a broker on the network is, who we are to it, and how the way there is guarded.

A password never appears in the text of an address, nor in an error of this module.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from firmware_bridge.named_files import first_line
from firmware_bridge.servers import in_words, server_url, split_url, tls_context
from firmware_bridge.url_secrets import MASK, without_logins
from gateway.broker.base import BrokerError, BrokerRefused
from gateway.settings.broker import BrokerSettings
from gateway.settings.house import HouseSettings

MOST_SERVERS = 32
"""In one URL."""
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what LoadCredential= names."""


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""


_MACHINE = _machine()  # once, before there is an event loop that would have to wait for it


class Address(Struct, frozen=True, kw_only=True):
    """A broker's address, ready to connect to. As text it is the URL without user and password.

    ``path`` is what stands behind the slash (a database's number, a virtual host), decoded.
    """

    scheme: str
    host: str
    port: int
    path: str
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None
    client_id: str
    settings: BrokerSettings

    @property
    def connect_seconds(self) -> float:
        """How long connecting may take."""
        return self.settings.connect_seconds

    def __str__(self) -> str:
        return server_url(self.scheme, self.host, self.port)

    def login(self) -> tuple[str, str | None] | None:
        """User and password."""
        return None if self.username is None else (self.username, self.password)

    def tls_context(self) -> ssl.SSLContext | None:
        """None: it is not guarded."""
        return self.tls


class Scheme(Struct, frozen=True):
    """A kind of URL: its usual port, and whether it is TLS."""

    port: int
    tls: bool = False


def each_server(url: str) -> tuple[str, ...]:
    """``url`` for each of the servers that it names between commas, which are those of a cluster."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    return tuple(f"{scheme}{separator}{login}{at}{host}{slash}{path}" for host in hosts.split(","))


def check_url(url: str) -> None:
    """Raises BrokerError when ``url`` does not name a host; the message has nothing of a password."""
    servers = each_server(url)
    try:
        for server in servers[:MOST_SERVERS]:
            split_url(server)
    except ValueError as error:
        kind = url.partition("://")[0]
        raise BrokerError(f"not {kind}://[user:password@]host[:port][,host[:port]]") from error
    if len(servers) > MOST_SERVERS:
        raise BrokerError(f"a broker's address names at most {MOST_SERVERS} servers")


def resolve(url: str, scheme: Scheme, settings: BrokerSettings) -> Address:
    """The address of one server as it is right now: files with a password or certificates are read each time.

    Raises BrokerRefused, with the remedy, when one of them cannot be read.
    """
    parts = split_url(url)
    password = unquote(parts.password) if parts.password is not None else None
    if settings.password_file:
        password = _read_password(settings.password_file)
    return Address(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or scheme.port,
        path=unquote(parts.path.lstrip("/")),
        username=unquote(parts.username) if parts.username else None,
        password=password,
        tls=_tls_context(settings) if scheme.tls else None,
        client_id=client_id(settings),
        settings=settings,
    )


def client_id(settings: BrokerSettings) -> str:
    """Who we are to a broker, always the same: as set, or derived from /etc/machine-id, which stays here."""
    if settings.client_id:
        return settings.client_id
    digest = hashlib.sha256(f"earshot {_MACHINE or socket.gethostname()}".encode()).hexdigest()
    return f"earshot-{digest[:12]}"


def gateway_name(house: HouseSettings, broker: BrokerSettings) -> str:
    """What this gateway is called in its house."""
    return house.name or client_id(broker)


def replies_group(settings: BrokerSettings) -> str:
    """The group under which this gateway, and no other, reads replies."""
    return f"gateway-{client_id(settings)}"


def without_secrets(text: str, address: Address) -> str:
    """``text`` of a client library, with nothing of the credentials in it."""
    text = without_logins(text)
    return text.replace(address.password, MASK) if address.password else text


def _read_password(name: str) -> str:
    """The file's first line. A relative name is looked up among systemd's credentials, where there are any."""
    path = Path(os.environ.get(CREDENTIALS_VARIABLE, ""), name)
    try:
        return first_line(path)
    except (OSError, UnicodeError) as error:
        raise BrokerRefused(
            f"the password's file {path} cannot be read: {in_words(error)}",
            "correct broker.password_file, or the file's owner and mode",
        ) from error


def _tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    tls = settings.tls
    try:
        context = tls_context(tls.ca_file, tls.cert_file, tls.key_file)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise BrokerRefused(
            f"the certificates cannot be used: {in_words(error)}",
            "correct ca_file, cert_file and key_file under broker.tls",
        ) from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
