"""Words that somebody does not want to be said, and phrases of several: found whole, whatever their case and accents.

"Déjà-vu" is forbidden by "deja vu"; "class" is not by "ass". Letters of another script that look the same are other
letters. No I/O.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from gateway.pipeline.content.found import Found, Mask

_Tree: TypeAlias = dict[str, "_Tree"]
"""What may follow a word; under ``""`` something is: here a phrase may end."""

SUBSCRIPT_IOTA = "\u0345"
_MASKED = "\0"
_MASKS = re.compile("|".join(re.escape(mask) for mask in Mask))
_ALIKE = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_ACCENTS = tuple(
    (ord(first), ord(last))
    for first, last in ("\u0300\u036f", "\u0591\u05c7", "\u064b\u065f", "\u0670\u0670", "\u1ab0\u1aff",
                        "\u1dc0\u1dff", "\u20d0\u20ff", "\ufe00\ufe0f", "\ufe20\ufe2f")
)  # fmt: skip
"""Signs above and below letters that may be left out. The vowels of other scripts are no such signs."""


class ForbiddenWords:
    """To be asked where they stand."""

    def __init__(self, phrases: Iterable[str]) -> None:
        """What has no letter and no digit forbids nothing."""
        self._tree: _Tree = {}
        for phrase in phrases:
            branch = self._tree
            words = [word for word, _, _ in _words(phrase)]
            for word in words:
                branch = branch.setdefault(word, {})
            if words:
                branch[""] = {}

    def find(self, text: str) -> list[Found]:
        """In their order; of two that begin at the same word the longer one. Nothing is found in or across a mask."""
        if "[" in text or "*" in text:
            text = _MASKS.sub(lambda mask: _MASKED * len(mask.group()), text)
        words = _words(text)
        found, i = [], 0
        while i < len(words):
            length = self._longest(words, i, text)
            if length:
                found.append(Found(words[i][1], words[i + length - 1][2], Mask.FORBIDDEN))
            i += length or 1
        return found

    def _longest(self, words: list[tuple[str, int, int]], i: int, text: str) -> int:
        """How many words the longest phrase has that begins with the i-th; 0: none does."""
        branch, longest, at = self._tree, 0, i
        while at < len(words) and (further := branch.get(words[at][0])) is not None:
            if at > i and _MASKED in text[words[at - 1][2] : words[at][1]]:
                break
            branch, at = further, at + 1
            longest = at - i if "" in branch else longest
        return longest


def is_word(phrase: str) -> bool:
    """Whether there is anything in it that could be found."""
    return bool(_words(phrase))


def _words(text: str) -> list[tuple[str, int, int]]:
    """Each word as it is compared, and from where to where it stands."""
    words: list[tuple[str, int, int]] = []
    letters: list[str] = []
    start = end = 0
    for at, character in enumerate(text):
        folded = _folded(character)
        if folded is None:
            if letters:
                words.append(("".join(letters), start, end))
                letters = []
            continue
        if folded and not letters:
            start = at
        if letters or folded:
            letters.append(folded)
            end = at + 1
    if letters:
        words.append(("".join(letters), start, end))
    return words


@lru_cache(4_096)
def _folded(character: str) -> str | None:
    """What is compared of a character of a word ("" for an accent, or what is invisible); None: no word has it."""
    category = unicodedata.category(character)
    if category == "Cf" or _is_accent(character):
        return ""
    if category[0] not in "LMN" and character != "_":
        return None
    plain = unicodedata.normalize("NFKD", character.casefold())
    return "".join(one for one in plain if not _is_accent(one)).casefold().translate(_ALIKE)


def _is_accent(character: str) -> bool:
    if character == SUBSCRIPT_IOTA:  # which is a letter in capitals
        return False
    return any(first <= ord(character) <= last for first, last in _ACCENTS)
