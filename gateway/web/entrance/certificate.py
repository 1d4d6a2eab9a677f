"""A certificate of the gateway's own, for a house without an authority."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from firmware_bridge.named_files import read_named
from gateway.access.ciphers import ExtendedKeyUsageOID, NameOID, ec, hashes, serialization, x509
from gateway.access.private_files import write_private

DAYS = 825
"""Browsers take none that is good for longer."""


def make_certificate(certificate: Path, key: Path, names: Iterable[str]) -> None:
    """Write both files (PEM): good for ``names``, this machine's own name, and loopback. Raises OSError."""
    private = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"earshot on {host}"[:64])])
    now = dt.datetime.fromtimestamp(time.time(), dt.UTC)
    everything = dict.fromkeys([*names, host, f"{host}.local", "localhost", "127.0.0.1", "::1"])
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_name(one) for one in everything]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usages, critical=False)
        .sign(private, hashes.SHA256())
    )
    write_private(
        key,
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    write_private(certificate, made.public_bytes(serialization.Encoding.PEM))


def validity(certificate: Path) -> tuple[float, float]:
    """From when until when it is good, in Unix seconds. Raises OSError, and ValueError for what is none."""
    read = x509.load_pem_x509_certificate(read_named(certificate))
    return read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp()


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
