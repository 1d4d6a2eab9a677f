"""Text from outside, made safe to show on one line."""

from __future__ import annotations


def one_line(text: str) -> str:
    """``text`` with every character that is not printable escaped: no new line, no terminal control."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
