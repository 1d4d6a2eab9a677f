"""Where a page of a list ends, as a text that means nothing to anybody else."""

from __future__ import annotations

import base64
import binascii

from gateway.web.entrance.problems import misfit

_BYTES = 8
_LARGEST = 1 << 62


def to_cursor(number: int) -> str:
    """``number``: of the last row, positive."""
    return base64.urlsafe_b64encode(number.to_bytes(_BYTES, "big")).decode().rstrip("=")


def from_cursor(cursor: str) -> int:
    """The number in it; 0 for an empty one. Raises Problem."""
    if not cursor:
        return 0
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=", altchars=b"-_", validate=True)
    except (UnicodeError, binascii.Error, ValueError):
        raw = b""
    number = int.from_bytes(raw, "big")
    if len(raw) != _BYTES or not 0 < number < _LARGEST or to_cursor(number) != cursor:
        raise misfit("before", "that is no cursor of this list; take `next` of the page before")
    return number
