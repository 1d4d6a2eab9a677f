"""What was said, as patterns are compared with it: small letters without accents, no punctuation, numbers as figures.

No I/O. The places of each word in what was said are kept, for what is taken out of it as it was said.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterator
from typing import NamedTuple

from gateway.orchestrators.spoken_numbers import VALUES, number_at

MOST_CHARACTERS = 400
"""Longer speech is no command."""

_WORD = re.compile(r"(?:(?<!\w)-)?\d+(?:[.,]\d+)*|[^\W\d_](?:[^\W_]|['\u2019](?=[^\W_]))*")
_WITH_POINTS = frozenset({"en", "ja", "zh", "ko", "th", "he", "hi"})
_GROUPED = {".": re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?"), ",": re.compile(r"-?\d{1,3}(\.\d{3})+(,\d+)?")}
_FIGURES = re.compile(r"-?\d+(\.\d+)?")
_CLOSE = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Characters of writings that put no space between words."""


class SpokenWord(NamedTuple):
    """As it is compared, and where it stands in what was said."""

    text: str
    start: int
    end: int


class SaidWords:
    """One utterance. ``text``: its words as they are compared, a space between two."""

    def __init__(self, raw: str, language: str, skipped: Collection[str] = ()) -> None:
        """``skipped``: words that are passed over. Of more than MOST_CHARACTERS nothing is left."""
        self._raw = unicodedata.normalize("NFC", raw) if len(raw) <= MOST_CHARACTERS else ""
        self._words = [word for word in _words(self._raw, language) if word.text not in skipped]
        self.text = " ".join(word.text for word in self._words)
        self.tried = 0
        """So many steps of patterns were compared with it."""
        self._starts: list[int] = []
        at = 0
        for word in self._words:
            self._starts.append(at)
            at += len(word.text) + 1

    def is_border(self, at: int) -> bool:
        """Whether a word may begin or end there."""
        text = self.text
        if at in (0, len(text)):
            return True
        around = text[at - 1 : at + 1]
        return " " in around or _CLOSE.search(around) is not None

    def next_border(self, at: int) -> int:
        """The next one behind ``at``, at which something has been said."""
        at += 1
        while not self.is_border(at):
            at += 1
        return at

    def as_said(self, start: int, end: int) -> str:
        """What stands between two places of ``text``, as it was said."""
        return self._raw[self._place(start, first=True) : self._place(end, first=False)].strip()

    def _place(self, at: int, *, first: bool) -> int:
        number = max(bisect_right(self._starts, at if first else at - 1) - 1, 0)
        word, inside = self._words[number], at - self._starts[number]
        if len(word.text) == word.end - word.start:
            return word.start + min(max(inside, 0), len(word.text))
        return word.start if first else word.end


def decimal_mark(language: str) -> str:
    """What stands before the decimals of a number there."""
    return "." if language in _WITH_POINTS else ","


def plain(text: str, language: str) -> str:
    """A text of the commands' file as it is compared with what is said."""
    return " ".join(word.text for word in _words(unicodedata.normalize("NFC", text), language))


def _words(text: str, language: str) -> Iterator[SpokenWord]:
    words = [
        SpokenWord(_folded(one.group(), language), one.start(), one.end()) for one in _WORD.finditer(text)
    ]
    return _with_figures(words) if language == "en" else iter(words)


def _folded(word: str, language: str) -> str:
    if word[-1].isdecimal() and word.lstrip("-")[0].isdecimal():
        return _number(word, language)
    bare = "".join(c for c in unicodedata.normalize("NFKD", word) if c.isalnum())
    return bare.casefold() or word.casefold()


def _number(word: str, language: str) -> str:
    ascii_word = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in word)
    mark = decimal_mark(language)
    if _GROUPED[mark].fullmatch(ascii_word):
        ascii_word = ascii_word.replace("," if mark == "." else ".", "")
    return ascii_word.replace(",", ".")


def _with_figures(words: list[SpokenWord]) -> Iterator[SpokenWord]:
    """English number words as figures: ``twenty one point five`` is ``21.5``."""
    texts = [word.text for word in words]
    at, is_number = 0, False
    while at < len(words):
        value, used = number_at(texts[at:])
        if texts[at] == "oh" and not is_number:  # oh, turn on the light
            used = 0
        is_number = used > 0 or _FIGURES.fullmatch(texts[at]) is not None
        end = at + (used or 1)
        text = str(value) if used else texts[at]
        if is_number and "." not in text:
            digits, end = _decimals(texts, end)
            text += digits
        yield SpokenWord(text, words[at].start, words[end - 1].end)
        at = end


def _decimals(texts: list[str], at: int) -> tuple[str, int]:
    """What stands behind ``point``, and where it ends."""
    if texts[at : at + 1] != ["point"]:
        return "", at
    end, digits = at + 1, ""
    while end < len(texts) and (0 <= VALUES.get(texts[end], 10) < 10 or texts[end].isdecimal()):
        digits += str(VALUES.get(texts[end], texts[end]))
        end += 1
    return (f".{digits}", end) if digits else ("", at)
