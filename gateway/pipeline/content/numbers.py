"""Card numbers, phone numbers and national ids of digits, as people write them: with spaces, dashes, brackets. No I/O.

Digits that follow each other with nothing but such signs between them are a run, and what stands together in it a
group. A number begins and ends with a group. Each group is looked at once, against a fixed number of lengths: the
work grows with the text and never faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.pipeline.content.checksums import luhn
from gateway.pipeline.content.found import Found, Mask
from gateway.pipeline.content.national_ids import of_digits

_BETWEEN = r"[ \t\u00a0\u2007\u2009\u202f.\-\u2010\u2011\u2013/()]"
_RUN = re.compile(rf"(?<!\w)\d(?:{_BETWEEN}{{0,3}}\d)*")
_GROUP = re.compile(r"\d+")
_DAY = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:19|20)\d{2}(?!\d)|(?:19|20)\d{2}([./-])\d{1,2}\2\d{1,2}(?!\d)")

_CARDS = re.compile(
    r"(?P<visa>4)|(?P<master>5[1-5]|2[2-7])|(?P<amex>3[47])|(?P<diners>3[0689])|(?P<jcb>35)|(?P<other>6)"
)
_CARD_LENGTHS = {
    "visa": (19, 16, 13),
    "master": (16,),
    "amex": (15,),
    "diners": (16, 14),
    "jcb": (19, 18, 17, 16),
    "other": (19, 18, 17, 16),
}
_INTERNATIONAL = range(15, 7, -1)
"""Digits of a number with its country (E.164), longest first."""
_NATIONAL = range(13, 8, -1)
"""Digits of a number with the zero that stands for the country."""
_AMERICAN = ((3, 3, 4), (1, 3, 3, 4))
_AMERICAN_DIGITS = re.compile(r"1?[2-9]\d\d[2-9]\d{6}")


def find_numbers(text: str) -> Iterator[Found]:
    """In their order."""
    for run in _RUN.finditer(text):
        yield from _Run(text, *run.span()).found()


@dataclass(frozen=True, slots=True)
class _Group:
    """``at``: how many digits of the run stand before it."""

    start: int
    end: int
    at: int


class _Run:
    """One run of digits in a text."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text = text
        self._groups: list[_Group] = []
        digits = []
        at = 0
        for one in _GROUP.finditer(text, start, end):
            if one.end() == end and text[end : end + 1].isalnum():
                break  # "12 3rd": the last of them belongs to a word
            self._groups.append(_Group(*one.span(), at))
            digits.append(one.group())
            at += one.end() - one.start()
        joined = "".join(digits)
        self._digits = joined if joined.isascii() else "".join(str(int(digit)) for digit in joined)
        self._lengths = tuple(one.end - one.start for one in self._groups)
        self._ends = {one.at + one.end - one.start: i for i, one in enumerate(self._groups)}

    def found(self) -> Iterator[Found]:
        i = 0
        while i < len(self._groups):
            start = self._groups[i].start
            if (day := _DAY.match(self._text, start)) is not None:
                while i < len(self._groups) and self._groups[i].end <= day.end():
                    i += 1
                continue
            hit = self._card(i) or self._national_id(i) or self._phone(i)
            if hit is None:
                i += 1
                continue
            last, mask = hit
            yield Found(self._with_signs(i) if mask is Mask.PHONE else start, self._groups[last].end, mask)
            i = last + 1

    def _card(self, i: int) -> tuple[int, Mask] | None:
        at = self._groups[i].at
        brand = _CARDS.match(self._digits, at)
        if brand is None:
            return None
        for length in _CARD_LENGTHS[brand.lastgroup or ""]:
            last = self._ends.get(at + length)
            if last is not None and luhn(self._digits[at : at + length]):
                return last, Mask.CARD
        return None

    def _national_id(self, i: int) -> tuple[int, Mask] | None:
        for shape, holds in of_digits(self._lengths[i]):
            at = self._groups[i].at
            if self._lengths[i : i + len(shape)] == shape and holds(self._digits[at : at + sum(shape)]):
                return i + len(shape) - 1, Mask.NATIONAL_ID
        return None

    def _phone(self, i: int) -> tuple[int, Mask] | None:
        at = self._groups[i].at
        last = self._american(i)
        if last is None and (lengths := self._phone_lengths(i)):
            ends = (self._ends.get(at + length) for length in lengths)
            last = next((end for end in ends if end is not None), None)
        return None if last is None else (last, Mask.PHONE)

    def _phone_lengths(self, i: int) -> range | None:
        """How many digits a number that begins here may have; None: none begins here."""
        group = self._groups[i]
        first = self._digits[group.at : group.at + 3]
        if "+" in self._text[max(0, group.start - 2) : group.start]:
            return _INTERNATIONAL
        if len(first) < 3 or first[0] != "0":
            return None
        if first[1] != "0":
            is_fraction = group.end - group.start == 1 and self._text[group.end : group.end + 1] == "."
            return None if is_fraction else _NATIONAL
        return range(_INTERNATIONAL.start + 2, _INTERNATIONAL.stop + 2, -1) if first[2] != "0" else None

    def _american(self, i: int) -> int | None:
        """As it is written where no zero says that a number begins: 3, 3 and 4 digits."""
        at = self._groups[i].at
        for shape in _AMERICAN:
            if self._lengths[i : i + len(shape)] == shape:
                fits = _AMERICAN_DIGITS.fullmatch(self._digits, at, at + sum(shape))
                return i + len(shape) - 1 if fits else None
        return None

    def _with_signs(self, i: int) -> int:
        """Where a phone number begins, with its plus and its bracket."""
        start = self._groups[i].start
        before = self._groups[i - 1].end if i else 0
        while start > before and self._text[start - 1] in "+(":
            start -= 1
        return start
