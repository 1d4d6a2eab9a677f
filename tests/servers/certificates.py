"""A certificate authority of the tests' own, and what servers and clients need of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of one authority: for a server on the loopback, and for a client called ``gateway``."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    stranger_cert: Path
    """Of somebody whom no server knows."""
    stranger_key: Path


def make_certificates(folder: Path, *, ended: bool = False) -> Certificates:
    """A new authority, a server certificate for 127.0.0.1 and localhost, and a client certificate.

    ``ended``: the server's was good until yesterday.
    """
    until = datetime.now(UTC) - timedelta(days=1) if ended else None
    authority = trustme.CA()
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    server_cert, server_key = _write(
        authority.issue_cert("127.0.0.1", "localhost", not_after=until), folder, "server"
    )
    client_cert, client_key = _write(
        authority.issue_cert("gateway@house", common_name="gateway"), folder, "client"
    )
    stranger_cert, stranger_key = _write(
        authority.issue_cert("nobody@house", common_name="nobody"), folder, "stranger"
    )
    return Certificates(ca, server_cert, server_key, client_cert, client_key, stranger_cert, stranger_key)


def _write(issued: trustme.LeafCert, folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return cert, key
