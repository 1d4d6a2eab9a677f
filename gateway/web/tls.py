"""https and wss: the certificate as it is on the disk, read again when it changes."""

from __future__ import annotations

import hashlib
import ssl
import time
from pathlib import Path

import structlog

from gateway.settings import WebSettings
from gateway.state_folder import OWN_CERTIFICATE

log = structlog.get_logger(__name__)

KEY = "web.key"
RENEW_SECONDS = 795 * 86_400.0
"""A month before it ends, one of our own is made anew."""


class TlsUnavailable(Exception):
    """There is no certificate that could be used; ``remedy`` says what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Tls:
    """The server's end of TLS. Raises TlsUnavailable."""

    def __init__(self, settings: WebSettings, folder: Path | None) -> None:
        tls = settings.tls
        self.is_self_signed = tls.self_signed
        self._settings = settings
        self._folder = folder
        self._certificate, self._key = Path(tls.cert_file), Path(tls.key_file or tls.cert_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._stamp: tuple[int, int] | None = None
        self.load()

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, as browsers show it."""
        pem = self._certificate.read_text(encoding="ascii")
        end = "-----END CERTIFICATE-----"
        first = pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest().upper()
        return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))

    def load(self) -> bool:
        """Read the files if they have changed; whether they had. Raises TlsUnavailable."""
        if self.is_self_signed:
            self._certificate, self._key = _own_files(self._settings, self._folder)
        try:
            stamp = (self._certificate.stat().st_mtime_ns, self._key.stat().st_mtime_ns)
            if stamp == self._stamp:
                return False
            self.context.load_cert_chain(self._certificate, self._key, password="")  # never asks
        except (OSError, ValueError) as error:
            raise TlsUnavailable(
                f"the certificate cannot be used: {self._explain(error)}",
                "correct web.tls.cert_file and web.tls.key_file, or their owner and mode",
            ) from error
        self._stamp = stamp
        return True

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
    if certificate.exists() and key.exists() and time.time() - certificate.stat().st_mtime < RENEW_SECONDS:
        return certificate, key
    try:
        from gateway.web.certificate import make_certificate  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TlsUnavailable(
            "the package cryptography is not installed", "pip install 'earshot-gateway[tls]'"
        ) from error
    names = [name.partition(":")[0] for name in settings.hosts if not name.startswith("[")]
    host = [] if settings.host in ("0.0.0.0", "::", "localhost") else [settings.host]  # noqa: S104 - compared
    try:
        make_certificate(certificate, key, [*names, *host])
    except OSError as error:
        raise TlsUnavailable(
            f"{certificate} cannot be written: {error.strerror}", "let the gateway's user write there"
        ) from error
    return certificate, key


def wanted(settings: WebSettings) -> bool:
    """Whether the page is to be served by https."""
    return settings.tls.self_signed or bool(settings.tls.cert_file)
