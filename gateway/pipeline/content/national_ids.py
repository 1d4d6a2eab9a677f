"""National ids, only those whose check digits and shape leave hardly a doubt. No I/O.

Of digits: Belgium, France, Germany, Switzerland; with letters: Finland, Italy, Spain. Others (of the Netherlands, the
United Kingdom, the United States and more) look like any other number, and are not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from gateway.pipeline.content.checksums import ean13, mod_11_10


def _belgian(digits: str) -> bool:
    if not _is_day(int(digits[2:4]) % 20, int(digits[4:6])):
        return False
    body, check = digits[:9], 97 - int(digits[9:])
    return check in (int(body) % 97, int("2" + body) % 97)


def _french(digits: str) -> bool:
    return (
        digits[0] in "12" and 1 <= int(digits[3:5]) <= 12 and 97 - int(digits[:13]) % 97 == int(digits[13:])
    )


def _german(digits: str) -> bool:
    """Of its first ten digits one stands there twice or three times, and all others once or not."""
    most = sorted((digits[:10].count(digit) for digit in set(digits[:10])), reverse=True)
    return digits[0] != "0" and most[0] in (2, 3) and most[1] == 1 and mod_11_10(digits)


def _swiss(digits: str) -> bool:
    return digits.startswith("756") and ean13(digits)


def _is_day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


_Ids: TypeAlias = tuple[tuple[tuple[int, ...], Callable[[str], bool]], ...]

_OF_DIGITS: _Ids = (
    *((shape, _belgian) for shape in ((11,), (2, 2, 2, 3, 2), (6, 3, 2), (6, 5))),
    *((shape, _french) for shape in ((15,), (13, 2), (1, 2, 2, 2, 3, 3, 2))),
    *((shape, _german) for shape in ((11,), (2, 3, 3, 3))),
    *((shape, _swiss) for shape in ((13,), (3, 4, 4, 2))),
)


def of_digits(first: int) -> _Ids:
    """Those whose first group has so many digits: how many each of their groups has, and whether digits are one."""
    return _BY_FIRST.get(first, ())


_BY_FIRST: dict[int, _Ids] = {
    first: tuple(one for one in _OF_DIGITS if one[0][0] == first)
    for first in {shape[0] for shape, _ in _OF_DIGITS}
}

_WITH_LETTERS = re.compile(
    r"(?<!\w)(?:"
    r"(?P<es>[XYZ]?-?[0-9]{7,8}-?[A-Z])"
    r"|(?P<fi>[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y])"
    r"|(?P<it>[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z])"
    r")(?!\w)",
    re.IGNORECASE | re.ASCII,
)
_SPANISH = "TRWAGMYFPDXBNJZSQVHLCKE"
_FINNISH = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_ITALIAN_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def with_letters(text: str) -> Iterator[tuple[int, int]]:
    """Where those that have letters stand."""
    for one in _WITH_LETTERS.finditer(text):
        if _CHECKS[one.lastgroup or ""](one.group().upper().replace("-", "")):
            yield one.span()


def _spanish(text: str) -> bool:
    number = text[:-1]
    if number[0] in "XYZ":
        number = str("XYZ".index(number[0])) + number[1:]
    return len(number) == 8 and _SPANISH[int(number) % 23] == text[-1]


def _finnish(text: str) -> bool:
    """The sign of the century (a hyphen is gone by now) does not count."""
    digits = text[:6] + text[-4:-1]
    return _is_day(int(digits[2:4]), int(digits[:2])) and _FINNISH[int(digits) % 31] == text[-1]


def _italian(text: str) -> bool:
    values = [int(one, 36) - 10 if one.isalpha() else int(one) for one in text]
    odd, even = (_ITALIAN_ODD[value] for value in values[:-1:2]), values[1:-1:2]
    return (sum(odd) + sum(even)) % 26 == values[-1]


_CHECKS: dict[str, Callable[[str], bool]] = {"es": _spanish, "fi": _finnish, "it": _italian}
