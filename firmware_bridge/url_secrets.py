"""Passwords in URLs: where they begin and end, and the one way in which none of our texts shows them. No I/O.

A password may have blanks, slashes and at-signs in it, written as they are or not: it ends at the last at-sign that can
belong to its URL. Rather a host is hidden with it than a part of it shown.
"""

from __future__ import annotations

import re

MASK = "***"
"""What stands where a secret stood."""

_LOGIN = re.compile(
    r"(?P<begin>[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>(?:(?![A-Za-z][A-Za-z0-9+.-]*://).)*)@", re.DOTALL
)

_USER_IS_TOKEN = ("nats://", "tls://")
"""Where a user without a password is a token."""


def masked(text: str) -> str:
    """A URL, or a text with URLs in it, without their passwords; users stay."""
    return _LOGIN.sub(_masked_login, text) if "://" in text else text


def without_logins(text: str) -> str:
    """The same with neither passwords nor users."""
    return _LOGIN.sub(r"\g<begin>", text) if "://" in text else text


def _masked_login(match: re.Match[str]) -> str:
    begin, (user, colon, _) = match["begin"], match["login"].partition(":")
    if colon:
        return f"{begin}{user}:{MASK}@"
    return f"{begin}{MASK if begin in _USER_IS_TOKEN else user}@"
