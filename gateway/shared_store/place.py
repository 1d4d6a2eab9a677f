"""Where the shared store is, and how the way there is guarded. No error here shows a password."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from firmware_bridge.named_files import first_line
from firmware_bridge.servers import in_words, server_url, split_url, tls_context
from firmware_bridge.url_secrets import MASK, without_logins
from gateway.broker.address import CREDENTIALS_VARIABLE
from gateway.config.house import GUARDED_STORES, STORE_PORTS
from gateway.settings.house import HouseSettings
from gateway.shared_store.port import StoreRefused, StoreUnavailable

CONNECT_SECONDS = 3.0


class StorePlace(Struct, frozen=True, kw_only=True):
    """Ready to connect to. As text it is the URL without user and password. ``name``: under which all of it lies."""

    scheme: str
    host: str
    port: int
    database: str
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None
    name: str
    connect_seconds: float = CONNECT_SECONDS

    def __str__(self) -> str:
        return server_url(self.scheme, self.host, self.port)

    def without_password(self, text: str) -> str:
        """``text`` of a client library, with nothing of the credentials in it."""
        text = without_logins(text)
        return text.replace(self.password, MASK) if self.password else text

    def unreachable(self, error: Exception) -> StoreUnavailable:
        """What the system says of the way there."""
        return StoreUnavailable(
            f"{self}: {self.without_password(in_words(error))}", "start it, or correct house.store"
        )


def place_of(settings: HouseSettings) -> StorePlace:
    """As it is right now: files with a password or certificates are read each time. Raises StoreRefused."""
    parts = split_url(settings.store)
    password = unquote(parts.password) if parts.password is not None else None
    if settings.store_password_file:
        password = _password(settings.store_password_file)
    return StorePlace(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or STORE_PORTS[parts.scheme],
        database=unquote(parts.path.lstrip("/")),
        username=unquote(parts.username) if parts.username else None,
        password=password,
        tls=_tls(settings) if parts.scheme in GUARDED_STORES else None,
        name=settings.store_name,
    )


def _password(name: str) -> str:
    path = Path(os.environ.get(CREDENTIALS_VARIABLE, ""), name)
    try:
        return first_line(path)
    except (OSError, UnicodeError) as error:
        raise StoreRefused(
            f"the password's file {path} cannot be read: {in_words(error)}",
            "correct house.store_password_file, or the file's owner and mode",
        ) from error


def _tls(settings: HouseSettings) -> ssl.SSLContext:
    try:
        return tls_context(settings.store_ca_file, settings.store_cert_file, settings.store_key_file)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise StoreRefused(
            f"the certificates cannot be used: {in_words(error)}",
            "correct house.store_ca_file, store_cert_file and store_key_file",
        ) from error
