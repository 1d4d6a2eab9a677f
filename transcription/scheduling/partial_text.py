"""The text of an utterance while it is being spoken: which part of it will stay, and which may still change.

A model that hears half a sentence says odd things about its end, and something else with every
further word. Where two looks in a row agree, it rarely changes its mind: that part is stable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Scripts that are written without spaces between words have a character for a word here:
# Thai, Lao, Myanmar, Khmer, kana, and the ideographs.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
_NOT_SAID = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class TextSoFar:
    """What was understood so far.

    ``text`` begins with ``stable``, which every later partial of the utterance begins with too; the
    rest of it is tentative. ``number`` counts the utterance's partials, from 1.
    """

    number: int
    stable: str
    text: str


class PartialText:
    """The partials of one utterance, from what a model says at each look at more of it.

    Words that two looks in a row agree on (but for case and punctuation) become stable. They never
    shrink or change, also when a later look says something else: its words are then laid beside the
    stable ones, so that those which follow still find their place.
    """

    def __init__(self) -> None:
        self._number = 0
        self._stable: list[str] = []
        self._tentative: list[str] = []

    @property
    def shown(self) -> int:
        """Partials so far."""
        return self._number

    @property
    def stable(self) -> str:
        """What will not change any more."""
        return "".join(self._stable).strip()

    def hear(self, text: str) -> TextSoFar | None:
        """The model's newest word on everything so far; None when that says nothing new."""
        before = self._stable, self._tentative
        words = words_of(text)
        rest = words[_joint(self._stable, words) :]
        agreed = _agreement(self._tentative, rest)
        self._stable, self._tentative = self._stable + rest[:agreed], rest[agreed:]
        if (self._stable, self._tentative) == before:
            return None
        self._number += 1
        whole = "".join(self._stable + self._tentative).strip()
        return TextSoFar(self._number, self.stable, whole)


def contradicted(stable: str, final: str) -> int:
    """How many words of ``stable`` the final text does not begin with: 0 when all of it was right."""
    said, meant = words_of(stable), words_of(final)
    return len(said) - _agreement(said, meant)


def following(stable: str, final: str) -> str:
    """What of the final text comes after ``stable``, though that be not what it begins with."""
    words = words_of(final)
    return "".join(words[_joint(words_of(stable), words) :])


def words_of(text: str) -> list[str]:
    """The words, each with the space before it, so that joined they are the text again."""
    return _WORD.findall(text.strip())


def _agreement(one: list[str], other: list[str]) -> int:
    """How many words both begin with."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if _bare(a) != _bare(b):
            break
        count += 1
    return count


def _joint(stable: list[str], words: list[str]) -> int:
    """How many of ``words`` say the same as ``stable``, so that the others are what follows it.

    The beginning of ``words`` that takes the fewest changes to become ``stable``; of several, the
    one nearest to it in length.
    """
    if _agreement(stable, words) == len(stable):
        return len(stable)
    others = [_bare(word) for word in words]
    distances = list(range(len(others) + 1))
    for row, word in enumerate(map(_bare, stable), 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(others, 1):
            changed = diagonal + (word != other)
            diagonal = distances[column]
            distances[column] = min(diagonal + 1, distances[column - 1] + 1, changed)
    return min(range(len(distances)), key=lambda end: (distances[end], abs(end - len(stable)), end))


def _bare(word: str) -> str:
    """A word as it is compared: without case and punctuation, unless there is nothing else in it."""
    return _NOT_SAID.sub("", word).casefold() or word.strip()
