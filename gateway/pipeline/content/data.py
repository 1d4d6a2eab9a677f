"""What a reply has for programs, looked through like its words: every text and number in it, and every name. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.pipeline.content.port import Ruling

DEEPEST = 64
"""Of lists and objects in each other; what lies deeper is nobody's."""


class DataTooDeep(ValueError):
    """Nobody has looked at what is in there."""


class DataDropped(Exception):
    """There is something in it that nobody is to have."""


def sifted(data: Any, judge: Callable[[str], Ruling], flags: dict[str, None], depth: int = 0) -> Any:
    """The same with what ``judge`` makes of it; what it finds is added to ``flags``.

    Raises DataTooDeep, and DataDropped.
    """
    if depth > DEEPEST:
        raise DataTooDeep
    match data:
        case dict():
            return {
                sifted(name, judge, flags): sifted(value, judge, flags, depth + 1)
                for name, value in data.items()
            }
        case list() | tuple():
            return [sifted(value, judge, flags, depth + 1) for value in data]
        case bool() | None:
            return data
    text = str(data)
    ruling = judge(text)
    flags |= dict.fromkeys(ruling.flags)
    if ruling.dropped:
        raise DataDropped
    return data if ruling.text == text else ruling.text
