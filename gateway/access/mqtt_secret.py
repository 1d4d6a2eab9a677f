"""The secret that the passwords of the embedded MQTT broker are made from: one file beside the journal."""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from firmware_bridge.embedded_broker.passwords import Passwords
from gateway.access.private_files import alone, read_private, write_private

FILE = "mqtt.secret"
SECRET_BYTES = 32

log = structlog.get_logger(__name__)


def read_passwords(folder: Path) -> Passwords:
    """As the gateway made them whose state lies in ``folder``. Raises OSError, also where it never ran."""
    return _passwords(read_private(folder / FILE), folder)


def passwords_for(folder: Path) -> Passwords:
    """The same, made where there are none; where the file cannot be had, they are good until the gateway ends."""
    try:
        with alone(folder / FILE):
            if not (folder / FILE).exists():
                write_private(folder / FILE, f"{secrets.token_hex(SECRET_BYTES)}\n".encode())
            return read_passwords(folder)
    except OSError as error:
        log.warning(
            "the passwords of the embedded MQTT broker are not kept",
            reason=str(error),
            remedy=f"look at {folder / FILE}; a new one is made where there is none",
        )
        return Passwords(secrets.token_bytes(SECRET_BYTES))


def _passwords(data: bytes, folder: Path) -> Passwords:
    try:
        secret = bytes.fromhex(data.decode())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise OSError(f"{folder / FILE} does not hold {2 * SECRET_BYTES} hexadecimal digits")
    return Passwords(secret)
