"""Who logs in at the embedded broker: its gateway, and each device under its own id with a password of its own.

The passwords are made from one secret, so there is no list of them to keep: whoever may read the secret can
tell each device its password, and a device's password tells nothing of another's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

from firmware_bridge.link.frames import is_device_id

GATEWAY = "@gateway"
"""The gateway's own user; no device can have this id."""
PASSWORD_CHARACTERS = 20
"""Of 32 letters and digits: 100 bits."""


class Passwords:
    """The passwords that a secret makes."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def of(self, user: str) -> str:
        """The password of the device of this id, or of the gateway."""
        made = hmac.digest(self.secret, b"earshot mqtt " + user.encode(), hashlib.sha256)
        return base64.b32encode(made).decode().lower()[:PASSWORD_CHARACTERS]

    def url(self, url: str, user: str) -> str:
        """The URL of the broker with this user and the password in it."""
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{quote(user)}:{self.of(user)}@{rest}"

    def let_in(self, user: str, password: bytes) -> bool:
        """Whether that is somebody's name and password."""
        if user != GATEWAY and not is_device_id(user):
            return False
        return hmac.compare_digest(self.of(user).encode(), password)
