"""Keys that sign firmware images: ECDSA on P-256, as r and s. The one file of this package that knows cryptography."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

_SHA256 = ec.ECDSA(hashes.SHA256())
_X962_PREFIX = b"\x04"


def new_key() -> bytes:
    """A private key, as PEM (PKCS 8), for nobody else to see."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_of(private: bytes) -> bytes:
    """The public key of it: x and y, 64 bytes. Raises ValueError for what is no private key on P-256."""
    return _point(_private(private).public_key())


def public_pem(private: bytes) -> bytes:
    """The same, as PEM. Raises ValueError."""
    return (
        _private(private)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def sign(private: bytes, message: bytes) -> bytes:
    """The signature, 64 bytes: r and s, big-endian. Raises ValueError."""
    r, s = decode_dss_signature(_private(private).sign(message, _SHA256))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key (x and y) has signed this."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _X962_PREFIX + public)
        key.verify(encode_dss_signature(r, s), message, _SHA256)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the key is locked with a passphrase, or of a kind that is not known") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it is no private key on P-256; `earshot firmware keygen` makes one")  # noqa: TRY004 - a file's
    return key


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return key.public_bytes(encoding, form)[1:]
