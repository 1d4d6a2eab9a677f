"""Halves of characters (UTF-16 surrogates) where text enters: pairs are joined, and a lone half is no text.

Emoji as JSON escapes come in two halves, and YAML takes each for a character. A lone half cannot be written as UTF-8,
so it would go wrong much later: when somebody is shown the text.
"""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")
# An escaped backslash, a pair, or (the group) a lone half.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_REPLACEMENT = rb"\ufffd"


class LoneSurrogate(ValueError):
    """Half of a character without the other half."""


def joined(text: str) -> str:
    """The text with each pair of halves as the one character that it is. Raises LoneSurrogate."""
    if _HALF.search(text) is None:
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise LoneSurrogate(
            "half of a character without its other half; write the character itself"
        ) from None


def mended(payload: bytes) -> bytes:
    """JSON in which the replacement character stands for each lone half, escaped or as three bytes."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        wide = payload.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
        payload = wide.decode("utf-16-le", "replace").encode()
    return _ESCAPES.sub(lambda found: _REPLACEMENT if found.group(1) else found.group(), payload)
