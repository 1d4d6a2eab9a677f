"""What was found in a text, and the text without it. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple


class Mask(enum.StrEnum):
    """What stands in the place of what was found; nothing is ever found in one of these."""

    EMAIL = "[e-mail address]"
    PHONE = "[phone number]"
    CARD = "[card number]"
    IBAN = "[account number]"
    NATIONAL_ID = "[id number]"
    FORBIDDEN = "***"


class Found(NamedTuple):
    """Characters ``start`` to ``end`` of a text, and what is to stand there instead."""

    start: int
    end: int
    mask: Mask


def masked(text: str, found: Sequence[Found]) -> str:
    """``text`` with each of them covered; they stand in their order, and none in another."""
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], one.mask]
        at = one.end
    return "".join((*parts, text[at:]))


def blanked(text: str, found: Sequence[Found]) -> str:
    """``text``, as long as it was, with nothing to be found where these are: as it will be once they are covered."""
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], "\0" * (one.end - one.start)]
        at = one.end
    return "".join((*parts, text[at:]))
