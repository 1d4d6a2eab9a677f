"""https and wss: the certificate as it is on the disk, read again when it changes."""

from __future__ import annotations

import hashlib
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from firmware_bridge.named_files import check_named, read_named
from gateway.access.private_files import refuse_links
from gateway.config.places import OWN_CERTIFICATE
from gateway.process.clock import DAY, SET_SINCE
from gateway.settings.web import WebSettings

log = structlog.get_logger(__name__)

KEY = "web.key"
RENEW_SECONDS = 30 * DAY
"""So long before it ends, one of our own is made anew."""


class TlsUnavailable(Exception):
    """There is no certificate that could be used; ``remedy`` says what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Tls:
    """The server's end of TLS, for a thread: it reads and writes files. Raises TlsUnavailable.

    ``context`` is another one when the files have changed: one that is in use is never touched.
    """

    def __init__(self, settings: WebSettings, folder: Path | None) -> None:
        tls = settings.tls
        self.is_self_signed = tls.self_signed
        self._settings = settings
        self._folder = folder
        self._certificate, self._key = Path(tls.cert_file), Path(tls.key_file or tls.cert_file)
        self.context: ssl.SSLContext
        self._stamp: tuple[int, int] | None = None
        self.load()

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, as browsers show it."""
        pem = read_named(self._certificate).decode("ascii")
        end = "-----END CERTIFICATE-----"
        first = pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest().upper()
        return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))

    def load(self) -> bool:
        """Read the files if they have changed; whether they had. Raises TlsUnavailable."""
        if self.is_self_signed:
            self._certificate, self._key = _own_files(self._settings, self._folder)
        try:
            self._refuse_planted()
            stamp = (self._certificate.stat().st_mtime_ns, self._key.stat().st_mtime_ns)
            if stamp == self._stamp:
                return False
            check_named(self._certificate, self._key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(self._certificate, self._key, password="")  # never asks
        except (OSError, ValueError) as error:
            raise TlsUnavailable(
                f"the certificate cannot be used: {self._explain(error)}",
                "correct web.tls.cert_file and web.tls.key_file, or their owner and mode",
            ) from error
        self.context, self._stamp = context, stamp
        return True

    def _refuse_planted(self) -> None:
        if self.is_self_signed:
            refuse_links(self._certificate)
            refuse_links(self._key)

    def _explain(self, error: OSError | ValueError) -> str:
        if isinstance(error, ssl.SSLError):  # what it says itself is for programmers, as "PEM lib"
            return (
                f"{self._certificate} and {self._key} are not a certificate and its key (PEM, without a passphrase)"
                if self._certificate != self._key
                else f"{self._certificate} is not a certificate with its key (PEM, without a passphrase)"
            )
        return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _own_files(settings: WebSettings, folder: Path | None) -> tuple[Path, Path]:
    """The self-signed certificate and its key; made where they are missing, and again before they end."""
    if folder is None:
        raise TlsUnavailable("there is no folder for a certificate", "set web.tls.cert_file")
    certificate, key = folder / OWN_CERTIFICATE, folder / KEY
    there = certificate.exists() and key.exists()
    try:
        from gateway.web.entrance.certificate import make_certificate, validity  # noqa: PLC0415 - an extra
    except ImportError as error:
        if there:
            return certificate, key  # what somebody made elsewhere
        raise TlsUnavailable(
            "the package cryptography is not installed",
            f"{sys.executable} -m pip install 'earshot-gateway[tls]'",
        ) from error
    if there and _is_timely(certificate, validity):
        return certificate, key
    names = [name.partition(":")[0] for name in settings.hosts if not name.startswith("[")]
    host = [] if settings.host in ("0.0.0.0", "::", "localhost") else [settings.host]  # noqa: S104 - compared
    try:
        make_certificate(certificate, key, [*names, *host])
    except OSError as error:
        raise TlsUnavailable(
            f"{certificate} cannot be written: {error.strerror}", "let the gateway's user write there"
        ) from error
    return certificate, key


def _is_timely(certificate: Path, validity: Callable[[Path], tuple[float, float]]) -> bool:
    """Whether it is good and stays so for a while, as far as this machine's clock can tell.

    Before the clock was set nothing is judged: in 1970 the certificate is right, and one that was made then is
    made anew when the time has come.
    """
    try:
        since, until = validity(certificate)
    except (OSError, ValueError):
        return True  # what is wrong with it is told when it is loaded
    now = time.time()
    return now < SET_SINCE or (since <= now < until - RENEW_SECONDS)


def wanted(settings: WebSettings) -> bool:
    """Whether the page is to be served by https."""
    return settings.tls.self_signed or bool(settings.tls.cert_file)
