"""How a question to a webhook is signed: who has the secret can tell that it is ours, and new. No I/O."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

TIMESTAMP: Final = "X-Earshot-Timestamp"
"""Unix time, in whole seconds."""
SIGNATURE: Final = "X-Earshot-Signature"
"""``sha256=`` and the HMAC-SHA256, in hexadecimal, of the timestamp, a full stop, and the body as it came."""


def signed(secret: bytes, now: float, body: bytes) -> dict[str, str]:
    """The headers that say so."""
    stamp = str(int(now))
    code = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP: stamp, SIGNATURE: f"sha256={code}"}
