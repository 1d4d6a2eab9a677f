"""The one file that knows cryptography: what certificates and sealed backups are made with."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "AESGCM",
    "ExtendedKeyUsageOID",
    "InvalidTag",
    "NameOID",
    "Scrypt",
    "ec",
    "hashes",
    "serialization",
    "x509",
]
