"""What a check of the doctor found."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One line of the report; ``remedy`` is what to do, where there is something to do."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str
    remedy: str = ""


def ok(what: str, detail: str, remedy: str = "") -> Finding:
    """All is well; a remedy is an offer."""
    return Finding("ok", what, detail, remedy)


def warn(what: str, detail: str, remedy: str = "") -> Finding:
    """The gateway runs, but not as well as it could."""
    return Finding("warn", what, detail, remedy)


def fail(what: str, detail: str, remedy: str = "") -> Finding:
    """Something that is configured cannot work."""
    return Finding("fail", what, detail, remedy)
