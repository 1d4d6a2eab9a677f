"""English numbers as a recognizer writes them, turned into figures."""

from __future__ import annotations

from collections.abc import Iterator

_UNITS = (  # noqa: SIM905 - as a string it is one glance, as a list twenty lines
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

VALUES = (
    {"oh": 0}
    | {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * value for value, word in enumerate(_TENS, start=2)}
)
"""What each word is worth by itself; ``hundred`` and ``minus`` only change the others."""


def figures(text: str) -> str:
    """``text`` with its number words in figures: ``twenty one degrees`` is ``21 degrees``.

    Digits said one by one stay apart (``four four oh`` is ``4 4 0``). Words without a number
    before or after them are left as they are.
    """
    return " ".join(_figures(text.split()))


def is_number(text: str) -> bool:
    """Whether ``text`` is nothing but figures."""
    return bool(text) and all(word.isdecimal() for word in text.split())


def _figures(words: list[str]) -> Iterator[str]:
    place = 0
    while place < len(words):
        value, used = number_at(words[place:])
        yield str(value) if used else words[place]
        place += used or 1


def number_at(words: list[str]) -> tuple[int, int]:
    """The number that ``words`` begin with, and how many of them it takes (0: none)."""
    if words[0] == "minus":
        value, used = number_at(words[1:]) if words[1:] else (0, 0)
        return -value, used + 1 if used else 0
    below_hundred, used = _below_hundred(words)
    if used and 0 < below_hundred < 10 and words[used : used + 1] == ["hundred"]:
        rest = used + 2 if words[used + 1 : used + 2] == ["and"] else used + 1
        more, used_by_rest = _below_hundred(words[rest:])
        return 100 * below_hundred + more, rest + used_by_rest if used_by_rest else used + 1
    return below_hundred, used


def _below_hundred(words: list[str]) -> tuple[int, int]:
    if not words or words[0] not in VALUES:
        return 0, 0
    value = VALUES[words[0]]
    if words[0] in _TENS and words[1:] and 0 < VALUES.get(words[1], 0) < 10:
        return value + VALUES[words[1]], 2
    return value, 1
