"""Where a page of a list ends, as a text that means nothing to anybody else."""

from __future__ import annotations

import base64
import binascii

from gateway.journal.of_house import PageKey
from gateway.web.entrance.problems import misfit

_BYTES = 8
_LARGEST = 1 << 62
HOUSE = "h"
"""What cursors of the whole house's history begin with; they are twice as long as one gateway's."""


def to_house_cursor(key: PageKey) -> str:
    """Both numbers, one behind the other."""
    raw = key.spoken.to_bytes(_BYTES, "big") + key.tie.to_bytes(_BYTES, "big")
    return HOUSE + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def from_house_cursor(cursor: str) -> PageKey | None:
    """None: it is not one of these."""
    if not cursor.startswith(HOUSE):
        return None
    raw = _raw(cursor[len(HOUSE) :] + "==")
    if len(raw) != 2 * _BYTES:
        return None
    key = PageKey(int.from_bytes(raw[:_BYTES], "big"), int.from_bytes(raw[_BYTES:], "big"))
    sound = key.spoken < _LARGEST and key.tie < _LARGEST * 2 and to_house_cursor(key) == cursor
    return key if sound else None


def to_cursor(number: int) -> str:
    """``number``: of the last row, positive."""
    return base64.urlsafe_b64encode(number.to_bytes(_BYTES, "big")).decode().rstrip("=")


def from_cursor(cursor: str) -> int:
    """The number in it; 0 for an empty one. Raises Problem."""
    if not cursor:
        return 0
    raw = _raw(f"{cursor}=")
    number = int.from_bytes(raw, "big")
    if len(raw) != _BYTES or not 0 < number < _LARGEST or to_cursor(number) != cursor:
        raise misfit("before", "that is no cursor of this list; take `next` of the page before")
    return number


def _raw(text: str) -> bytes:
    """Nothing: it is not of that alphabet."""
    try:
        return base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeError, binascii.Error, ValueError):
        return b""
