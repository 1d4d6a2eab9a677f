"""Text from outside, made safe to show: no new line, no terminal control, nothing that turns the writing around."""

from __future__ import annotations

import re

_OUTSIDE_ASCII = re.compile(r"[^\x20-\x7e\n\r\t]")


def one_line(text: str) -> str:
    """``text`` with every character that is not printable escaped: no new line, no terminal control."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_lines(text: str) -> str:
    """The same for text whose lines are ours."""
    return "\n".join(map(one_line, text.split("\n")))


def json_text(document: bytes | str) -> str:
    r"""JSON that says the same with every character that is not printable as ``\u202e``: it, too, gets to terminals."""
    text = document.decode() if isinstance(document, bytes) else document
    return _OUTSIDE_ASCII.sub(_as_json, text)


def _as_json(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
